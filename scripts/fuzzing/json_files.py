"""Malformed JSON of every file that is read: of models, of what is remembered of them, of Zarr."""

from __future__ import annotations

import copy
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from .children import all_of, command, done, embed
from .image_files import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CASES = 300
ODD = (None, True, -1, 0, 1, 0.5, 10**30, 1e308, float("nan"), float("-inf"), "", "1", "\ud800")
ODD += ("../x", "x" * 5000, [], {}, [[]], [None], [-1, 0], {"": 0}, ["a", "b"], {"a": {"b": []}})
TEXTS = (b"", b"{", b"[]", b"null", b"\x00", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"[" * 100_000)
TEXTS += (b'{"a":' * 20_000, b"9" * 5000, b'{"a": 1e999}', b'"\\ud800"', b"NaN", b"{'a': 1}")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value of a JSON stands."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = enumerate(value)
    for key, one in inner:
        yield from places(one, (*path, key))


def malformed(content: bytes, number: int, random: np.random.Generator) -> bytes:
    """Return a JSON in which something is of another sort, missing or too much; or no JSON."""
    if number < len(TEXTS):
        return TEXTS[number]
    sound = json.loads(content)
    found = [place for place in places(sound) if place]
    if not found:
        return json.dumps(ODD[number % len(ODD)]).encode()
    for _ in range(int(random.integers(1, 3))):
        *way, last = found[int(random.integers(len(found)))]
        inner: Any = sound
        try:
            for key in way:
                inner = inner[key]
            if random.random() < 0.15:
                del inner[last]
            elif random.random() < 0.1:
                inner[f"{last}x"] = inner.pop(last)
            else:
                inner[last] = copy.deepcopy(ODD[int(random.integers(len(ODD)))])
        except (LookupError, TypeError, AttributeError):  # another change has taken it away
            continue
    return json.dumps(sound).encode()


def versions(content: bytes, share: float) -> Iterator[bytes]:
    """Yield malformed versions of a JSON."""
    for number in range(all_of(share, CASES, 6)):
        # A small share has some of the texts, too.
        which = number if share == 1 else number * 3
        yield malformed(content, which, np.random.default_rng(which))


SOUND = {
    "config.json": None,
    "preprocessor_config.json": {
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "do_normalize": True,
        "size": {"height": 224, "width": 224},
    },
    "model.safetensors.index.json": {
        "metadata": {"total_size": 1},
        "weight_map": {"norm.weight": "part.safetensors", "norm.bias": "part.safetensors"},
    },
}


def model(name: str) -> Callable[[Path, float], Iterator[str]]:
    """Return a subject that loads a model folder with a malformed JSON."""

    def subject(folder: Path, share: float) -> Iterator[str]:
        from napari_dinov3_sim.backbones.files.locate import BUILTIN_FOLDER

        np.save(folder / "a.npy", np.arange(4096, dtype=np.uint8).reshape(64, 64))
        here = folder / "model"
        here.mkdir()
        weights = "part.safetensors" if "index" in name else "model.safetensors"
        shutil.copy(BUILTIN_FOLDER / "model.safetensors", here / weights)
        sound = SOUND[name]
        content = json.dumps(sound).encode() if sound else (BUILTIN_FOLDER / name).read_bytes()
        for changed in versions(content, share):
            (here / name).write_bytes(changed)
            yield embed(folder / "a.npy", folder / "o", model=here)

    return subject


def identity(folder: Path, share: float) -> Iterator[str]:
    """Damage what is remembered of a model: it is loaded then, and the answer is the same."""
    np.save(folder / "a.npy", np.arange(4096, dtype=np.uint8).reshape(64, 64))
    asked = ("embed", folder / "a.npy", "--model", "builtin", "--json", "--out", folder / "o")

    def home() -> None:
        os.environ["XDG_CACHE_HOME"] = os.environ["HOME"] = str(folder / "home")

    first = command(*asked, prepare=home).wait()
    paths = list((folder / "home").rglob("models/*.json"))
    if first.code or len(paths) != 1:
        yield f"nothing is remembered: {first}"
        return
    content, wanted = paths[0].read_bytes(), json.loads(first.said)["fingerprint"]
    for changed in versions(content, share):
        paths[0].write_bytes(changed)
        ended = command(*asked, prepare=home).wait()
        taken = ended.code == 0 and json.loads(ended.said)["fingerprint"] != wanted
        yield "another model" if taken else ended.verdict


def zarr_metadata(folder: Path, share: float) -> Iterator[str]:
    """Damage the JSON of Zarr: arrays, groups, images of OME-Zarr 0.4 and 0.5."""
    found = []
    for name in ("two.zarr", "three.zarr", "ome04.zarr", "ome05.zarr"):
        done(lambda name=name: FORMATS[name](folder / name))
        files = sorted((folder / name).rglob("*"))
        found += [(folder / name, path) for path in files if path.name in ZARR_FILES]
    for root, path in found:
        content = path.read_bytes()
        for changed in versions(content, share / 4):  # there are many
            path.write_bytes(changed)
            yield embed(root, folder / "e")
        path.write_bytes(content)


ZARR_FILES = (".zarray", ".zattrs", ".zgroup", "zarr.json")
