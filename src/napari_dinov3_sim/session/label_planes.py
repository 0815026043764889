"""Planes of a Labels layer: read late, and known again after they were painted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.planes import choose_level

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import DTypeLike, NDArray

COPIED = 2**26
"""Planes in memory of up to so many bytes are copied, so that a change of any kind is seen, and
no worker reads what is being painted. Of others only what the layer tells is known."""

Position = tuple[tuple[int, int], ...]
"""Where a plane lies: (axis, index) at level 0."""


@dataclass(frozen=True, eq=False)
class LazyPlane:
    """A plane of an array that is read when it becomes an array itself."""

    data: Any = field(repr=False)
    index: tuple[int | slice, ...]

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.integer[Any]]:
        """Read the plane."""
        del copy
        return np.asarray(self.data[self.index], dtype)


@dataclass(frozen=True, eq=False)
class LabelPlane:
    """One state of one plane of labels.

    Attributes
    ----------
    labels : array_like, shape (H, W)
    version : int
        Never the same for two states.
    ratio : tuple of float
        Pixels of this level per pixel of level 0, along rows and columns.
    empty : bool
        Whether it is known that nothing is labelled.
    """

    labels: Any = field(repr=False)
    version: int
    ratio: tuple[float, float]
    empty: bool


class LabelPlanes:
    """Remembers the planes that were asked for.

    Parameters
    ----------
    layer : napari.layers.Labels
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = layer
        self._versions = count()
        self._shape: tuple[int, ...] = ()
        self._known: dict[tuple[tuple[int, int], Position], LabelPlane] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels at level 0."""
        data = self._layer.data
        return tuple((data[0] if self._layer.multiscale else data).shape)

    def forget_lazy(self) -> None:
        """Take planes that are not copied for changed: the layer was painted on."""
        copied = {k: v for k, v in self._known.items() if isinstance(v.labels, np.ndarray)}
        self._known = copied

    def plane(self, axes: tuple[int, int], position: Position) -> LabelPlane:
        """Return the present state of a plane; the same object if nothing has changed."""
        if self._shape != self.shape:
            self._known.clear()
            self._shape = self.shape
        key = (axes, position)
        known = self._known.get(key)
        if known is None or self._is_stale(known, *key):
            self._known[key] = self._read(*key)
        return self._known[key]

    def changed(self) -> bool:
        """Whether a plane that was asked for is not any more what it was."""
        if self._known and self._shape != self.shape:
            return True
        return any(self._is_stale(known, *key) for key, known in self._known.items())

    def _is_stale(self, known: LabelPlane, axes: tuple[int, int], position: Position) -> bool:
        lazy = self._lazy(axes, position)[0]
        if not _is_copied(lazy):
            return isinstance(known.labels, np.ndarray)
        return not np.array_equal(known.labels, lazy.data[lazy.index])

    def _read(self, axes: tuple[int, int], position: Position) -> LabelPlane:
        lazy, ratio = self._lazy(axes, position)
        if not _is_copied(lazy):
            return LabelPlane(lazy, next(self._versions), ratio, empty=False)
        labels = np.array(lazy.data[lazy.index])
        return LabelPlane(labels, next(self._versions), ratio, empty=not (labels > 0).any())

    def _lazy(
        self, axes: tuple[int, int], position: Position
    ) -> tuple[LazyPlane, tuple[float, float]]:
        data = choose_level(self._layer, axes)[1]
        full = self.shape
        index: list[int | slice] = [slice(None)] * self._layer.ndim
        for axis, at in position:
            index[axis] = (2 * at + 1) * data.shape[axis] // (2 * full[axis])
        rows, columns = (data.shape[axis] / full[axis] for axis in axes)
        return LazyPlane(data, tuple(index)), (rows, columns)


def _is_copied(lazy: LazyPlane) -> bool:
    data = lazy.data
    if not isinstance(data, np.ndarray):
        return False
    sides = [n for n, at in zip(data.shape, lazy.index, strict=True) if isinstance(at, slice)]
    return bool(np.prod(sides) * data.itemsize <= COPIED)
