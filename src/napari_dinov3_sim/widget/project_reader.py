"""The reader of projects, for *File > Open* and for files that are dropped onto the window."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.widget.commands import open_dock

if TYPE_CHECKING:
    from collections.abc import Callable


def get_project_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Any]] | None:
    """Return what opens a project that is dropped onto the window, or opened as a file.

    napari asks every reader of this suffix; without a window, and on other threads than the
    main one, there is nothing to open it in.
    """
    from napari import current_viewer

    is_main = threading.current_thread() is threading.main_thread()
    if isinstance(path, str) and is_main and current_viewer() is not None:
        return _open_project_file
    return None


def _open_project_file(path: str | list[str]) -> list[Any]:
    """Open a project in the dock, and give napari no layers: they come when they are found."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        open_dock(viewer).controller.project.open_soon(str(path))
    return [(None,)]
