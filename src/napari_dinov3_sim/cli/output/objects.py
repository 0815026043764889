"""Objects of the command line: what counts as one, and their labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_dinov3_sim.cli.output.files import metres_of
from napari_dinov3_sim.cli.terminal import note
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.objects.labelling import ObjectRules, label_objects, label_patches

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.output.files import WantedObjects
    from napari_dinov3_sim.cli.planes import PlaneOpener, SearchPlane
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.objects.guide import PixelGuide
    from napari_dinov3_sim.core.search.similarity import SimilarityMap


TOO_LARGE = "has too many pixels for objects with edges; they are outlined along patches."


@dataclass(eq=False)
class ObjectLabeller:
    """Makes labels, as the dock does.

    Attributes
    ----------
    wanted : WantedObjects
    planes : PlaneOpener
        Of which the pixels are read again.
    """

    wanted: WantedObjects
    planes: PlaneOpener
    _told: set[tuple[Path, str]] = field(default_factory=set)

    def guide(
        self, place: SearchPlane, grid: PatchGrid, window: IntensityWindow | None
    ) -> PixelGuide | None:
        """Return what guides the edges of objects in a plane; None for objects of patches.

        Parameters
        ----------
        place : SearchPlane
        grid : PatchGrid
        window : IntensityWindow or None
            That the model saw it through.

        Raises
        ------
        ImageError
            The pixels cannot be read any more.
        """
        from napari_dinov3_sim.core.objects.guide import may_have_edges, read_guide

        if self.wanted.outline == "patches":
            return None
        if not may_have_edges(grid.image_shape, place.plan.planes):
            self._note(place, TOO_LARGE)
            return None
        return read_guide(self.planes.source(place), window, grid)

    def label(
        self,
        similarity: SimilarityMap,
        threshold: float,
        place: SearchPlane,
        guide: PixelGuide | None,
    ) -> tuple[NDArray[np.int32], PatchGrid]:
        """Return objects, and whether each number is one of a patch or a pixel.

        Parameters
        ----------
        similarity : SimilarityMap
        threshold : float
        place : SearchPlane
        guide : PixelGuide or None

        Returns
        -------
        labels : ndarray of int32, shape (rows, columns)
        grid : PatchGrid
        """
        from napari_dinov3_sim.core.objects.refine import refine_scores

        grid, rules = similarity.grid, self._rules(place)
        if guide is None:
            return label_patches(similarity, threshold, rules), grid
        scores = refine_scores(similarity.cosine, guide)
        labels = label_objects(scores, threshold, rules, grid.patch_size)
        return labels, PatchGrid(grid.image_shape, 1)

    def _rules(self, place: SearchPlane) -> ObjectRules:
        """Return the limits in pixels of the embedded level."""
        across, down = place.ratios
        metres = metres_of(place.pixel)
        area, wanted = None if metres is None else metres[0] * metres[1], self.wanted
        # The pixel of a result is one of the embedded level.
        area = None if area is None else area / (across * down)
        try:
            limits = wanted.min_area.pixels(area), wanted.max_area.pixels(area)
        except SimilarityError as error:
            self._note(place, f"has no pixel size, so objects of any size are kept: {error}")
            limits = 0.0, float("inf")
        least, most = (limit / (across * down) for limit in limits)
        return ObjectRules(least, most, wanted.split)

    def _note(self, place: SearchPlane, text: str) -> None:
        if (place.path, text) not in self._told:
            self._told.add((place.path, text))
            note(f"note: {place.path} {text}")
