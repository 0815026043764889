"""Exports as frozen values: taken from the layers on the main thread, read by the worker.

Objects are taken from their Labels layers, for these may have been painted in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.exchange.objects import (
    FILE_ORDER,
    ClassObjects,
    ImageObjects,
    ImagePlacement,
    ObjectNumbers,
)
from napari_dinov3_sim.exchange.placement import Axis, named_axes
from napari_dinov3_sim.exchange.shapes import ExchangeError
from napari_dinov3_sim.session.images.patch_array import PatchwiseArray
from napari_dinov3_sim.session.images.planes import levels_of
from napari_dinov3_sim.session.images.transforms import turned_axes
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.results.result_layers import present_features

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.results.computations import AnsweredImage
    from napari_dinov3_sim.session.scene import Scene

COPIED = 2**22
"""Elements up to which labels are copied at once, in 2 ms; larger ones are read plane by plane,
while somebody may go on painting."""

LABEL_COLUMNS = ("label", "index")
"""Columns of features that say which object a row belongs to."""


def file_placement(layer: Image | Labels, name: str) -> ImagePlacement:
    """Return that of a layer.

    A file has no rotation, no shear and no axis that runs backwards: such a layer keeps its
    pixels and their size, and begins at 0. What its affine scales is in the sizes.

    Raises
    ------
    ExchangeError
        It has more axes than files carry.
    """
    units = [str(unit) for unit in layer.units]
    try:
        names = named_axes([str(label) for label in layer.axis_labels], units)
    except ValueError as error:
        raise ExchangeError(f"{name} has {error}; export a part of it.") from error
    sizes, origins = _grid(layer)
    found = [Axis(*axis) for axis in zip(names, sizes, origins, units, strict=True)]
    order = sorted(range(len(names)), key=lambda at: FILE_ORDER.index(names[at]))
    shape = tuple(int(n) for n in levels_of(layer)[0].shape[: layer.ndim])
    return ImagePlacement(name, shape, tuple(found[at] for at in order), tuple(order))


def _grid(layer: Image | Labels) -> tuple[list[float], list[float]]:
    """Return sizes of pixels, and the centre of the first, along the axes of a layer."""
    turned = turned_axes(layer)
    # An affine scales, too; more digits are those of a rotation, and there are none without one.
    lengths = [float(f"{length:.12g}") for length in np.linalg.norm(turned, axis=0)]
    sizes = [length * abs(float(own)) for length, own in zip(lengths, layer.scale, strict=True)]
    straight = np.allclose(turned, np.diag(lengths), rtol=1e-6, atol=1e-8 * max(lengths))
    if straight and np.allclose(layer.shear, 0) and (layer.scale > 0).all():
        return sizes, [float(at) for at in layer.data_to_world((0.0,) * layer.ndim)]
    return sizes, [0.0] * layer.ndim


def objects_of(scene: Scene, palette: Palette) -> tuple[ImageObjects, ...]:
    """Return the objects that are in the viewer, image by image.

    Raises
    ------
    SimilarityError
        There are none.
    """
    found: dict[Hashable, dict[str, Any]] = {}
    for layer in scene.viewer.layers:
        mark = mark_of(layer, "result")
        if mark is None or mark["what"][0] != "labels" or scene.image_of(mark["image"]) is None:
            continue
        classes = found.setdefault(mark["image"], {})
        before = classes.get(mark["what"][1])
        if before is None or layer.visible or not before.visible:  # the topmost that is seen
            classes[mark["what"][1]] = layer
    if not found:
        raise SimilarityError(
            "There are no objects to export yet; press Make Labels first, and look at them."
        )
    return tuple(
        ImageObjects(
            _placement(scene, image_id),
            tuple(_objects(name, palette[name], layer) for name, layer in classes.items()),
        )
        for image_id, classes in found.items()
    )


def _placement(scene: Scene, image_id: Hashable) -> ImagePlacement:
    image = scene.image_of(image_id)
    if image is None:  # asked for just before
        raise SimilarityError("An image has left the viewer; open it again.")
    return file_placement(image, scene.targets.name(image))


def _objects(class_name: str, colour: str, layer: Labels) -> ClassObjects:
    data = levels_of(layer)[0]
    if isinstance(data, np.ndarray) and data.size <= COPIED:
        data = data.copy()
    return ClassObjects(class_name, colour, data, _measured(layer))


def _measured(layer: Labels) -> ObjectNumbers:
    features = present_features(layer)
    key = next((name for name in LABEL_COLUMNS if name in features), None)
    if key is None:
        return ObjectNumbers(np.empty(0), {})
    columns = {
        name: features[name].to_numpy(copy=True) for name in features if name not in LABEL_COLUMNS
    }
    numbers = {name: values for name, values in columns.items() if _are_numbers(values)}
    return ObjectNumbers(features[key].to_numpy(copy=True), numbers)


def _are_numbers(values: NDArray[Any]) -> bool:
    return np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)


@dataclass(frozen=True, eq=False)
class ImageHeatmaps:
    """The scores of one image, class by class, on the planes that are answered."""

    placement: ImagePlacement
    classes: Mapping[str, PatchwiseArray] = field(repr=False)


def heatmaps_of(scene: Scene, images: Sequence[AnsweredImage]) -> tuple[ImageHeatmaps, ...]:
    """Return the heatmaps of images that are answered."""
    return tuple(
        ImageHeatmaps(_placement(scene, image.plane.key.layer_id), _arrays(image))
        for image in images
    )


def _arrays(image: AnsweredImage) -> dict[str, PatchwiseArray]:
    names = dict.fromkeys(name for maps in image.maps.values() for name in maps.cosines)
    first, shape = image.plane.key, image.plane.shape
    arrays = {}
    for name in names:
        known = {key: maps for key, maps in image.maps.items() if name in maps.cosines}
        values = {key.indices: maps.cosines[name] for key, maps in known.items()}
        grid = next(iter(known.values())).grid
        arrays[name] = PatchwiseArray(shape, shape, first.axes, grid, values)
    return arrays
