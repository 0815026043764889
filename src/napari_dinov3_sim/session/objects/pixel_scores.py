"""Scores of pixels, computed once for each map and kept while there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.objects.guide import PixelGuide
    from napari_dinov3_sim.core.objects.labelling import ObjectRules
    from napari_dinov3_sim.session.images.planes import IntensityWindows, Plane

BUDGET = 2**28
"""Bytes of guides and scores that are kept; those used last."""


@dataclass(frozen=True, eq=False)
class SearchedPlane:
    """A plane whose objects are wanted, and how; it may travel to a worker.

    Attributes
    ----------
    plane : Plane
    digest : str
        Of its pixels and the model.
    windows : tuple or None
        That it was seen through.
    rules : ObjectRules
        Areas in pixels of level 0.
    edges : bool
        Whether objects end at the edges of the image.
    """

    plane: Plane
    digest: str
    windows: IntensityWindows | None = field(repr=False)
    rules: ObjectRules
    edges: bool


class PixelScores:
    """Refines scores, and keeps what may be needed again; for any thread.

    Parameters
    ----------
    budget : int, optional
        In bytes.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget, self._lock = budget, threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, Any, int]] = OrderedDict()
        self._failed: dict[Hashable, str] = {}

    def of(
        self,
        searched: SearchedPlane,
        class_name: str,
        cosine: NDArray[np.float32],
        grid: PatchGrid,
    ) -> NDArray[np.float32] | None:
        """Return the score of each pixel of a plane.

        Parameters
        ----------
        searched : SearchedPlane
        class_name : str
        cosine : ndarray of float32, shape (rows, columns)
        grid : PatchGrid

        Returns
        -------
        ndarray of float32, shape (H, W), or None
            None if the pixels cannot be read any more, see `problem`.
        """
        from napari_dinov3_sim.core.objects.refine import refine_scores

        key = searched.plane.key, searched.digest, class_name
        known = self._find(key)
        if known is not None and np.array_equal(known[0], cosine):
            scores: NDArray[np.float32] = known[1]
            return scores
        guide = self._guide(searched, grid)
        if guide is None:
            return None
        scores = refine_scores(cosine, guide)
        self._keep(key, cosine, scores, scores.nbytes)
        return scores

    def problem(self, searched: SearchedPlane) -> str:
        """Return why a plane has no scores of pixels; empty if it has."""
        return self._failed.get((searched.plane.key, searched.digest), "")

    def give_up(self, searched: SearchedPlane, error: Exception) -> None:
        """Remember why a plane can have no scores of pixels; its objects are made of patches."""
        self._failed[searched.plane.key, searched.digest] = (
            f"The edges of {searched.plane.name} cannot be found ({error}), so its objects are "
            "outlined along patches; open it again for edges."
        )

    def _guide(self, searched: SearchedPlane, grid: PatchGrid) -> PixelGuide | None:
        from napari_dinov3_sim.core.objects.guide import read_guide
        from napari_dinov3_sim.session.embedding.plane_reader import open_pixels

        plane, key = searched.plane, (searched.plane.key, searched.digest)
        if key in self._failed:
            return None
        known = self._find(key)
        if known is not None and known[0] == grid:
            guide: PixelGuide = known[1]
            return guide
        try:
            source, window = open_pixels(plane, searched.windows or ())
            guide = read_guide(source, window, grid)
        except Exception as error:  # a lazy array may raise anything
            self.give_up(searched, error)
            return None
        self._keep(key, grid, guide, guide.nbytes)
        return guide

    def _find(self, key: Hashable) -> tuple[Any, Any, int] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: Hashable, of: Any, value: Any, size: int) -> None:
        with self._lock:
            self._kept[key] = of, value, size
            self._kept.move_to_end(key)
            total = sum(size for *_, size in self._kept.values())
            while total > self._budget and len(self._kept) > 1:
                _, (*_, size) = self._kept.popitem(last=False)
                total -= size
