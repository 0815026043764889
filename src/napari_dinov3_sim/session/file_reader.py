"""The reader of image files that napari knows: `readers/reader.py`, with napari's progress."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari.utils import cancelable_progress

from napari_dinov3_sim.readers import reader
from napari_dinov3_sim.readers.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinov3_sim.readers.reader import LayerTuple


def get_image_reader(
    path: str | list[str],
) -> Callable[[str | list[str]], list[LayerTuple]] | None:
    """Return a function that reads a path for napari, or None; see `readers.reader.get_reader`."""
    is_main = threading.current_thread() is threading.main_thread()
    return reader.get_reader(path, download_bar if is_main else None)


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Lend a bar in napari's activity dock for the bytes of a file that is fetched.

    Each step lets napari draw and hear of clicks, so that the fetching can be cancelled there.
    """
    with cancelable_progress(desc=f"Fetching {name}", total=0) as bar:

        def show(done: int, total: int) -> None:
            if total and bar.total != total:
                bar.total = total
            bar.update(done - bar.n)
            if bar.is_canceled:
                raise InputError(
                    f"{name} was not fetched, because you cancelled it; open it again."
                )

        yield show
