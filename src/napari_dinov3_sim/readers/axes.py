"""Axes of an array of numbers: which are rows and columns, colours, channels, or a stack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from napari_dinov3_sim.core.images.intensity import MAX_CHANNELS
from napari_dinov3_sim.readers.image_layer import MIN_COLOUR_SIDE, ImageLayer, is_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

ReadAs = Literal["auto", "rgb", "stack", "channels"]
"""What the user says of them; 'auto' leaves it to the file."""

STACK_DOUBT = (
    "is read as a stack of {count} planes, as napari shows it; if they are the colours of one "
    "image, add --read-as rgb."
)
COLOUR_DOUBT = (
    "is read as one colour image, although the file does not call its {count} channels colours; "
    "if they are planes of their own, add --read-as stack."
)
CHANNELS_DOUBT = (
    "has {count} channels; each is searched as an image of its own. To read them as one stack, "
    "add --read-as stack."
)
CHANNELS_OR_COLOURS_DOUBT = (
    "has {count} channels; each is searched as an image of its own. To read them as one stack, "
    "add --read-as stack; as the colours of one image, --read-as rgb."
)


@dataclass(frozen=True)
class Samples:
    """What a file says of the axis of its samples.

    Attributes
    ----------
    axis : int
    are_colours : bool
        Whether the file calls them red, green and blue.
    is_sure : bool
        Whether what it says can be believed where they are planes of their own.
    has_alpha : bool
        Whether the last one is said to be opacity.
    """

    axis: int
    are_colours: bool = False
    is_sure: bool = True
    has_alpha: bool = False


Parts = tuple[list[ImageLayer], str]
"""Layers, and how they were read where the file leaves that open."""


def channels_doubt(count: int) -> str:
    """Say how channels are read and what changes it; empty for one."""
    if count < 2:
        return ""
    text = CHANNELS_OR_COLOURS_DOUBT if count in (3, 4) else CHANNELS_DOUBT
    return text.format(count=count)


def parts_of_array(layer: ImageLayer, read_as: ReadAs) -> Parts:
    """Return the layers of an array that names none of its axes, as of NumPy."""
    shape = tuple(layer.levels[0].shape)
    if read_as == "rgb" and are_planes_of_colour(shape):
        return [layer.moved(0, is_rgb=True)], ""
    if is_colour(shape):
        return [layer_with_colours(layer)], ""
    if len(shape) > 2 and (read_as == "channels" or _looks_like_channels(shape)):
        if read_as == "stack":
            return [layer], ""
        return channels_of(layer, len(shape) - 1)
    return [layer], ""


def layer_with_colours(layer: ImageLayer) -> ImageLayer:
    """Return a layer whose last axis is that of colours."""
    return layer.moved(len(layer.axes) - 1, is_rgb=True)


def _looks_like_channels(shape: Sequence[int]) -> bool:
    """Whether the last axis is much shorter than the two before it."""
    return 1 < shape[-1] <= MAX_CHANNELS and min(shape[-3:-1]) > MIN_COLOUR_SIDE


def are_planes_of_colour(shape: Sequence[int]) -> bool:
    """Whether an array has 3 or 4 planes, one after the other."""
    return len(shape) == 3 and shape[0] in (3, 4)


def channels_of(layer: ImageLayer, axis: int, titles: Sequence[str] = ()) -> Parts:
    """Return each channel as a layer of its own."""
    count = int(layer.levels[0].shape[axis])
    if count == 1:
        return [layer.at(axis, 0)], ""
    colours = _OF_TWO if count == 2 else _OF_MORE
    found = [
        layer.at(
            axis,
            number,
            channel=number,
            title=_title(layer, number, titles),
            colormap=layer.colormap or colours[number % len(colours)],
        )
        for number in range(count)
    ]
    return found, channels_doubt(count)


_OF_TWO = ("magenta", "green")
_OF_MORE = ("cyan", "yellow", "magenta", "red", "green", "blue")
"""Colormaps of channels, as napari chooses them for channels that it splits."""


def _title(layer: ImageLayer, number: int, titles: Sequence[str]) -> str:
    own = titles[number] if number < len(titles) and titles[number] else f"channel {number}"
    return " ".join(part for part in (layer.title, own) if part)


def parts_of_samples(layer: ImageLayer, samples: Samples, read_as: ReadAs) -> Parts:
    """Return the layers of an array of which one axis holds the samples of each pixel.

    Interleaved samples are colours where the file says RGB, and three of them are taken for it,
    with doubt, where it does not. Samples in planes of their own are colours where the file says
    RGB, unless tifffile wrote it: that calls every array of 3 or 4 planes RGB, stacks as well.
    """
    axis, count = samples.axis, int(layer.levels[0].shape[samples.axis])
    is_last = axis == len(layer.axes) - 1
    if samples.has_alpha and count == 2:
        return [layer.at(axis, 0)], ""
    if count in (3, 4):
        if read_as == "rgb" or (samples.are_colours and is_last):
            return [layer.moved(axis, is_rgb=True)], ""
        if read_as == "channels":
            return channels_of(layer, axis)
        if read_as == "stack":
            return [as_stack(layer, axis)], ""
        if samples.are_colours and samples.is_sure:
            return [layer.moved(axis, is_rgb=True)], ""
        if not is_last:
            return [as_stack(layer, axis)], STACK_DOUBT.format(count=count)
        if count == 3 or samples.has_alpha:
            return [layer.moved(axis, is_rgb=True)], COLOUR_DOUBT.format(count=count)
    if read_as == "stack":
        return [as_stack(layer, axis)], ""
    if not is_last and read_as == "auto":
        return [as_stack(layer, axis)], ""
    return channels_of(layer, axis)


def as_stack(layer: ImageLayer, axis: int) -> ImageLayer:
    """Return a layer with an axis that lies behind rows and columns before all others."""
    if axis < len(layer.axes) - 1:
        return layer
    order = (axis, *(number for number in range(len(layer.axes)) if number != axis))
    return reordered(layer, order)


def reordered(layer: ImageLayer, order: Sequence[int]) -> ImageLayer:
    """Return a layer with its axes in another order."""
    if list(order) == sorted(order):
        return layer
    where = layer.calibration
    return replace(
        layer,
        levels=tuple(level.transpose(order) for level in layer.levels),
        axes=tuple(layer.axes[at] for at in order),
        calibration=replace(
            where,
            scale=tuple(where.scale[at] for at in order),
            translate=tuple(where.translate[at] for at in order),
            units=tuple(where.units[at] for at in order),
        ),
    )
