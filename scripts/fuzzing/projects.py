"""Projects: one flipped bit, pieces cut out or put elsewhere, and edits of what the JSON says."""

from __future__ import annotations

import json
import random
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.store.project.archive import ProjectFile, array_record, write_project
from napari_dinov3_sim.store.project.records import (
    ClassRecord,
    ImageRecord,
    LookRecord,
    OriginRecord,
    PlacementRecord,
    PointRecord,
    PointsRecord,
    Project,
    RecipeRecord,
    SettingsRecord,
    UsedModel,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLIPS, PIECES = 10_000, 3_000


def make(path: Path) -> Path:
    """Write a project with an image, a class and a point."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8)
    place = PlacementRecord((1.0, 1.0), (0.0, 0.0), ("pixel", "pixel"), ("y", "x"))
    array, look = array_record("images/0.npy", pixels), LookRecord(True, 1.0, "additive", None)
    image = ImageRecord(
        "a", (pixels.shape,), "uint8", False, "ab" * 32, None, (array,), place, look, True
    )
    point = PointRecord((1.0, 2.0), "cell", True, OriginRecord(0))
    objects = ("edges", False, "none", 0.0, "1 mm²")
    switches = (True, False, True, *objects, True, False, False, True, False)
    project = Project(
        "0.1.0",
        (image,),
        (),
        UsedModel("builtin", "f"),
        RecipeRecord(1.0, 1, "zeros", 0, 1024, 128, "blend"),
        (ClassRecord("cell", "#00ffff"),),
        PointsRecord("query", 2, 3.0, place, (point,)),
        (),
        None,
        (),
        (),
        SettingsRecord("auto", "cell", *switches, "class", 0.7, "additive", "shared", (0.0, 1.0)),
        None,
    )
    return write_project(project, {"images/0.npy": pixels}, path)


def read(path: Path) -> tuple[Project, bytes]:
    """Return all that a project holds."""
    with ProjectFile.open(path) as file:
        return file.project, b"".join(file.array(one).tobytes() for one in file.project.arrays)


def damaged(content: bytes, share: float) -> Iterator[bytes]:
    """Yield a file with a bit flipped, or with a piece that is gone, doubled or overwritten."""
    chance = random.Random(0)
    for _ in range(int(FLIPS * share)):
        changed, at = bytearray(content), chance.randrange(8 * len(content))
        changed[at // 8] ^= 1 << at % 8
        yield bytes(changed)
    for _ in range(int(PIECES * share)):
        changed, at = bytearray(content), chance.randrange(len(content))
        piece = slice(at, at + chance.choice((1, 4, 40, 400)))
        other = chance.choice((b"", changed[piece] * 2, chance.randbytes(9), changed[at:]))
        changed[piece] = other
        yield bytes(changed)


def projects(folder: Path, share: float) -> Iterator[str]:
    """Damage a project."""
    path = make(folder / "p.dinov3sim.zip")
    wanted, content = read(path), path.read_bytes()
    for changed in damaged(content, share):
        path.write_bytes(changed)
        yield verdict(path, wanted)


def descriptions(folder: Path, share: float) -> Iterator[str]:
    """Damage the JSON of a project, and pack it as it should be; it may say something else."""
    path = make(folder / "p.dinov3sim.zip")
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    for changed in damaged(members["project.json"], share / 2):
        with zipfile.ZipFile(path, "w") as file:
            for name, content in (members | {"project.json": changed}).items():
                file.writestr(name, content)
        found = verdict(path, None)
        yield "the same" if found == "another answer" and is_json(changed) else found


def is_json(text: bytes) -> bool:
    """Whether somebody could have written it so."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def verdict(path: Path, wanted: tuple[Project, bytes] | None) -> str:
    """Say what came of reading a project."""
    try:
        found = read(path)
    except StoreError as error:
        return "refused" if "\n" not in str(error) else "a sentence of several lines"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "the same" if found == wanted else "another answer"
