"""Output in the terminal: text, notes, tables and progress bars."""

from __future__ import annotations

import json
import sys
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from napari_dinov3_sim.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class PlaneProgress:
    """A bar in megapixels on standard error, and only on a terminal; close it.

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
        bar_format = (
            "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} MP [{elapsed}<{remaining}]"
        )
        self._bar = _bar(total=megapixels, unit="MP", bar_format=bar_format)

    def close(self) -> None:
        """Take the bar away for good."""
        self._bar.close()

    def pause(self) -> None:
        """Take the bar away; it comes back with the next progress."""
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
        self._bar.set_description_str(printable(f"Embedding {self._name} ({what})"), refresh=False)
        self._bar.n = min(self._done + of_current, self._megapixels)
        self._bar.refresh()


PROGRAM = "napari-dinov3-sim"


def say(text: str) -> None:
    """Write one line to standard output."""
    _write(text, sys.stdout)


def note(text: str) -> None:
    """Write one line to standard error, under the name of the program."""
    _write(f"{PROGRAM}: {text}", sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    # File names may hold what a terminal obeys, or cannot show; that must not stop the work.
    encoding = stream.encoding or "utf-8"
    line = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    stream.write(f"{line}\n")


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output, with its columns aligned.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of the same length, the headings first.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        say("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip())


class ProgressBars:
    """Progress bars on standard error, one at a time and only on a terminal; close it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._description = ""

    def download(self, description: str, done: int, total: int) -> None:
        """Show the bytes of a download; a progress callback of `load_backbone`."""
        self._show(description, "B", done, total)

    def tiles(self, description: str) -> Callable[[int, int], None]:
        """Return a progress callback of `create_patch_image_state`."""
        return partial(self._show, description, "tile")

    def images(self, description: str, done: int, total: int) -> None:
        """Show how many images are done."""
        self._show(description, "image", done, total)

    def _show(self, description: str, unit: str, done: int, total: int) -> None:
        if self._bar is None or description != self._description:
            self.close()
            self._description = description
            self._bar = _bar(desc=printable(description), unit=unit, unit_scale=unit == "B")
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)

    def tell(self, event: str, **about: Any) -> None:
        """Tell of an event in a search; bars have no room for it."""

    def failed(self, path: Path, message: str) -> None:
        """Tell of a file that failed."""
        self.tell("failed", image=str(path), error=message)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


@contextmanager
def fetching(name: str) -> Iterator[Callable[[int, int], None]]:
    """Lend a bar for the bytes of a file that is fetched; a `Meter` of `readers/addresses.py`."""
    with closing(ProgressBars()) as bars:
        yield partial(bars.download, f"Fetching {name}")


class ProgressLines(ProgressBars):
    """Progress as one JSON object a line on standard output, for a program that reads it.

    Whoever reads may go away: the next line then ends the search with a `BrokenPipeError`.
    """

    def tell(self, event: str, **about: Any) -> None:
        """Write an event."""
        sys.stdout.write(f"{json.dumps({'event': event, **about})}\n")
        sys.stdout.flush()

    def _show(self, description: str, unit: str, done: int, total: int) -> None:
        self.tell("download" if unit == "B" else "tile", what=description, done=done, total=total)


def open_progress(how: str) -> ProgressBars:
    """Return what shows the progress of a command: ``json`` for lines, ``bar`` for bars."""
    return ProgressLines() if how == "json" else ProgressBars()


def _bar(**options: Any) -> Any:
    from tqdm import tqdm

    # None: on a terminal only.
    return tqdm(disable=None, leave=False, file=sys.stderr, **options)
