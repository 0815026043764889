"""Results of an earlier search that lie between those of this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.terminal import note
from napari_dinov3_sim._cli.wanted import ENDS

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_NAMED = 6
"""Files that are named in one line."""


def note_leftovers(folder: Path, stems: Iterable[str], written: Iterable[str]) -> None:
    """Tell which files of the same images this search has not written; they stay.

    Parameters
    ----------
    folder : Path
        Of the results.
    stems : iterable of str
        By which the results of this search are called.
    written : iterable of str
        Its files.
    """
    mine, new = set(stems), {Path(path).name for path in written}
    names = sorted(path.name for path in folder.iterdir() if path.name not in new)
    left = [name for name in names if _stems(name) & mine]
    if left:
        more = len(left) - MOST_NAMED
        named = ", ".join(left[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        what = "they do" if len(left) > 1 else "it does"
        note(
            f"note: {folder} also holds {named} of an earlier search; {what} not belong to these "
            "results."
        )


def _stems(name: str) -> set[str]:
    """Return what the image of a result may be called, with and without a kind behind it."""
    for end in ENDS:
        if name.endswith(end):
            parts = name.removesuffix(end).split(".")
            return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return set()
