"""What went wrong: told once, and kept for the script that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.session.messages import Failure
    from napari_dinov3_sim.session.planes import WindowKey

KEPT = 10
"""In a window nobody waits, and the list must not grow for ever."""


class Mishaps:
    """Collects failures.

    Parameters
    ----------
    tell : callable
        Called with each failure that has not been told yet: every plane of a broken stack fails
        alike, and once is enough.
    """

    def __init__(self, tell: Callable[[Failure], object]) -> None:
        self._tell = tell
        self._kept: list[Failure] = []
        self._told: set[tuple[str, WindowKey | None]] = set()

    def add(self, failure: Failure) -> None:
        """Take note of a failure."""
        self._kept = [*self._kept[1 - KEPT :], failure]
        told = (failure.message, failure.plane.window_key if failure.plane else None)
        if told not in self._told:
            self._told.add(told)
            self._tell(failure)

    def start_over(self) -> None:
        """Tell again what has been told: the user has asked for it anew."""
        self._told.clear()

    def take(self, alive: set[WindowKey]) -> list[Failure]:
        """Return what has failed since the last call, but for pixels that exist no more."""
        kept, self._kept = self._kept, []
        return [f for f in kept if f.plane is None or f.plane.window_key in alive]
