"""Embeddings of which a device has a copy, so that it can answer where they are."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import torch
    from numpy.typing import NDArray


class ResidentCopies:
    """Copies in the memory of a device, found by the array in the memory of the processor.

    A copy goes when its array does. Safe in threads.
    """

    def __init__(self) -> None:
        self._copies: dict[int, torch.Tensor] = {}
        # Arrays go while the lock is held by the same thread, when garbage is collected there.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._copies)

    def keep(self, vectors: NDArray[Any], copy: torch.Tensor) -> None:
        """Remember the copy of an array that nobody changes any more."""
        with self._lock:
            self._copies[id(vectors)] = copy
        weakref.finalize(vectors, self._forget, id(vectors)).atexit = False

    def find(self, vectors: NDArray[Any]) -> torch.Tensor | None:
        """Return the copy of this very array, if there is one."""
        return self._copies.get(id(vectors))

    def clear(self) -> None:
        """Forget all copies, because their memory is needed."""
        with self._lock:
            self._copies.clear()

    def _forget(self, number: int) -> None:
        with self._lock:
            self._copies.pop(number, None)


RESIDENT = ResidentCopies()
"""Those of this process: the memory of a device is one, whoever embedded the images."""
