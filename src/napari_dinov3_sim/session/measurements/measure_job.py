"""Measuring in the worker: only what has changed since it was measured last."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.objects.stacks import measure_stack
from napari_dinov3_sim.core.objects.summary import MeasuredArea
from napari_dinov3_sim.session.results.computations import checksum

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from napari_dinov3_sim.core.objects.object_table import ObjectTable
    from napari_dinov3_sim.core.objects.stacks import Check, MeasuredStack
    from napari_dinov3_sim.session.measurements.labels_layers import ObjectLabels


@dataclass(frozen=True, eq=False)
class MeasuredLabels:
    """What was measured in one Labels layer.

    Attributes
    ----------
    labels : ObjectLabels
    checksum : int
        Of the labels.
    by_plane : bool
        Whether each plane has rows of its own in any case.
    found : MeasuredStack
    """

    labels: ObjectLabels
    checksum: int
    by_plane: bool
    found: MeasuredStack = field(repr=False)

    @property
    def table(self) -> ObjectTable:
        """The rows, with the names of image and class."""
        return self.found.table.labelled(image=self.labels.image, class_=self.labels.class_name)

    @property
    def area(self) -> MeasuredArea:
        """What was searched: planes with scores, and planes with objects."""
        stack = self.labels.stack
        planes = len(self.labels.searched | self.found.planes)
        if not self.labels.searched:
            planes = int(np.prod([stack.shape[axis] for axis in stack.others]))
        pixels = planes * int(np.prod([stack.shape[axis] for axis in stack.axes]))
        depth = self.found.depth
        axes = sorted((*stack.axes, *(() if depth is None else (depth,))))
        pixel = None if stack.placement is None else stack.placement.of(axes, {}).pixel
        return MeasuredArea(
            self.labels.image, self.labels.class_name, planes, pixels, pixel, len(axes)
        )


@dataclass(frozen=True, eq=False)
class MeasuredLayers:
    """Everything that was measured, and the seconds that it took."""

    parts: tuple[MeasuredLabels, ...]
    seconds: float


def measure_labels(
    wanted: Sequence[ObjectLabels],
    known: Mapping[Hashable, MeasuredLabels],
    by_plane: bool,
    check: Check,
) -> Iterator[MeasuredLayers]:
    """Give the measurements of some layers, those that are as before taken from before.

    Parameters
    ----------
    wanted : sequence of ObjectLabels
    known : mapping of hashable to MeasuredLabels
        What was measured before, by the id of the layer.
    by_plane : bool
    check : callable
        Called with (parts done, parts in all); may raise `EmbeddingCancelled`.
    """
    start, parts = time.monotonic(), []
    for number, labels in enumerate(wanted):
        # Read before the labels are: what is painted meanwhile makes it another one.
        now = checksum(labels.stack.labels)
        before = known.get(labels.layer_id)
        if before is None or not _is_same(before, labels, now, by_plane):
            inner = _part_of(check, number, len(wanted))
            found = measure_stack(labels.stack, inner, by_plane=by_plane)
            before = MeasuredLabels(labels, now, by_plane, found)
        parts.append(before)
    yield MeasuredLayers(tuple(parts), time.monotonic() - start)


def _is_same(before: MeasuredLabels, labels: ObjectLabels, now: int, by_plane: bool) -> bool:
    return (before.checksum, before.by_plane, before.labels.basis) == (now, by_plane, labels.basis)


def _part_of(check: Check, number: int, total: int) -> Check:
    def inner(done: int, parts: int) -> None:
        # In hundredths: the progress of one layer alone is worth being seen.
        check(100 * number + 100 * done // max(1, parts), 100 * total)

    return inner
