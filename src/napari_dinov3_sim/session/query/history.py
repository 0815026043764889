"""One history of all that is asked: undo and redo."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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


Step = dict[int, Any]
"""What the parts that a step changed were before it, or after it once it is undone."""


class History:
    """The steps that led to what is asked now, and those that were undone.

    What changes without an edit, as the image that a point lies on, belongs to no step.

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

    def note(self, *, edited: bool = False) -> None:
        """Take note of the present: after an edit, what it changed is one step.

        Parameters
        ----------
        edited : bool, optional
            Whether something was edited that does not say so itself.
        """
        edited |= any(part.edited for part in self._parts)
        now = [part.snapshot() for part in self._parts]
        step = self._changed(now) if edited else {}
        if step:
            self._past.append(step)
            self._future.clear()
        self._present = now
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

    def _open_step(self) -> Mapping[int, Any]:
        """Return what an edit has changed that no refresh has seen yet."""
        if not any(part.edited for part in self._parts):
            return {}
        return self._changed([part.snapshot() for part in self._parts])

    def _changed(self, now: Sequence[Any]) -> Step:
        pairs = enumerate(zip(self._present, now, strict=True))
        return {number: old for number, (old, new) in pairs if not old.same_as(new)}
