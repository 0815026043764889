"""Which plane of a file is clicked: `--plane` and `--channel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import UsageError
from napari_dinov3_sim._cli.images import ARRAY_SUFFIXES
from napari_dinov3_sim._cli.layers import embedded_position
from napari_dinov3_sim.core.geometry import PatchGrid, convert_pixel_coordinates_to_patch_index

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from napari_dinov3_sim._cli.layers import Position
    from napari_dinov3_sim._cli.planning import FilePlan, LayerPlan
    from napari_dinov3_sim.core.search.similarity import Point

Clicked = tuple[int, "Position"]
"""Which layer of the file, and which plane of it."""


def clicked_plane(arguments: argparse.Namespace, plan: FilePlan) -> Clicked:
    """Return the plane of a file that the command line means.

    Raises
    ------
    UsageError
        It means none, or one that is not there, or the file has several and it names none.
    """
    channels, layer = len(plan.layers), plan.layers[0]
    channel, plane = arguments.channel, arguments.plane
    lacks = [
        option
        for option, value, count in (
            ("--channel C", channel, channels),
            (f"--plane {' '.join('IJKLMN'[: len(layer.leading)])}", plane, layer.planes),
        )
        if value is None and count > 1
    ]
    if lacks:
        raise UsageError(
            f"{plan.path} has {_planes(plan)}; name the one that is clicked with "
            f"{' '.join(lacks)}, counted from 0{_colours(plan)}."
        )
    return _channel(channel, plan), _position(plane, plan, layer)


def _planes(plan: FilePlan) -> str:
    channels, layer = len(plan.layers), plan.layers[0]
    planes = f"{layer.planes} planes"
    if len(layer.full_leading) > 1:
        planes += f" ({' × '.join(map(str, layer.full_leading))})"
    if channels == 1:
        return planes
    return f"{channels} channels" + (f" of {planes} each" if layer.planes > 1 else "")


def _colours(plan: FilePlan) -> str:
    is_array = plan.path.suffix.lower() in ARRAY_SUFFIXES and plan.path.is_file()
    if is_array and plan.layers[0].leading in ((3,), (4,)):
        return "; if they are the colours of one image, add --read-as rgb"
    return ""


def _channel(channel: int | None, plan: FilePlan) -> int:
    numbers = [layer.channel for layer in plan.layers]
    if channel is None:
        return 0
    if channel in numbers:
        return numbers.index(channel)
    there = f"has channels 0 to {len(numbers) - 1}" if len(numbers) > 1 else "has no channels"
    cure = "choose one of them" if len(numbers) > 1 else "leave --channel out"
    raise UsageError(f"--channel {channel}: {plan.path} {there} to choose from; {cure}.")


def _position(plane: Sequence[int] | None, plan: FilePlan, layer: LayerPlan) -> Position:
    """Return where a plane lies in the embedded level, which may have fewer of them."""
    full = layer.full_leading
    if plane is None:
        return (0,) * len(full)
    given = f"--plane {' '.join(map(str, plane))}: {plan.path}"
    if not full:
        raise UsageError(f"{given} has one plane; leave --plane out.")
    if len(plane) != len(full) or any(at >= size for at, size in zip(plane, full, strict=True)):
        ranges = " and ".join(f"0 to {size - 1}" for size in full)
        raise UsageError(
            f"{given} has {len(full)} {'axis' if len(full) == 1 else 'axes'} before rows and "
            f"columns; give an index for each, from {ranges}."
        )
    return embedded_position(tuple(plane), full, layer.leading)


def check_points(points: Iterable[Point], shape: tuple[int, int]) -> None:
    """Raise `PointError` for one that lies outside an image of this height and width."""
    for x, y in points:
        convert_pixel_coordinates_to_patch_index(x, y, PatchGrid(shape, 1))
