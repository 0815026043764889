"""How far a search of files is, as one frozen value, and how an event changes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_dinov3_sim.core.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SearchPhase = Literal["idle", "starting", "searching", "stopping", "done", "stopped", "failed"]

MOST_NAMED = 5
"""Files that failed, of which names and reasons are kept."""


@dataclass(frozen=True)
class FileSearchState:
    """What is known of a search of files.

    Attributes
    ----------
    phase : {'idle', 'starting', 'searching', 'stopping', 'done', 'stopped', 'failed'}
    files : int
        How many there are.
    looked : int
        How many were opened to see what they are, before the first is searched.
    planes, done : int
        Planes in all of them, and how many were searched.
    part : float
        Of the plane that is searched now, from 0 to 1.
    current : str
        What is done now, such as the name of an image.
    stored : int
        Planes that an earlier search had embedded.
    failed : int
        Files that failed so far.
    failures : mapping of str to str
        Why, for the first of them.
    objects : mapping of str to int
        At the end: how many objects each class has.
    folder : Path or None
        Of the results.
    message : str
        Why it could not go on; empty otherwise.
    """

    phase: SearchPhase = "idle"
    files: int = 0
    looked: int = 0
    planes: int = 0
    done: int = 0
    part: float = 0.0
    current: str = ""
    stored: int = 0
    failed: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    folder: Path | None = None
    message: str = ""
    _computed: int = 0
    _spent: float = 0.0
    _since: float = 0.0

    @property
    def is_running(self) -> bool:
        """Whether its process works, or is about to."""
        return self.phase in ("starting", "searching", "stopping")

    @property
    def seconds_left(self) -> float | None:
        """About how long it still takes; None before that can be known."""
        if self.phase != "searching" or not self._computed:
            return None
        return self._spent / self._computed * (self.planes - self.done - self.part)

    def after(self, event: Mapping[str, Any], now: float) -> FileSearchState:
        """Return the state after a line of the process.

        Parameters
        ----------
        event : mapping
            As ``--progress json`` writes it; what is not known changes nothing.
        now : float
            Seconds, by any clock.
        """
        change = _CHANGES.get(str(event.get("event")))
        return self if change is None else change(self, event, now)

    @property
    def sentence(self) -> str:
        """What there is to say, in one line."""
        return _SENTENCES[self.phase](self)


def _on_look(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    del now
    name = Path(event["image"]).name
    return replace(state, files=event["files"], looked=event["done"], current=name)


def _on_model(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    del event, now
    return replace(state, current="")


def _on_start(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    return replace(
        state,
        phase="searching",
        files=event["files"],
        planes=event["planes"],
        done=0,
        _since=now,
    )


def _on_download(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    del now
    part = event["done"] / event["total"] if event["total"] else 0.0
    return replace(state, current=f"{event['what']}, {part:.0%}")


def _on_plane(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    return replace(state, done=event["done"], part=0.0, current=event["plane"], _since=now)


def _on_tile(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    del now
    return replace(state, part=event["done"] / max(1, event["total"]))


def _on_done(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    found = replace(state, done=state.done + 1, part=0.0)
    if event["stored"]:
        return replace(found, stored=state.stored + 1)
    spent = state._spent + now - state._since
    return replace(found, _computed=state._computed + 1, _spent=spent)


def _on_failed(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    del now
    if event["image"] in state.failures:
        return state  # another plane of it
    failures = dict(state.failures)
    if len(failures) < MOST_NAMED:
        failures[event["image"]] = event["error"]
    return replace(state, failed=state.failed + 1, failures=failures)


def _on_end(state: FileSearchState, event: Mapping[str, Any], now: float) -> FileSearchState:
    del now
    return replace(
        state,
        phase="done",
        current="",
        part=0.0,
        files=event["files"],
        failed=len(event["failed"]),
        objects=dict(event["objects"]),
    )


_CHANGES = {
    "look": _on_look,
    "model": _on_model,
    "start": _on_start,
    "download": _on_download,
    "plane": _on_plane,
    "tile": _on_tile,
    "done": _on_done,
    "failed": _on_failed,
    "end": _on_end,
}


def _say_stopping(state: FileSearchState) -> str:
    del state
    return "Stopping…"


def _say_failed(state: FileSearchState) -> str:
    return state.message


def _say_nothing(state: FileSearchState) -> str:
    del state
    return ""


def _say_starting(state: FileSearchState) -> str:
    if state.current:
        return f"Looking at the images: {state.looked + 1} of {state.files}."
    return "Loading the model." if state.files else "The search begins."


def _say_searching(state: FileSearchState) -> str:
    parts = [f"{state.done} of {plural(state.planes, 'image')} done"]
    if state.planes != state.files:
        parts = [f"{state.done} of {state.planes} planes of {plural(state.files, 'image')} done"]
    if state.failed:
        parts.append(f"{state.failed} failed")
    left = state.seconds_left
    if left:
        parts.append(f"about {duration(left)} left")
    return f"{', '.join(parts)}."


def _say_done(state: FileSearchState) -> str:
    searched = plural(state.files - state.failed, "image")
    verb = "is" if state.files - state.failed == 1 else "are"
    counts = [f"{plural(count, 'object')} of {name}" for name, count in state.objects.items()]
    found = f": {', '.join(counts)}" if counts else ""
    return f"{searched} {verb} searched{found}.{_say_failures(state)}"


def _say_failures(state: FileSearchState) -> str:
    if not state.failed:
        return ""
    names = [printable(Path(image).name) for image in state.failures]
    more = state.failed - len(names)
    named = ", ".join(names) + (f" and {more} more" if more > 0 else "")
    reason = next(iter(state.failures.values()), "")
    return f" {state.failed} failed: {named}. {printable(reason)}".rstrip()


def _say_stopped(state: FileSearchState) -> str:
    return (
        f"Stopped: {state.done} of {plural(state.planes or state.files, 'image')} done. "
        "Resume goes on with the rest."
    )


_SENTENCES: dict[SearchPhase, Callable[[FileSearchState], str]] = {
    "idle": _say_nothing,
    "starting": _say_starting,
    "searching": _say_searching,
    "stopping": _say_stopping,
    "done": _say_done,
    "stopped": _say_stopped,
    "failed": _say_failed,
}


def duration(seconds: float) -> str:
    """Return a time in round numbers.

    Examples
    --------
    >>> duration(4.2), duration(90), duration(5400)
    ('5 s', '2 min', '1.5 h')
    """
    if seconds < 60:
        return f"{max(1, int(seconds) + 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
