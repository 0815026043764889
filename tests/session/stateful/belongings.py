"""The layers that are the user's, and what each was like when the user last touched it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from napari.layers import Image, Labels, Points, Shapes

COMMON = ("name", "opacity", "blending", "scale", "translate", "rotate", "shear")
OF_TYPE = {
    Image: ("contrast_limits", "gamma", "interpolation2d"),
    Labels: ("contour",),
    Shapes: ("edge_color", "face_color", "edge_width", "shape_type"),
    Points: ("border_color", "size", "symbol"),
}


def portrait(layer) -> dict:
    """All of a layer that nobody but the user may change."""
    found = {name: deepcopy(getattr(layer, name)) for name in COMMON + _names_for(layer)}
    found["affine"] = np.array(layer.affine.affine_matrix)
    if "result" not in str(layer.metadata):  # whose mark says what class it is of
        found["metadata"] = deepcopy(layer.metadata)
    if isinstance(layer, Image):
        found["colormap"] = layer.colormap.name
    if isinstance(layer, Points | Shapes):
        found["features"] = layer.features.to_dict("list")
    found["data"] = [np.array(part) for part in layer.data]
    return found


def _names_for(layer) -> tuple[str, ...]:
    return next(names for sort, names in OF_TYPE.items() if isinstance(layer, sort))


def differences(layer, before: dict) -> list[str]:
    """The names of what is not any more what it was."""
    now = portrait(layer)
    return [name for name in before if not same(before[name], now[name])]


def same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        numbers = one.dtype.kind in "fc"
        return bool(np.array_equal(one, other, equal_nan=numbers))
    if is_missing(one):
        return is_missing(other)
    return bool(np.all(one == other))


def is_missing(value) -> bool:
    """Whether a cell of a table is empty: None, or what differs from itself."""
    return value is None or (isinstance(value, float) and np.isnan(value))


class Belongings:
    """Remembers the user's layers: their order, whether they are shown, and all that they are."""

    def __init__(self, viewer) -> None:
        self._viewer = viewer
        self.order: list = []
        self.visible: dict = {}
        self.portraits: dict = {}
        self.newcomers: set = set()

    def __contains__(self, layer) -> bool:
        return layer in self.portraits

    def add(self, layer, above=(), *, newcomer=False) -> None:
        """Remember a layer that lies below some others, and above the rest."""
        place = sum(other not in above for other in self.order)
        self.order.insert(place, layer)
        self.visible[layer] = True
        if newcomer:
            self.newcomers.add(layer)
        self.keep(layer)

    def keep(self, layer) -> None:
        """Remember what a layer is like: the user has just made it so."""
        self.portraits[layer] = portrait(layer)

    def forget(self, layer) -> None:
        self.order.remove(layer)
        self.newcomers.discard(layer)
        del self.visible[layer], self.portraits[layer]

    # -- whether they are as they were -------------------------------------------------------

    def check(self) -> None:
        """Nothing of what the user made is another than it was."""
        for layer, before in self.portraits.items():
            changed = differences(layer, before)
            assert not changed, f"{changed} of {layer} changed"

    def check_places(self) -> None:
        """All lie in the order, and are as visible, as the user has made them."""
        now = [layer for layer in self._viewer.layers if layer in self.portraits]
        old = [layer for layer in now if layer not in self.newcomers]
        assert old == [layer for layer in self.order if layer not in self.newcomers]
        self.order = now
        self.newcomers.clear()
        seen = {layer: layer.visible for layer in now}
        assert seen == self.visible
