"""The status line, and the log of failures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.resolved_state import PickCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable

    from napari_dinov3_sim.session.images.planes import WindowKey
    from napari_dinov3_sim.session.resolved_state import ResolvedState
    from napari_dinov3_sim.session.worker_messages import Failure


KEPT = 10
"""In a window nobody waits, and the list must not grow for ever."""


class FailureLog:
    """Collects failures.

    Parameters
    ----------
    report : callable
        Called with each failure that is new: every plane of a broken stack, and every image with
        a broken model, fails alike, and once is enough.
    """

    def __init__(self, report: Callable[[Failure], object]) -> None:
        self._report = report
        self._kept: list[Failure] = []
        self._reported: dict[str, dict[Hashable, int]] = {}

    def add(self, failure: Failure) -> None:
        """Take note of a failure."""
        self._kept = [*self._kept[1 - KEPT :], failure]
        if self._is_new(failure):
            self._report(failure)

    def _is_new(self, failure: Failure) -> bool:
        """Whether a sentence is new: the first time, and of pixels that were replaced since."""
        versions = self._reported.get(failure.message)
        known = self._reported.setdefault(failure.message, {})
        layer, version = failure.plane.window_key if failure.plane else (None, 0)
        replaced = known.get(layer, version) != version
        known[layer] = version
        return versions is None or replaced

    def reset(self) -> None:
        """Report again what has been reported: the user has asked for it anew."""
        self._reported.clear()

    def pop_all(self, alive: Container[WindowKey]) -> list[Failure]:
        """Return what has failed since the last call, but for pixels that exist no more."""
        kept, self._kept = self._kept, []
        return [f for f in kept if f.plane is None or f.plane.window_key in alive]


@dataclass(frozen=True)
class StackProgress:
    """How many planes of all images there are, are embedded, and are answered."""

    planes: int
    embedded: int
    answered: int


@dataclass(frozen=True)
class StatusInfo:
    """What the status line depends on.

    Attributes
    ----------
    images, targets, planes : int
        Image layers, ticked ones, and ticked ones that show a plane.
    embedded : int
        Shown planes that have a state.
    levels : tuple of str
        Sentences about multiscale layers that are embedded at a coarser level.
    model : str
        Name of the model, empty if none is chosen.
    three_d, grid, busy, model_failed : bool
        Whether the view is in 3-D, whether it is napari's grid, whether work is under way,
        whether the model could not be loaded.
    heatmaps : int
    counts : PickCounts
        What was picked.
    stacks : StackProgress or None
        Where all planes of stacks are asked for.
    """

    images: int
    targets: int
    planes: int
    embedded: int
    levels: tuple[str, ...]
    model: str
    three_d: bool
    grid: bool
    busy: bool
    model_failed: bool
    heatmaps: int
    counts: PickCounts = field(default_factory=PickCounts)
    stacks: StackProgress | None = None


@dataclass(frozen=True)
class StepStatus:
    """What is to be said at each of the three steps of the dock.

    Attributes
    ----------
    images : str
        How many images are ready, or what is needed first.
    query : str
        What is asked, or what to do.
    found : str
        What there is, or what is waited for.
    """

    images: str = ""
    query: str = ""
    found: str = ""


def step_status(now: StatusInfo) -> StepStatus:
    """Return the sentences of the three steps.

    Examples
    --------
    >>> step_status(StatusInfo(0, 0, 0, 0, (), "builtin", False, False, False, False, 0))
    StepStatus(images='Open an image to begin.', query='', found='')
    """
    if not now.images:
        return StepStatus(_main(now))
    asked = _asking(now)
    query = (
        f"The query is {' and '.join(asked)}." if asked else "Click on a structure in an image."
    )
    if now.counts.only_negative:
        query = "There are only negative points; add a positive one."
    remarks = " ".join(_query_remarks(now))
    return StepStatus(
        " ".join([_ready(now), *_image_remarks(now)]),
        f"{query} {remarks}".strip(),
        _found(now) if asked else "",
    )


def _ready(now: StatusInfo) -> str:
    if not (now.targets and now.model):
        return _main(now)
    if now.model_failed:
        return f"{now.model} could not be loaded; choose another model."
    stacks = now.stacks
    if stacks is None or stacks.planes == now.planes:
        return f"{now.embedded} of {plural(now.planes, 'image')} ready."
    return f"{stacks.embedded} of {stacks.planes} planes ready."


def _found(now: StatusInfo) -> str:
    if now.counts.only_negative:
        return "Waits for a positive point."
    if now.busy and now.stacks is not None and now.stacks.embedded == now.stacks.planes:
        return f"{now.stacks.answered} of {now.stacks.planes} planes searched."
    if now.busy and now.embedded < now.planes:
        return f"Waits for {plural(now.planes - now.embedded, 'image')}."
    if now.model_failed:
        return "Waits for a model."
    if not now.heatmaps:
        return "Waits for the answer." if now.busy else _main(now)
    return f"{plural(now.heatmaps, 'heatmap')}."


def status_line(now: StatusInfo) -> str:
    """Return the status line.

    Examples
    --------
    >>> status_line(StatusInfo(0, 0, 0, 0, (), "builtin", False, False, False, False, 0))
    'Open an image to begin.'
    """
    return " ".join([_main(now), *_remarks(now)])


def _main(now: StatusInfo) -> str:
    if not now.images:
        return "Open an image to begin."
    if not now.targets:
        return "Tick at least one image to search."
    if not now.model:
        return "Choose a model."
    asking = _asking(now)
    if not asking:
        return "Click on a structure in an image."
    if now.busy:
        return f"Working: {_how_far(now)}."
    if now.counts.only_negative:
        return "There are only negative points; add a positive one."
    if now.model_failed:
        return f"{now.model} could not be loaded; choose another model."
    if not now.heatmaps:
        return "Not every image that was clicked is embedded; press Embed."
    return f"{plural(now.heatmaps, 'heatmap')} for {' and '.join(asking)}."


def _how_far(now: StatusInfo) -> str:
    stacks = now.stacks
    if stacks is None or stacks.planes == now.planes:
        return f"{now.embedded} of {plural(now.planes, 'image')} embedded"
    if stacks.embedded < stacks.planes:
        return f"{stacks.embedded} of {stacks.planes} planes embedded"
    return f"{stacks.answered} of {stacks.planes} planes answered"


def _asking(now: StatusInfo) -> list[str]:
    points = now.counts.points - now.counts.outside - now.counts.ignored
    counted = (
        (points, "point"),
        (now.counts.regions, "region"),
        (now.counts.saved, "saved class"),
    )
    return [plural(number, noun) for number, noun in counted if number]


def _remarks(now: StatusInfo) -> list[str]:
    return [*_image_remarks(now), *_query_remarks(now)]


def _image_remarks(now: StatusInfo) -> list[str]:
    remarks = list(now.levels)
    if now.targets and now.planes < now.targets:
        remarks.append(f"{plural(now.targets - now.planes, 'image')} outside the shown plane.")
    return remarks


def _query_remarks(now: StatusInfo) -> list[str]:
    remarks = []
    if now.counts.without_positive and not now.counts.only_negative:
        remarks.append(_without_positive(now.counts.without_positive))
    if now.counts.saved and now.counts.saved_remark:
        remarks.append(f"The saved query finds less: {now.counts.saved_remark}.")
    if now.counts.outside:
        remarks.append(f"{plural(now.counts.outside, 'point')} outside all ticked images.")
    if now.counts.regions_outside:
        remarks.append(
            f"{plural(now.counts.regions_outside, 'region')} outside all ticked images."
        )
    if now.three_d:
        remarks.append("Clicks in the 3-D view are not queries; click in 2-D.")
    if now.grid:
        remarks.append("Clicks in the grid are not queries; leave the grid and click.")
    if now.counts.ignored:
        remarks.append(_ignored(now.counts.ignored))
    return remarks


def _ignored(number: int) -> str:
    if number == 1:
        return "1 point was set in 3-D or in the grid and is not used; undo or delete it."
    return f"{number} points were set in 3-D or in the grid and are not used; delete them."


def _without_positive(classes: tuple[str, ...]) -> str:
    has = "have" if len(classes) > 1 else "has"
    return f"{', '.join(classes)} {has} no positive point yet: click with + positive."


class StatusReporter:
    """Says what is going on, and changes nothing.

    Parameters
    ----------
    emit : callable
        Called with the status line when it has changed.
    emit_steps : callable
        Called when a sentence of a step has changed.

    Attributes
    ----------
    status : str
        One line that says what is going on and what to do next.
    steps : StepStatus
        The same in three parts.
    """

    def __init__(self, emit: Callable[[str], None], emit_steps: Callable[[], None]) -> None:
        self._emit, self._emit_steps = emit, emit_steps
        self._last: StatusInfo | None = None
        self.status = ""
        self.steps = StepStatus()

    def report(
        self,
        new: ResolvedState,
        *,
        model: str,
        model_failed: bool,
        busy: bool,
        heatmaps: int,
        stacks: StackProgress | None,
    ) -> None:
        """Emit the status line if it has changed.

        Parameters
        ----------
        new : ResolvedState
            What is open, shown and picked.
        model : str
            Name of the model, empty if none is chosen.
        model_failed, busy : bool
            Whether it could not be loaded; whether something is being embedded or answered.
        heatmaps : int
            How many there are.
        stacks : StackProgress or None
            Where all planes of stacks are asked for.
        """
        images = new.images
        now = StatusInfo(
            images=images.count,
            targets=len(images.targets),
            planes=len(images.planes),
            embedded=sum(target.visible for target in new.targets),
            levels=tuple(
                f"{plane.name} is searched at level {plane.level}."
                for plane in images.planes.values()
                if plane.level
            ),
            model=model,
            three_d=new.three_d,
            grid=new.in_napari_grid,
            busy=busy,
            model_failed=model_failed,
            heatmaps=heatmaps,
            counts=new.picked.counts,
            stacks=stacks,
        )
        if now == self._last:
            return
        self._last, status, steps = now, status_line(now), step_status(now)
        if steps != self.steps:
            self.steps = steps
            self._emit_steps()
        if status != self.status:
            self.status = status
            self._emit(status)
