"""What went wrong: told once, and kept for the script that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari_dinov3_sim.session.messages import Failure
    from napari_dinov3_sim.session.planes import WindowKey

KEPT = 10
"""In a window nobody waits, and the list must not grow for ever."""


class Mishaps:
    """Collects failures.

    Parameters
    ----------
    tell : callable
        Called with each failure that has not been told yet: every plane of a broken stack, and
        every image with a broken model, fails alike, and once is enough.
    """

    def __init__(self, tell: Callable[[Failure], object]) -> None:
        self._tell = tell
        self._kept: list[Failure] = []
        self._told: dict[str, dict[Hashable, int]] = {}

    def add(self, failure: Failure) -> None:
        """Take note of a failure."""
        self._kept = [*self._kept[1 - KEPT :], failure]
        if self._is_new(failure):
            self._tell(failure)

    def _is_new(self, failure: Failure) -> bool:
        """Whether a sentence is told: the first time, and of pixels that were replaced since."""
        versions = self._told.get(failure.message)
        known = self._told.setdefault(failure.message, {})
        layer, version = failure.plane.window_key if failure.plane else (None, 0)
        replaced = known.get(layer, version) != version
        known[layer] = version
        return versions is None or replaced

    def start_over(self) -> None:
        """Tell again what has been told: the user has asked for it anew."""
        self._told.clear()

    def take(self, alive: set[WindowKey]) -> list[Failure]:
        """Return what has failed since the last call, but for pixels that exist no more."""
        kept, self._kept = self._kept, []
        return [f for f in kept if f.plane is None or f.plane.window_key in alive]
