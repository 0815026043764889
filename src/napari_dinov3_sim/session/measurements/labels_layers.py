"""The Labels layers of results as they are now, and what is measured in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.sources import COLOURS
from napari_dinov3_sim.core.objects.measure import ArrayPart, Placement
from napari_dinov3_sim.core.objects.stacks import TIME, LabelledStack
from napari_dinov3_sim.session.images.patch_array import PatchwiseArray
from napari_dinov3_sim.session.images.planes import levels_of, shown_axes
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.results.summaries import known_images

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    import pint
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.results.computations import AnsweredImage
    from napari_dinov3_sim.session.scene import Scene


@dataclass(frozen=True, eq=False)
class ObjectLabels:
    """The labels of one class in one image, and all that is measured under them.

    Attributes
    ----------
    layer_id : hashable
        Of the Labels layer.
    image, class_name : str
    stack : LabelledStack
    searched : frozenset of tuple of int
        The planes that were searched when the labels were made; empty if that is not known.
    basis : tuple
        Everything but the labels that the numbers depend on; equal as long as they do not change.
    """

    layer_id: Hashable
    image: str
    class_name: str
    stack: LabelledStack = field(repr=False)
    searched: frozenset[Position]
    basis: tuple[object, ...] = field(repr=False)


def result_labels(viewer: ViewerModel) -> list[Labels]:
    """Return the Labels layer of each image and class, the bottom one first.

    Of several for the same, because one was painted in before another was made, the topmost that
    is visible.
    """
    found: dict[tuple[object, object], Labels] = {}
    for layer in viewer.layers:
        mark = mark_of(layer, "result")
        if mark is None or mark["what"][0] != "labels":
            continue
        key = mark["image"], mark["what"][1]
        if key not in found or layer.visible or not found[key].visible:
            found[key] = layer
    return list(found.values())


def collect_labels(scene: Scene) -> tuple[ObjectLabels, ...]:
    """Return what there is to be measured now; main thread only."""
    answered = {image.plane.key.layer_id: image for image in known_images(scene)}
    return tuple(_labels_of(layer, scene, answered) for layer in result_labels(scene.viewer))


def _labels_of(
    layer: Labels, scene: Scene, answered: Mapping[Hashable, AnsweredImage]
) -> ObjectLabels:
    mark = mark_of(layer, "result")
    image_id, class_name = (mark["image"], mark["what"][1]) if mark else (None, "")
    record, image = scene.targets.get(image_id), answered.get(image_id)
    axes = (mark or {}).get("axes")
    if axes is None:  # made before this was noted
        axes = shown_axes(layer, scene.viewer) or (layer.ndim - 2, layer.ndim - 1)
        axes = axes if image is None else image.plane.key.axes
    if image is not None and image.plane.key.axes != axes:
        image = None  # the view was turned since: its planes are others
    searched = (mark or {}).get("planes", frozenset())
    maps = {} if image is None else _maps_of(image, class_name, layer)
    if searched:
        maps = {position: found for position, found in maps.items() if position in searched}
    placement = _placement_of(layer, axes)
    channels = {} if record is None else _channels(record, layer)
    names = _axis_names(layer, None if record is None else record.layer, scene.viewer)
    spatial = _spatial(layer, names, known=placement is not None)
    score = None if image is None or not maps else _score(image, class_name, maps, layer)
    stack = LabelledStack(levels_of(layer)[0], axes, channels, score, placement, spatial, names)
    name = layer.name if record is None else record.name
    place = () if placement is None else (placement.linear.tobytes(), placement.offset.tobytes())
    versions = () if record is None else tuple(_version(scene, one) for one in record.layers)
    basis = (
        name,
        class_name,
        axes,
        place,
        spatial,
        names,
        versions,
        tuple(channels),
        *maps.values(),
    )
    return ObjectLabels(layer.unique_id, name, class_name, stack, searched, basis)


def _version(scene: Scene, layer: Image) -> tuple[object, ...]:
    record = scene.targets.get(layer.unique_id)
    return layer.unique_id, None if record is None else record.version


# -- scores ---------------------------------------------------------------------------------------


def _maps_of(image: AnsweredImage, class_name: str, layer: Labels) -> dict[Position, Any]:
    """Return the maps of the planes that are answered, by position."""
    if tuple(levels_of(layer)[0].shape) != image.plane.shape:
        return {}
    return {key.indices: maps for key, maps in image.maps.items() if class_name in maps.cosines}


def _score(
    image: AnsweredImage, class_name: str, maps: Mapping[Position, Any], layer: Labels
) -> ArrayPart:
    """Return the score of the patch over each pixel, NaN where there is none."""
    shape, grid = tuple(levels_of(layer)[0].shape), next(iter(maps.values())).grid
    values = {position: found.cosines[class_name] for position, found in maps.items()}
    return ArrayPart(PatchwiseArray(shape, shape, image.plane.key.axes, grid, values))


# -- channels -------------------------------------------------------------------------------------


def _channels(record: Target, labels: Labels) -> dict[str, ArrayPart]:
    """Return the channels of an image by name, those that have the axes of the labels."""
    layers = [layer for layer in record.layers if layer.ndim == labels.ndim]
    found: dict[str, ArrayPart] = {}
    for layer, name in zip(layers, _channel_names(layers), strict=True):
        data = levels_of(layer)[0]
        if not layer.rgb:
            found[_free(name or "intensity", found)] = ArrayPart(data)
            continue
        for number, colour in enumerate(COLOURS):
            index = (*(slice(None),) * layer.ndim, number)
            found[_free(f"{name}_{colour}".strip("_"), found)] = ArrayPart(data, index)
    return found


def _channel_names(layers: list[Image]) -> list[str]:
    """Return what tells the channels of one image apart; nothing for one."""
    if len(layers) < 2:
        return [""] * len(layers)
    words = [re.findall(r"\w+", str(layer.name)) for layer in layers]
    shared = set.intersection(*map(set, words))
    own = ["_".join(word for word in name if word not in shared) for name in words]
    return [
        f"channel_{number}" if not name or name.isdecimal() else name
        for number, name in enumerate(own)
    ]


def _free(name: str, taken: Iterable[str]) -> str:
    number, found = 1, name
    while found in taken or found == "score":
        number, found = number + 1, f"{name}_{number + 1}"
    return found


# -- where pixels lie -----------------------------------------------------------------------------


def _placement_of(layer: Labels, axes: tuple[int, int]) -> Placement | None:
    """Return where the pixels of a layer lie; None if rows and columns are no length."""
    factors = [_micrometres(unit) for unit in layer.units]
    if any(factors[axis] is None for axis in axes):
        return None
    corners = np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim)])
    with np.errstate(invalid="ignore", over="ignore"):
        world = np.array([layer.data_to_world(corner) for corner in corners], float)
    world = world * [1.0 if factor is None else factor for factor in factors]
    placement = Placement((world[1:] - world[0]).T, world[0])
    is_plain = np.isfinite(placement.linear).all() and np.isfinite(placement.offset).all()
    return placement if is_plain and placement.pixel else None


def _micrometres(unit: pint.Unit) -> float | None:
    """Return how many micrometres a unit of length has; None for any other unit."""
    if not unit.is_compatible_with("micrometer"):
        return None
    return float((1 * unit).to("micrometer").magnitude)


def _axis_names(layer: Labels, image: Image | None, viewer: ViewerModel) -> tuple[str, ...]:
    """Return what the axes are called: by the image, else by the viewer; a time is ``time``."""
    shown = viewer.dims.axis_labels[-layer.ndim :]
    own = layer.axis_labels if image is None or image.ndim != layer.ndim else image.axis_labels
    return tuple(
        "time" if unit.is_compatible_with("second") else there if at.startswith("axis ") else at
        for at, there, unit in zip(map(str, own), shown, layer.units, strict=True)
    )


def _spatial(layer: Labels, names: Sequence[str], *, known: bool) -> frozenset[int]:
    """Return the axes that may be a depth: lengths, and where no unit is known, all but times."""
    other = "micrometer" if known else "second"
    return frozenset(
        axis
        for axis, (unit, name) in enumerate(zip(layer.units, names, strict=True))
        if unit.is_compatible_with(other) is known and name.lower() not in TIME
    )
