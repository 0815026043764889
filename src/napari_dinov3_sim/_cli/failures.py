"""Files that failed while the others went on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.terminal import note

if TYPE_CHECKING:
    from napari_dinov3_sim._cli.tasks import PlaneFailed

DONE, SOME_FAILED = 0, 2
"""Exit codes."""


class Failures:
    """Tells of each failure when it happens, and of all of them at the end."""

    def __init__(self) -> None:
        self._found: list[PlaneFailed] = []
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, failure: PlaneFailed) -> None:
        """Take note of a failure; what befalls many planes alike is told once."""
        if failure.message not in self._told:
            note(f"error: {failure.message}")
        self._told.add(failure.message)
        self._found.append(failure)

    def as_objects(self) -> list[dict[str, str]]:
        """Return them for JSON, those that befell many planes alike once."""
        once = dict.fromkeys((str(failure.path), failure.message) for failure in self._found)
        return [{"image": image, "error": error} for image, error in once]

    def close(self, files: int) -> int:
        """Name the files of which something failed, where there were several; an exit code."""
        if not self._found:
            return DONE
        names = list(dict.fromkeys(str(failure.path) for failure in self._found))
        if files > 1:
            note(f"error: {len(names)} of {files} images failed: {', '.join(names)}.")
        return SOME_FAILED
