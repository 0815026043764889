"""One history of all that is asked: undo and redo."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableSequence, Sequence


DEPTH = 100
"""Steps that can be undone."""


class Recorded(Protocol):
    """A part of what is asked, whose edits can be undone.

    Its snapshots are values: they never change, and ``same_as`` says whether two mean the same.

    Attributes
    ----------
    edited : bool
        Whether an edit of it has been completed; set to False when it has been noted.
    """

    edited: bool

    def snapshot(self) -> Any:
        """Return what it is now; in the middle of an edit, as during a drag, what it was."""

    def restore(self, snapshot: Any) -> None:
        """Let it be what it was, as far as that can still be had."""


@runtime_checkable
class Following(Protocol):
    """A snapshot that follows what changes without an edit."""

    def follow(self, before: Self, now: Self) -> Self:
        """Return what this is when ``before`` has become ``now`` by itself."""


Step = dict[int, Any]
"""What the parts that a step changed were before it, or after it once it is undone."""


class History:
    """The steps that led to what is asked now, and those that were undone.

    What changes without an edit, as the image that a point lies on, belongs to no step. Channels
    that part when one of them is closed are parted in all steps: undo and redo leave alone what
    their step did not change.

    Parameters
    ----------
    parts : sequence of Recorded
        A step restores them in this order.
    """

    def __init__(self, parts: Sequence[Recorded]) -> None:
        self._parts = parts
        self._past: deque[Step] = deque(maxlen=DEPTH)
        self._future: list[Step] = []
        self._present: list[Any] = [part.snapshot() for part in parts]

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._past) or bool(self._open_step())

    @property
    def can_redo(self) -> bool:
        """Whether a step was undone, and nothing edited since."""
        return bool(self._future) and not self._open_step()

    def note(self, *, edited: bool = False, opened: bool = False) -> None:
        """Take note of the present: after an edit, what it changed is one step.

        Parameters
        ----------
        edited : bool, optional
            Whether something was edited that does not say so itself.
        opened : bool, optional
            Whether the edit came about by itself when something was opened: it is a step that can
            be undone, and what was undone before it can still be had again.
        """
        now = [part.snapshot() for part in self._parts]
        said = [old for old, part in zip(now, self._parts, strict=True) if part.edited]
        step = self._changed(now) if edited or said else {}
        opened &= all(isinstance(old, Following) for old in said)
        if opened:  # with points, too, perhaps, that an earlier session has left
            step = {n: old for n, old in step.items() if isinstance(old, Following)}
        before, self._present = self._present, now
        if not step:
            self._follow(before, [self._past, self._future])
        elif opened:
            self._follow(before, [self._future])
        else:
            self._future.clear()
        if step:
            self._past.append(step)
        for part in self._parts:
            part.edited = False

    def undo(self) -> bool:
        """Take the last step back; return whether there was one that still changes anything."""
        self.note()
        return self._go(self._past, self._future)

    def redo(self) -> bool:
        """Take the last step that was undone again; return whether there was one."""
        self.note()
        return self._go(self._future, self._past)

    def clear(self) -> None:
        """Forget all steps."""
        self._past.clear()
        self._future.clear()
        self._present = [part.snapshot() for part in self._parts]

    def _go(self, from_: deque[Step] | list[Step], to: deque[Step] | list[Step]) -> bool:
        while from_:
            step, before = from_.pop(), self._present
            for number in sorted(step):
                self._parts[number].restore(step[number])
            self._present = [part.snapshot() for part in self._parts]
            for part in self._parts:
                part.edited = False
            if any(not before[n].same_as(self._present[n]) for n in step):
                to.append({number: before[number] for number in step})
                return True
        return False

    def _follow(self, before: Sequence[Any], lists: Sequence[MutableSequence[Step]]) -> None:
        """Let steps follow what has become of the present, and drop those with nothing left."""
        now = self._present
        pairs = enumerate(zip(before, now, strict=True))
        moved = [
            number
            for number, (old, new) in pairs
            if isinstance(new, Following) and not old.same_as(new)
        ]
        for steps in lists if moved else ():
            later, kept = dict(enumerate(now)), []
            for step in reversed(steps):
                for number in step.keys() & moved:
                    step[number] = step[number].follow(before[number], now[number])
                if any(not old.same_as(later[number]) for number, old in step.items()):
                    kept.append(step)
                    later.update(step)
            steps.clear()
            steps.extend(reversed(kept))

    def _open_step(self) -> Mapping[int, Any]:
        """Return what an edit has changed that no refresh has seen yet."""
        if not any(part.edited for part in self._parts):
            return {}
        return self._changed([part.snapshot() for part in self._parts])

    def _changed(self, now: Sequence[Any]) -> Step:
        pairs = enumerate(zip(self._present, now, strict=True))
        return {number: old for number, (old, new) in pairs if not old.same_as(new)}
