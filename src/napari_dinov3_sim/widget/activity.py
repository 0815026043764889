"""Progress in napari's activity dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils import progress as napari_progress

if TYPE_CHECKING:
    from napari_dinov3_sim.session.worker_messages import Progress


class Activity:
    """At most one bar in the activity dock; main thread only."""

    def __init__(self) -> None:
        self._bar: napari_progress | None = None
        self._total = 0

    def show(self, progress: Progress | None) -> None:
        """Show a progress; None takes the bar away."""
        if progress is None:
            self.close()
            return
        if self._bar is None or progress.total != self._total:
            self._open(progress)
        if self._bar is None:
            return
        if self._bar.desc.removesuffix(": ") != progress.description:
            self._bar.set_description(progress.description)
        if progress.done > self._bar.n:
            self._bar.update(progress.done - self._bar.n)

    def _open(self, progress: Progress) -> None:
        """Start a new bar: that of another total would jump back."""
        self.close()
        self._total = progress.total
        self._bar = napari_progress(total=progress.total, desc=progress.description)

    def close(self) -> None:
        """Take the bar away, if there is one."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
