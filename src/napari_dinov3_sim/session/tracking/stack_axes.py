"""Which axis of a stack objects are followed along, and what its other axes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.objects.stacks import TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNEL = ("c", "ch", "channel", "channels")


@dataclass(frozen=True)
class StackAxes:
    """The axes of a stack whose objects are followed.

    Attributes
    ----------
    along : int
        The axis that objects are followed along.
    name : str
        What it is called, in a sentence.
    space : tuple of int
        Axes, but those of a plane, along which an object may extend and move: its depth.
    series : tuple of int
        Axes along which nothing is followed: each index is a series of its own.
    """

    along: int
    name: str
    space: tuple[int, ...]
    series: tuple[int, ...]


def choose_axes(
    shape: Sequence[int], plane: tuple[int, int], names: Sequence[str], wanted: int | str | None
) -> StackAxes:
    """Return the axes of a stack.

    Parameters
    ----------
    shape : sequence of int
    plane : tuple of int
        The two axes of rows and columns.
    names : sequence of str
        One for each axis.
    wanted : int or str, optional
        The axis to follow along, by number or name. By default it is the one that is called t or
        time, else the first of the others that has more than one plane.

    Returns
    -------
    StackAxes
        Axes in front of the one that is followed along, and channels, are series; those behind
        it are space, as in TZYX.

    Raises
    ------
    SimilarityError
        There is no such axis, or only one plane along it.
    """
    known = [name.lower() for name in names]
    others = [axis for axis in range(len(shape)) if axis not in plane]
    long = [axis for axis in others if shape[axis] > 1 and known[axis] not in CHANNEL]
    if isinstance(wanted, str):
        found = [axis for axis in long if known[axis] == wanted.lower()]
    elif wanted is not None:
        found = [axis for axis in others if axis == wanted % len(shape) and shape[axis] > 1]
    else:
        found = [axis for axis in long if known[axis] in TIME] or long
    if not found:
        where = "an axis of several planes" if wanted is None else f"several planes along {wanted}"
        raise SimilarityError(
            f"Objects are followed from plane to plane; open a stack with {where}."
        )
    along = found[0]
    space = tuple(axis for axis in others if axis > along and known[axis] not in CHANNEL)
    series = tuple(axis for axis in others if axis != along and axis not in space)
    return StackAxes(along, _called(names[along], along), space, series)


def _called(name: str, axis: int) -> str:
    return (
        f"axis {axis}" if not name or name.startswith(("axis ", "-")) or name.isdecimal() else name
    )
