"""Files of names that are no text, or that a terminal would obey, in every command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from .children import command, done, some_of
from .image_files import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEMS = (
    "plain",
    os.fsdecode(b"caf\xe9"),
    os.fsdecode(bytes(n for n in range(1, 256) if chr(n) not in "/.")[:200]),
    "x" * 240,
    "é" * 120,
    "a\x1b[2J\x1b]0;title\x07b",
    "a\nnapari-dinov3-sim: error: b",
    "a\r\x08\x7f\x9b31m",
    "-rf",
    "--out",
    "\u202egpj.exe",
    "\ufeffa\u200b",
    " ",
    "a*?[b]{c}",
    "a:series=1",
    "~",
    "$HOME",
    "%s%n{0}{name}",
    "CON",
    "..a",
    'a:b*c?"<>|',
    "\U0001f52c木",
)
SUFFIXES = {".npy": "a.npy", ".tif": "plain.tif", ".png": "a.png", ".zarr": "three.zarr"}


def names(folder: Path, share: float) -> Iterator[str]:
    """Embed, search and save queries of files of any name; refuse broken ones."""
    cases = [(stem, suffix) for suffix in SUFFIXES for stem in STEMS]
    for number, (stem, suffix) in enumerate(some_of(cases, share)):
        where = folder / f"{number}"
        where.mkdir()
        path = where / f"{stem}{suffix}"
        try:
            done(lambda path=path, suffix=suffix: FORMATS[SUFFIXES[suffix]](path))
        except RuntimeError:  # this disk does not take the name
            continue
        out = ("--out", where / "o", "--model", "builtin")
        click = ("similarity", path, "--at", 5, 5, *out, "--peaks")
        yield plain(command("embed", path, *out))
        yield plain(command(*click, "--json", "--save-query", where / f"{stem[:80]}.q"))
        yield plain(command(*click, "--overwrite", "--class", stem, "--threshold", "otsu"))
        yield plain(command("search", where / f"{stem[:80]}.q", path, *out, "--overwrite"))
        # As somebody types it: in its folder, without a path before it.
        yield plain(command("embed", path.name, *out, prepare=lambda: os.chdir(where)))  # noqa: B023
        if path.is_file():
            path.write_bytes(b"broken" + np.random.default_rng(0).bytes(99))
            yield plain(command("embed", path, *out))


def plain(child: object) -> str:
    """Return what came of a command whose output must be text that a terminal shows as it is."""
    ended = child.wait()
    for line in (ended.said + ended.complained).split("\n"):
        if not all(one.isprintable() for one in line):
            return f"not plain: {line!r}"
    # A name that begins with a dash is an option, which argparse refuses in lines of its own.
    if ended.code == 2 and "usage:" in ended.complained:
        return "refused"
    return ended.verdict
