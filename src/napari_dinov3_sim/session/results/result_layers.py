"""Layers of results: made once, updated as long as the user has not changed them."""

from __future__ import annotations

import colorsys
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import (
    MARKER,
    follow_name,
    layer_name,
    mark,
    mark_of,
)
from napari_dinov3_sim.session.layers.base import insert_above
from napari_dinov3_sim.session.layers.label_features import (
    drop_columns,
    made_columns,
    note_columns,
    stale_columns,
)
from napari_dinov3_sim.session.layers.style import CLASS_COLOURS, shades_of
from napari_dinov3_sim.session.results.computations import checksum

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from napari.layers import Image, Labels, Layer, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.images.planes import LayerAxes
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.results.computations import (
        FoundColours,
        FoundLabels,
        FoundMatches,
        FoundPeaks,
    )
    from napari_dinov3_sim.session.scene import Scene

OF_CLASS = ("labels", "tracks", "tracked objects")
"""Results that have a layer for each class."""

GOLDEN = 0.618
"""Steps of the hue after which neighbours differ most."""


class ResultLayers:
    """Shows results over their images.

    What a layer was made from is in its mark, so that a later session goes on with it. A layer
    whose data are not those any more belongs to the user: it stays, and a new one is made.

    Parameters
    ----------
    scene : Scene
    palette : Palette
        Colours of the classes.
    """

    def __init__(self, scene: Scene, palette: Palette) -> None:
        self._scene, self._palette = scene, palette
        # By number: classes that follow each other may have the same name.
        self._renamed: dict[int | None, set[Hashable]] = {}

    def show_labels(self, found: FoundLabels) -> bool:
        """Show objects as a Labels layer; return whether their image is still there.

        With several classes, the objects of a class are in shades of its colour.
        """
        from napari.layers import Labels

        image = self._image(found.layer)
        if image is None:
            return False
        what = ("labels", found.class_name)
        name = self._name(image, "objects", found.class_name, several=found.several)
        layer = self._fitting(image, what, found.data)
        if layer is None:
            data, multiscale = found.data.data, found.data.multiscale
            layer = Labels(data, multiscale=multiscale, name=name, opacity=0.7)
            layer.editable = isinstance(data, np.ndarray)
        colours: Sequence[str] = CLASS_COLOURS
        if found.several:
            colours = shades_of(self._palette[found.class_name], self._palette.values())
        drawn = _colour(layer, colours)
        made = made_columns(layer)
        self._place(image, layer, what, found.checksum, name)
        axes = found.layer.axes
        layer.metadata[MARKER] |= {"axes": axes, "planes": found.planes, "colours": drawn}
        note_columns(layer, made)
        drop_columns(layer, stale_columns(layer, found.checksum))
        return True

    def show_colours(self, found: FoundColours) -> bool:
        """Show colours as an RGB Image layer; return whether their image is still there."""
        from napari.layers import Image as ImageLayer

        image = self._image(found.layer)
        if image is None:
            return False
        what = ("colours",)
        name = self._name(image, "colours")
        layer = self._fitting(image, what, found.data)
        if layer is None:
            layer = ImageLayer(
                found.data.data,
                rgb=True,
                multiscale=found.data.multiscale,
                name=name,
                interpolation2d="nearest",
            )
        self._place(image, layer, what, found.checksum, name)
        return True

    def show_peaks(self, found: FoundPeaks) -> bool:
        """Show peaks as a Points layer; return whether their image is still there."""
        image = self._image(found.layer)
        if image is None:
            return False
        classes = [peak.class_name for peak in found.peaks]
        features = {
            "score": np.array([peak.score for peak in found.peaks], float),
            "class": np.array(classes, object),
            "image": np.array([self._scene.targets.name(image)] * len(classes), object),
        }
        places = np.array([peak.coordinates for peak in found.peaks], float)
        colours = [self._palette[class_name] for class_name in classes]
        layer = self._unchanged(image, ("peaks",))
        name, look = self._name(image, "peaks"), (colours, found.size)
        layer = _points(layer, image, name, places=places, features=features, look=look)
        self._place(image, layer, ("peaks",), checksum_of(layer), name)
        return True

    def show_matches(self, found: FoundMatches) -> bool:
        """Show matches as two Points layers; return whether both images are still there."""
        first, second = (self._image(layer) for layer in found.layers)
        if first is None or second is None:
            return False
        pair = [(first, ("matches", second.unique_id)), (second, ("matches", first.unique_id))]
        old = [self._unchanged(image, what) for image, what in pair]
        if None in old:  # one that was edited has lost its partner
            old = [None, None]
        others = [self._scene.targets.name(image) for image in (second, first)]
        numbers = np.arange(1, len(found.cosine) + 1)
        features = {"match": numbers, "cosine": found.cosine.astype(float)}
        layers = []
        for side, (image, what) in enumerate(pair):
            places, size = found.coordinates[side], found.sizes[side]
            name = self._name(image, f"matches with {others[side]}")
            look = _hues(len(numbers)), size
            layer = _points(old[side], image, name, places=places, features=features, look=look)
            self._place(image, layer, what, checksum_of(layer), name)
            layers.append(layer)
        if old[0] is None:
            self._scene.viewer.layers.link_layers(layers, ("visible", "opacity"))
        return True

    def adopt(
        self,
        image: Image,
        layer: Layer,
        what: tuple[Any, ...],
        *,
        unchanged: bool,
        made: Sequence[str] = (),
        searched: tuple[tuple[int, int], frozenset[Position]] | None = None,
    ) -> None:
        """Show a layer that an earlier session has made over the same image.

        Parameters
        ----------
        image : napari.layers.Image
        layer : napari.layers.Layer
        what : tuple
            What it shows, as its mark says.
        unchanged : bool
            Whether it is as it was made then.
        made : sequence of str, optional
            Which columns of its features were made of its labels as they are.
        searched : (tuple of int, frozenset of tuple of int), optional
            Along which axes its planes lie, and the positions of those that were searched.
        """
        checksum_now = checksum_of(layer)
        number = checksum_now if unchanged else checksum_now ^ 1
        self._place(image, layer, what, number, layer.name)
        if made:
            note_columns(layer, dict.fromkeys(made, checksum_now))
        if searched is not None:
            layer.metadata[MARKER] |= {"axes": searched[0], "planes": searched[1]}

    def has(self, what: str) -> bool:
        """Whether a result of a sort, such as 'labels', is in the viewer."""
        marks = (mark_of(layer, "result") for layer in self._scene.viewer.layers)
        return any(found is not None and found["what"][0] == what for found in marks)

    def rename_class(self, old: str, new: str, number: int | None) -> None:
        """Make objects of a class those of the other, in the names of the layers too."""
        self._renamed[number] = self._rename(self._scene.viewer.layers, old, new)

    def part_class(self, old: str, new: str, number: int) -> None:
        """Take back what `rename_class` did, and leave the other class its own."""
        ids = self._renamed.pop(number, set())
        self._rename(
            [each for each in self._scene.viewer.layers if each.unique_id in ids], new, old
        )

    def _rename(self, layers: Iterable[Layer], old: str, new: str) -> set[Hashable]:
        """Return the ids of layers that are those of the other class now."""
        renamed: set[Hashable] = set()
        for layer in layers:
            found = mark_of(layer, "result")
            if found is not None and found["what"][0] in OF_CLASS and found["what"][1] == old:
                found["what"] = (found["what"][0], new)
                given = found.get("name", "")
                wanted = f"{given.removesuffix(f': {old}')}: {new}"
                found["name"] = follow_name(layer, given, wanted)
                renamed.add(layer.unique_id)
        return renamed

    # -- finding and placing -----------------------------------------------------------------

    def _image(self, layer: LayerAxes) -> Image | None:
        """Return an image if it still has the pixels that a result was computed from."""
        record = self._scene.targets.get(layer.layer_id)
        if record is None or record.version != layer.version:
            return None
        return record.layer

    def _unchanged(self, image: Image, what: tuple[Any, ...]) -> Any | None:
        """Return the layer made earlier for the same, if it is as it was made."""
        for layer in reversed(self._scene.viewer.layers):
            found = mark_of(layer, "result")
            if found is None or (found["image"], found["what"]) != (image.unique_id, what):
                continue
            if layer.ndim == image.ndim and found["checksum"] == checksum_of(layer):
                return layer
        return None

    def _fitting(self, image: Image, what: tuple[Any, ...], data: LayerData) -> Any | None:
        """Return the layer made earlier with new data in it; None where one must be made."""
        layer: Any | None = self._unchanged(image, what)
        if layer is None:
            return None
        if not data.fits(layer):
            self._scene.viewer.layers.remove(layer)
            return None
        data.show_in(layer)
        return layer

    def _name(
        self, image: Image, what: str, class_name: str = DEFAULT_CLASS, *, several: bool = False
    ) -> str:
        return layer_name(self._scene.targets.name(image), what, class_name, several=several)

    def _place(
        self, image: Image, layer: Layer, what: tuple[Any, ...], number: int, name: str
    ) -> None:
        """Lay a layer over its image, in the viewer if it is new."""
        viewer = self._scene.viewer
        copy_transform(image, layer)
        before = mark_of(layer, "result")
        given = name if before is None else follow_name(layer, before.get("name", ""), name)
        # Marked before it is seen: an unmarked image would be searched.
        mark(layer, "result", image=image.unique_id, what=what, checksum=number, name=given)
        if layer not in viewer.layers:
            top = self._scene.top(image.unique_id) or image
            over = [other for other in viewer.layers if _lies_over(other, image)]
            insert_above(viewer, layer, [top, *over])


