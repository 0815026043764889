"""Sample images for File > Open Sample; all of them come with scikit-image."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LayerData = tuple[Any, dict[str, Any], str]
"""What napari takes for a layer: data, keyword arguments, type."""

GAP = 20
"""Pixels between two pictures that stand side by side."""

VIEW_TURN, VIEW_ZOOM = 20.0, 1.5
"""Degrees and magnification of the second view of the cat."""


def _opened_whole(make: Callable[[], list[LayerData]]) -> Callable[[], list[LayerData]]:
    """Return the maker of a sample of several images, all of which napari's view then shows.

    napari fits the view to the first of them only.
    """

    @wraps(make)
    def make_and_show() -> list[LayerData]:
        made = make()
        if "napari" in sys.modules:
            from napari import current_viewer

            viewer = current_viewer()
            if viewer is not None:
                _fit_when_opened(viewer.layers, viewer.fit_to_view, [data for data, _, _ in made])
        return made

    return make_and_show


def _fit_when_opened(layers: Any, fit: Callable[[], None], images: list[Any]) -> None:
    """Fit the view once, when images have been added to a list of layers one after the other."""
    from napari.layers import Image

    waiting = list(images)

    def on_inserted(event: Any) -> None:
        if not isinstance(event.value, Image):
            return
        expected = event.value.data is waiting.pop(0)
        if not expected or not waiting:
            layers.events.inserted.disconnect(on_inserted)
        if expected and not waiting:
            fit()

    layers.events.inserted.connect(on_inserted)


@_opened_whole
def make_histology_pair() -> list[LayerData]:
    """Return two fields of colonic glands (DAB for FHL2, hematoxylin); pixel size unknown."""
    image = _picture("immunohistochemistry")
    return _pair(image[:, :256], image[:, 256:], "histology field 1", "histology field 2")


@_opened_whole
def make_retina_pair() -> list[LayerData]:
    """Return the nasal and the temporal half of a fundus photograph, binned 2 × 2."""
    image = (
        _picture("retina")[:1410, :1410].reshape(705, 2, 705, 2, 3).mean((1, 3)).astype(np.uint8)
    )
    return _pair(image[:, :352], image[:, 352:], "retina, optic disc", "retina, macula")


@_opened_whole
def make_coin_pair() -> list[LayerData]:
    """Return two trays of Greek coins, grayscale."""
    image = _picture("coins")
    return _pair(image[:150], image[150:], "coins, tray 1", "coins, tray 2")


@_opened_whole
def make_stereo_pair() -> list[LayerData]:
    """Return the left and the right view of a motorcycle (Middlebury 2014)."""
    left, right, _ = _picture("stereo_motorcycle")
    return _pair(left, right, "motorcycle, left eye", "motorcycle, right eye")


@_opened_whole
def make_turned_pair() -> list[LayerData]:
    """Return a cat, and a turned and enlarged view of it whose layer undoes both."""
    from skimage.transform import rescale, rotate

    cat = _picture("chelsea")
    turned = rotate(cat, VIEW_TURN, preserve_range=True)
    crop = turned[50:250, 75:375]
    view = rescale(crop, VIEW_ZOOM, channel_axis=-1, preserve_range=True).astype(np.uint8)
    placed = _place_upright(view.shape, (cat.shape[0] / 2, 1.5 * cat.shape[1] + GAP))
    return [
        (cat, {"name": "cat"}, "image"),
        (view, {"name": "cat, turned and enlarged", **placed}, "image"),
    ]


def make_stack() -> list[LayerData]:
    """Return a uint16 stack (z, y, x) of 12-bit data: a field that drifts over the glands."""
    gray = (_picture("immunohistochemistry").mean(-1) * (4095 / 255)).astype(np.uint16)
    planes = [gray[128:384, start : start + 256] for start in range(0, 257, 64)]
    return [(np.stack(planes), {"name": "drifting field (z, y, x)"}, "image")]


def _picture(name: str) -> Any:
    import skimage.data

    return getattr(skimage.data, name)()


def _place_upright(shape: tuple[int, ...], centre: tuple[float, float]) -> dict[str, Any]:
    """Return the transforms of a layer that undo the turn and the zoom around a centre."""
    angle = np.deg2rad(-VIEW_TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.asarray(shape[:2]) - 1) / 2 / VIEW_ZOOM
    translate = tuple(map(float, centre - turn @ middle))
    return {"rotate": -VIEW_TURN, "scale": (1 / VIEW_ZOOM,) * 2, "translate": translate}


def _pair(
    first: NDArray[Any], second: NDArray[Any], first_name: str, second_name: str
) -> list[LayerData]:
    shift = (0.0, float(first.shape[1] + GAP))
    return [
        (first, {"name": first_name}, "image"),
        (second, {"name": second_name, "translate": shift}, "image"),
    ]


@dataclass(frozen=True)
class DemoPair:
    """A pair of pictures and a click that shows something.

    Attributes
    ----------
    name : str
        For file names.
    title : str
        What is clicked, for people.
    layers : callable
        The sample; the first layer is clicked.
    click : tuple of int
        Pixel column x and row y of the first picture.
    """

    name: str
    title: str
    layers: Callable[[], list[LayerData]]
    click: tuple[int, int]

    @property
    def images(self) -> list[NDArray[Any]]:
        """The pictures."""
        return [data for data, _, _ in self.layers()]


DEMO_PAIRS = (
    DemoPair("histology", "stained epithelium of a gland", make_histology_pair, (100, 200)),
    DemoPair("cat", "an eye", make_turned_pair, (180, 110)),
    DemoPair("motorcycle", "red paint of the tank", make_stereo_pair, (373, 230)),
)
"""What `napari-dinov3-sim demo` shows, the first one in the window."""
