"""Shapes and Labels layers of the user's as queries; they are looked at and never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.drawn_regions import DrawnRegions
from napari_dinov3_sim.session.labelled_regions import LabelledRegions
from napari_dinov3_sim.session.marks import is_derived
from napari_dinov3_sim.session.questions import MAX_LABEL_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Any

    from napari.layers import Image, Labels, Layer, Shapes

    from napari_dinov3_sim.session.atlas import Atlas
    from napari_dinov3_sim.session.palette import Palette
    from napari_dinov3_sim.session.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.questions import AnyPick


class Regions:
    """The layers whose shapes and labels are queries.

    Each polygon, rectangle and ellipse is the mean of the patches below it, weighted by how much
    of each it covers; of lines and paths, the patches they run over. Kind and sign are those of
    the columns ``kind`` and ``sign`` of ``layer.features``; without, the kind is the name of the
    layer. Each label above 0 is a kind of its own, ``<name of the layer> <label>``.

    Parameters
    ----------
    atlas : Atlas
    palette : Palette
        Colours of the kinds.
    changed : callable
        A bound method, called after every change that matters.
    """

    def __init__(self, atlas: Atlas, palette: Palette, changed: Callable[[], None]) -> None:
        self._atlas, self._palette, self._changed = atlas, palette, changed
        self._followed: dict[Hashable, DrawnRegions | LabelledRegions] = {}
        atlas.viewer.layers.events.removed.connect(self._on_removed)

    @property
    def layers(self) -> list[Layer]:
        """The layers that are queries, in the order in which they were added."""
        return [regions.layer for regions in self._followed.values()]

    @property
    def count(self) -> int:
        """How many regions ask, as of the last refresh."""
        return sum(regions.count for regions in self._followed.values())

    @property
    def outside(self) -> int:
        """How many more lie on no ticked image, or have no corners at finite places."""
        return sum(regions.outside for regions in self._followed.values())

    def candidates(self) -> list[Layer]:
        """Return the Shapes and Labels layers of the viewer, except those that this package made.

        Those that are queries already are among them; adding one again does no harm.
        """
        layers = self._atlas.viewer.layers
        return [layer for layer in layers if _is_drawn(layer) and not is_derived(layer)]

    def add(self, layer: Shapes | Labels, image: Image | None = None) -> None:
        """Make the shapes or labels of a layer queries, and follow every change of them.

        Parameters
        ----------
        layer : napari.layers.Shapes or napari.layers.Labels
        image : napari.layers.Image, optional
            The image they lie on; by default, and where they do not lie on it, the topmost
            visible one that is searched. It is remembered for as long as they lie on it.

        Raises
        ------
        SimilarityError
            The layer or the image cannot be used; the sentence says why.
        """
        self._check(layer, image)
        self.remove(layer, tell=False)
        image_id = None if image is None else image.unique_id
        self._followed[layer.unique_id] = self._follow(layer, image_id)
        self._changed()

    def _check(self, layer: Layer, image: Image | None) -> None:
        if layer not in self.candidates():
            raise SimilarityError(
                f"{layer.name} cannot be a query region; choose a Shapes or Labels layer of your "
                "own that is in the viewer."
            )
        if image is not None and self._atlas.image(image.unique_id) is None:
            raise SimilarityError(
                f"{image.name} is none of the images that can be searched; choose one of those."
            )

    def _follow(
        self, layer: Shapes | Labels, image_id: Hashable | None
    ) -> DrawnRegions | LabelledRegions:
        from napari.layers import Labels

        if not isinstance(layer, Labels):
            return DrawnRegions(layer, image_id, self._atlas, self._palette, self._changed)
        labelled = LabelledRegions(layer, image_id, self._atlas, self._changed)
        found = labelled.kinds_in_memory()
        if found > MAX_LABEL_KINDS:
            labelled.close()
            raise SimilarityError(
                f"{layer.name} has {found} labels here, and each would be a kind with heatmaps of "
                f"its own; use at most {MAX_LABEL_KINDS} labels."
            )
        return labelled

    def remove(self, layer: Shapes | Labels, *, tell: bool = True) -> None:
        """Let the shapes or labels of a layer be no queries any more; the layer stays as it is."""
        regions = self._followed.pop(layer.unique_id, None)
        if regions is not None:
            regions.close()
            if tell:
                self._changed()

    def picks(self) -> tuple[tuple[AnyPick, ...], Mapping[PlaneKey, Plane]]:
        """Return what is asked now, and the planes it lies on; see `PickSource`."""
        found: list[AnyPick] = []
        planes: dict[PlaneKey, Plane] = {}
        for regions in self._followed.values():
            picks, on = regions.picks()
            found += picks
            planes |= on
        return tuple(found), planes

    def close(self) -> None:
        """Stop listening."""
        self._atlas.viewer.layers.events.removed.disconnect(self._on_removed)
        for regions in self._followed.values():
            regions.close()
        self._followed.clear()

    def _on_removed(self, event: Any) -> None:
        self.remove(event.value)


def _is_drawn(layer: Layer) -> bool:
    from napari.layers import Labels, Shapes

    return isinstance(layer, Labels | Shapes)
