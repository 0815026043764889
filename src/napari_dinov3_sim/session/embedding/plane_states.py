"""Embedded planes with their states, and the planes that are requested or blocked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.worker_messages import StateHandle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session.images.planes import (
        IntensityWindows,
        Plane,
        PlaneKey,
        WindowKey,
    )
    from napari_dinov3_sim.session.worker_messages import PlaneEmbedded
    from napari_dinov3_sim.store import EmbeddingStore


class PlaneStates:
    """Holds the states of the planes in use, and knows where those of the others are.

    Parameters
    ----------
    store : EmbeddingStore
        Where states outlive their use.
    """

    def __init__(self, store: EmbeddingStore) -> None:
        self._store = store
        self._states: dict[PlaneKey, PatchImageState] = {}
        self._digests: dict[PlaneKey, str] = {}
        self._windows: dict[WindowKey, IntensityWindows] = {}

    def embedded_planes(self) -> tuple[PlaneKey, ...]:
        """Return the planes that are known, in use or not."""
        return tuple(self._digests)

    @property
    def states(self) -> dict[PlaneKey, PatchImageState]:
        """Those that are held, by plane."""
        return dict(self._states)

    @property
    def windows(self) -> dict[WindowKey, IntensityWindows]:
        """Those that layers are drawn through, once a plane of them is embedded."""
        return dict(self._windows)

    def windows_of(self, key: PlaneKey) -> IntensityWindows | None:
        """Return those that a plane's layer is drawn through, once it is embedded."""
        return self._windows.get(key.window_key)

    def handle(self, key: PlaneKey) -> StateHandle | None:
        """Return where a worker finds the state of a plane; None if it must be embedded."""
        digest = self._digests.get(key)
        if digest is None:
            return None
        state = self._states.get(key)
        if state is None:
            # What the disk has is read by the worker; reading it here would make the window wait.
            state = self._store.get(digest)
            if state is None and self._store.disk is None:
                return None
        return StateHandle(digest, state)

    def is_on_disk(self, key: PlaneKey) -> bool:
        """Whether the state of a plane need not be held, because it can be read."""
        digest = self._digests.get(key)
        return digest is not None and self._store.is_on_disk(digest)

    def add(self, message: PlaneEmbedded) -> None:
        """Keep the state of a plane."""
        self._states[message.plane] = message.state
        self._digests[message.plane] = message.digest
        self._windows[message.window_key] = message.windows

    def forget_state(self, key: PlaneKey) -> None:
        """Take note that no store has the state of a plane any more."""
        if key not in self._states:
            self._digests.pop(key, None)

    def keep_only(self, used: AbstractSet[PlaneKey], alive: AbstractSet[WindowKey]) -> None:
        """Let go of the states of all other planes, and of all that is known of dead layers."""
        self._states = {k: v for k, v in self._states.items() if k in used}
        self._digests = {k: v for k, v in self._digests.items() if k.window_key in alive}
        self._windows = {k: v for k, v in self._windows.items() if k in alive}

    def forget(self) -> None:
        """Forget everything: all pixels may be others by now, also of what is not shown."""
        self.forget_embeddings()
        self._windows.clear()

    def forget_embeddings(self) -> None:
        """Forget what another model made; the windows do not depend on it."""
        self._states.clear()
        self._digests.clear()


MAX_TRIES = 3
"""Times that a plane is embedded without any use: what is gone each time is given up."""


class EmbeddingRequests:
    """What *Embed* has requested, what has failed and what was cancelled."""

    def __init__(self) -> None:
        self._lost: Counter[PlaneKey] = Counter()
        self._requested: dict[PlaneKey, Plane] = {}
        self._failed: set[PlaneKey] = set()
        self._cancelled: set[PlaneKey] = set()
        self._paused = False

    def request(self, planes: Iterable[Plane]) -> None:
        """Request planes, also those that failed."""
        self.forget_failures()
        self._requested = {plane.key: plane for plane in planes}

    def request_again(self, planes: dict[PlaneKey, Plane]) -> None:
        """Request planes that were thought to be done."""
        self._requested |= planes

    def clear_requests(self) -> None:
        """Forget what is requested: it is done, or cannot be."""
        self._requested.clear()

    def missing(
        self, planes: Iterable[Plane], has: Callable[[PlaneKey], object | None]
    ) -> tuple[Plane, ...]:
        """Return what is to be embedded: these planes first, then those that were requested."""
        wanted = {plane.key: plane for plane in planes} | self._requested
        blocked = self._failed | self._cancelled
        return tuple(p for key, p in wanted.items() if key not in blocked and has(key) is None)

    def is_blocked(self, key: PlaneKey) -> bool:
        """Whether a plane is not tried before the user tries again."""
        return self._paused or key in self._failed or key in self._cancelled

    def retry(self) -> None:
        """Forget which planes were cancelled: the user has clicked again."""
        self._cancelled.clear()
        self._lost.clear()
        self._paused = False

    def forget_failures(self) -> None:
        """Try everything again: another model may do better."""
        self._failed.clear()
        self.retry()

    def cancel(
        self, waiting: Iterable[PlaneKey], has: Callable[[PlaneKey], object | None]
    ) -> None:
        """Block what is requested and what waits; nothing is tried before the user tries again."""
        blocked = {*waiting, *self._requested}
        self._cancelled |= {key for key in blocked if has(key) is None}
        self._requested.clear()
        self._paused = True

    def done(self, key: PlaneKey) -> Plane | None:
        """Take a plane off those that were requested, and return it if it was one."""
        return self._requested.pop(key, None)

    def failed(self, key: PlaneKey) -> None:
        """Block a plane that cannot be embedded."""
        self._failed.add(key)
        self._requested.pop(key, None)

    def found(self, key: PlaneKey) -> None:
        """Take note that the embeddings of a plane were there when they were needed."""
        self._lost.pop(key, None)

    def lost(self, key: PlaneKey) -> bool:
        """Take note that the embeddings of a plane are gone; return whether once too often."""
        self._lost[key] += 1
        if self._lost[key] < MAX_TRIES:
            return False
        self.failed(key)
        return True

    def keep_only(self, alive: AbstractSet[WindowKey]) -> None:
        """Forget the planes of layers and pixels that are gone."""
        self._requested = {k: p for k, p in self._requested.items() if k.window_key in alive}
        self._failed = {key for key in self._failed if key.window_key in alive}
        self._cancelled = {key for key in self._cancelled if key.window_key in alive}