def present_features(layer: Labels) -> Any:
    """Return the features of a layer, a data frame, without those of labels of before."""
    if not made_columns(layer):
        return layer.features
    stale = stale_columns(layer, checksum_of(layer))
    return layer.features.drop(columns=list(stale), errors="ignore")


def _colour(layer: Labels, colours: Sequence[str]) -> str | None:
    """Draw objects in some colours, unless the user has given them others.

    Returns
    -------
    str or None
        Name of the colormap that was set last.
    """
    from napari.utils import CyclicLabelColormap

    found = mark_of(layer, "result")
    drawn: str | None = None if found is None else found.get("colours")
    name = " ".join(("objects", *colours))
    if name == drawn or (found is not None and layer.colormap.name != drawn):
        return drawn
    layer.colormap = CyclicLabelColormap(["transparent", *colours], name=name)
    return name


def _lies_over(layer: Layer, image: Image) -> bool:
    found = layer.metadata.get(MARKER)
    return isinstance(found, dict) and found.get("image") == image.unique_id


def checksum_of(layer: Any) -> int:
    """Return a number that tells whether what a layer of results shows is still what it was."""
    from napari.layers import Points

    if not isinstance(layer, Points):
        return checksum(layer.data, getattr(layer, "multiscale", False))
    features = repr(layer.features.to_dict("list")).encode()
    return zlib.crc32(features, checksum(np.asarray(layer.data, float)))


def _points(
    layer: Points | None,
    image: Image,
    name: str,
    *,
    places: NDArray[np.float64],
    features: dict[str, Any],
    look: tuple[Sequence[Any], float],
) -> Points:
    """Return a Points layer with new points, the given one or a new one.

    `look` are the colours of the points and their size.
    """
    from napari.layers import Points as PointsLayer

    colours, size = look
    if layer is None:
        layer = PointsLayer(
            ndim=image.ndim,
            name=name,
            size=size,
            symbol="ring",
            border_width=0.1,
            canvas_size_limits=(6, 40),
        )
        layer.current_symbol = "ring"
    layer.selected_data = set()
    layer.data = places.reshape(-1, image.ndim)
    layer.features = features
    if len(colours):
        layer.border_color = layer.face_color = colours
    return layer


def _hues(count: int) -> list[tuple[float, ...]]:
    """Return colours of which neighbours differ much."""
    hues = [colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.75, 1.0) for number in range(count)]
    return [(*hue, 1.0) for hue in hues]
