"""A run that is stopped at any moment goes on from the tiles and planes that it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_dinov3_sim as nds
from napari_dinov3_sim.cli import embeddings
from napari_dinov3_sim.store import DiskStore, DiskTileCache
from patience import PATIENCE

pytestmark = pytest.mark.slow

ARGUMENTS = ("--out", "store", "--model", "builtin", "--json")

KILLED = """
import os, signal, sys
from napari_dinov3_sim.cli.parser import main
from napari_dinov3_sim.store import DiskTileCache

# A program that is started in the background ignores it, and its children do.
signal.signal(signal.SIGINT, signal.default_int_handler)
real, count = DiskTileCache.put, 0

def put(*arguments):
    global count
    real(*arguments)
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])

DiskTileCache.put = put
sys.exit(main(["embed", *sys.argv[2:]]))
"""


@pytest.fixture
def tall(folder, picture):
    """Return an image of five tiles."""
    image = picture(2200, 32)
    np.save("tall.npy", image)
    return image


@pytest.fixture
def tiles_computed(monkeypatch):
    """Count the tiles that are computed rather than read."""
    numbers, real = [], DiskTileCache.put

    def put(self, number, embeddings):
        numbers.append(number)
        real(self, number, embeddings)

    monkeypatch.setattr(DiskTileCache, "put", put)
    return numbers


def stop(name):
    command = [sys.executable, "-c", KILLED, name, "tall.npy", *ARGUMENTS]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -9), ("SIGINT", 130)])
def test_a_run_that_is_stopped_goes_on(cli, tall, backbone, tiles_computed, name, code):
    done = stop(name)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(Path("store").rglob("*.tile.safetensors"))) == 3
    assert list(Path("store").glob("*.embeddings.safetensors")) == []
    entry = cli("embed", "tall.npy", *ARGUMENTS).json["images"][0]
    assert (tiles_computed, entry["resumed_tiles"]) == ([3, 4], [3, 5])
    assert [path.name for path in Path("store").iterdir()] == [Path(entry["embeddings"]).name]
    stored = nds.load_state(entry["embeddings"])
    expected = nds.create_patch_image_state(tall, backbone)
    assert np.allclose(stored.embeddings_normalized, expected.embeddings_normalized, atol=1e-5)


def test_the_line_of_a_file_says_what_was_resumed(cli, tall, monkeypatch):
    real = DiskTileCache.put

    def put(self, number, embeddings):
        if number == 2:
            raise KeyboardInterrupt
        real(self, number, embeddings)

    with monkeypatch.context() as patch:
        patch.setattr(DiskTileCache, "put", put)
        assert cli("embed", "tall.npy", *ARGUMENTS).code == 130
    out = cli("embed", "tall.npy", "gray.png", *ARGUMENTS[:-1]).out
    assert out.count("; 2 of 5 tiles were already there") == out.count("already there\n") == 1
    assert "tiles" not in cli("embed", "tall.npy", "gray.png", *ARGUMENTS[:-1]).out


def test_tiles_that_nobody_goes_on_with_are_told(cli, folder, tall):
    assert stop("SIGINT").returncode == 130
    assert "interrupted run" not in cli("embed", "gray.png", *ARGUMENTS).err
    for path in Path("store").rglob("*"):
        os.utime(path, (1, 1))
    told = cli("embed", "gray.png", *ARGUMENTS).err
    assert "note: store also holds the tiles of 1 interrupted run (" in told
    assert "goes on from its tiles" in told
    cli("embed", "tall.npy", *ARGUMENTS)
    assert cli("embed", "gray.png", *ARGUMENTS).err == ""


def test_tiles_of_other_pixels_are_not_used(cli, tall, tiles_computed):
    assert stop("SIGINT").returncode == 130
    np.save("tall.npy", tall[::-1])
    assert cli("embed", "tall.npy", *ARGUMENTS).code == 0
    assert tiles_computed == [0, 1, 2, 3, 4]


def test_an_image_of_one_tile_writes_no_tiles(cli, folder, tiles_computed):
    assert cli("embed", "gray.png", *ARGUMENTS).code == 0
    assert tiles_computed == []


def test_a_stopped_stack_skips_the_planes_that_are_done(cli, folder, picture):
    np.save("stack.npy", picture(4, 33, 47, dtype=np.uint16))
    real, calls = DiskStore.put, []

    def write(self, *arguments):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(arguments)
        return real(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskStore, "put", write)
        stopped = cli("embed", "stack.npy", *ARGUMENTS)
    assert (stopped.code, stopped.err.count("\n")) == (130, 1)
    entries = cli("embed", "stack.npy", *ARGUMENTS).json["images"]
    assert [entry["skipped"] for entry in entries] == [True, True, False, False]


def test_a_folder_that_is_searched_in_is_left_as_it_is(cli, tall, tiles_computed):
    cli("embed", "tall.npy", *ARGUMENTS)
    before = sorted(Path("store").rglob("*"))
    np.save("other.npy", tall[::-1])
    ask = ("similarity", "tall.npy", "other.npy", "--at", 3, 3, "--out", "out")
    del tiles_computed[:]
    assert cli(*ask, "--embeddings", "store", "--model", "builtin").code == 0
    assert (sorted(Path("store").rglob("*")), tiles_computed) == (before, [])


def write_npy():
    np.lib.format.open_memmap("a.npy", "r+")[2000:] = 0


def delete_chunks():
    for chunk in Path("a.zarr", "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()


@pytest.fixture
def changing(tall, monkeypatch):
    """What is done to the files when a first tile is finished."""
    pytest.importorskip("zarr").save_array("a.zarr", tall)
    np.save("a.npy", tall)
    real, changes = DiskTileCache.put, []

    def put(self, number, embeddings):
        real(self, number, embeddings)
        if number == 0:
            for change in changes:
                change()

    monkeypatch.setattr(DiskTileCache, "put", put)
    return changes


FILES = pytest.mark.parametrize(
    ("name", "change"), [("a.npy", write_npy), ("a.zarr", delete_chunks)]
)


@FILES
def test_what_changes_while_it_is_embedded_is_not_kept(cli, changing, monkeypatch, name, change):
    monkeypatch.setattr(embeddings, "hold", lambda source: source)  # as of a large file
    changing.append(change)
    result = cli("embed", name, "gray.png", *ARGUMENTS)
    assert (
        f"The pixels of {name} changed while they were embedded; embed them again." in result.err
    )
    (written,) = Path("store").iterdir()
    assert (result.code, written.name.startswith("gray-")) == (2, True)
    changing.clear()
    assert cli("embed", name, *ARGUMENTS).code == 0


@FILES
def test_what_changes_after_it_was_read_is_kept_as_it_was(cli, tall, changing, name, change):
    changing.append(change)
    assert cli("embed", name, *ARGUMENTS).code == 0
    changing.clear()
    (entry,) = cli("embed", name, *ARGUMENTS).json["images"]
    assert not entry["skipped"]  # what is there now has other pixels
    np.save("as_it_was.npy", tall)
    (entry,) = cli("embed", "as_it_was.npy", *ARGUMENTS).json["images"]
    assert entry["skipped"]
    (anew,) = cli("embed", "as_it_was.npy", "--out", "anew", *ARGUMENTS[2:]).json["images"]
    kept, expected = (
        nds.load_state(one["embeddings"]).embeddings_normalized for one in (entry, anew)
    )
    torch.testing.assert_close(kept, expected)
