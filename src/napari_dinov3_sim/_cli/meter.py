"""The progress of many planes and their tiles, on one bar."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType


class Meter:
    """A bar in megapixels on standard error, and only on a terminal.

    Parameters
    ----------
    planes : int
    megapixels : float
        Of all planes.
    """

    def __init__(self, planes: int, megapixels: float) -> None:
        self._planes, self._megapixels = planes, megapixels
        self._finished, self._done = 0, 0.0
        self._name, self._current = "", 0.0
        self._bar: Any = None

    def __enter__(self) -> Meter:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._megapixels,
                unit="MP",
                leave=False,
                file=sys.stderr,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} MP "
                "[{elapsed}<{remaining}]",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def pause(self) -> None:
        """Take the bar away; it comes back with the next progress."""
        if self._bar is not None:
            self._bar.clear()

    def start(self, name: str, megapixels: float) -> None:
        """Begin a plane."""
        self._name, self._current = name, megapixels
        self._show(f"plane {self._finished + 1}/{self._planes}", 0.0)

    def tile(self, done: int, total: int) -> None:
        """Show the tiles of the plane; a progress callback of `create_patch_image_state`."""
        planes = f"plane {self._finished + 1}/{self._planes}, tile {done}/{total}"
        self._show(planes, self._current * done / max(total, 1))

    def finish(self, megapixels: float, planes: int = 1) -> None:
        """End a plane, or several."""
        self._finished += planes
        self._done += megapixels
        self._current = 0.0
        self._show(f"{self._finished}/{self._planes} planes", 0.0)

    def _show(self, what: str, of_current: float) -> None:
        if self._bar is None:
            return
        self._bar.set_description_str(f"Embedding {self._name} ({what})", refresh=False)
        self._bar.n = min(self._done + of_current, self._megapixels)
        self._bar.refresh()
