"""Which planes are to be embedded without a click, and which are not to be tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from napari_dinov3_sim.session.planes import Plane, PlaneKey, WindowKey


class Wishes:
    """What *Embed* has asked for, what has failed and what was cancelled."""

    def __init__(self) -> None:
        self._asked_for: dict[PlaneKey, Plane] = {}
        self._failed: set[PlaneKey] = set()
        self._cancelled: set[PlaneKey] = set()
        self._paused = False

    def ask_for(self, planes: Iterable[Plane]) -> None:
        """Ask for planes, also for those that failed."""
        self.forget_failures()
        self._asked_for = {plane.key: plane for plane in planes}

    def ask_again(self, planes: dict[PlaneKey, Plane]) -> None:
        """Ask for planes that were thought to be done."""
        self._asked_for |= planes

    def ask_no_more(self) -> None:
        """Forget what is asked for: it is done, or cannot be."""
        self._asked_for.clear()

    def missing(
        self, planes: Iterable[Plane], has: Callable[[PlaneKey], object | None]
    ) -> tuple[Plane, ...]:
        """Return what is to be embedded: these planes first, then those that were asked for."""
        wanted = {plane.key: plane for plane in planes} | self._asked_for
        barred = self._failed | self._cancelled
        return tuple(p for key, p in wanted.items() if key not in barred and has(key) is None)

    def is_barred(self, key: PlaneKey) -> bool:
        """Whether a plane is not tried before the user asks again."""
        return self._paused or key in self._failed or key in self._cancelled

    def retry(self) -> None:
        """Forget which planes were cancelled: the user has clicked again."""
        self._cancelled.clear()
        self._paused = False

    def forget_failures(self) -> None:
        """Try everything again: another model may do better."""
        self._failed.clear()
        self.retry()

    def cancel(
        self, waiting: Iterable[PlaneKey], has: Callable[[PlaneKey], object | None]
    ) -> None:
        """Bar what is asked for and what waits; nothing is tried before the user asks again."""
        barred = {*waiting, *self._asked_for}
        self._cancelled |= {key for key in barred if has(key) is None}
        self._asked_for.clear()
        self._paused = True

    def done(self, key: PlaneKey) -> Plane | None:
        """Take a plane off those that were asked for, and return it if it was one."""
        return self._asked_for.pop(key, None)

    def failed(self, key: PlaneKey) -> None:
        """Bar a plane that cannot be embedded."""
        self._failed.add(key)
        self._asked_for.pop(key, None)

    def retain(self, alive: AbstractSet[WindowKey]) -> None:
        """Forget the planes of layers and pixels that are gone."""
        self._asked_for = {k: p for k, p in self._asked_for.items() if k.window_key in alive}
        self._failed = {key for key in self._failed if key.window_key in alive}
        self._cancelled = {key for key in self._cancelled if key.window_key in alive}
