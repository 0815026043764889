"""A folder of embeddings: found by digest, bounded, and mended when something is wrong with it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore, default_folder
from napari_dinov3_sim.store import disk_folder as folder_module
from napari_dinov3_sim.store.safetensors_io import is_cached
from patience import PATIENCE

from .states import make_state, same

STATE = make_state()


def digest(number):
    return sha256(f"{number}".encode()).hexdigest()


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def store(tmp_path, warnings):
    return DiskStore(tmp_path / "store", warn=warnings.append)


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


def test_what_is_put_is_got_by_another_process_later(store, warnings):
    path = store.put(digest(1), STATE, "cells")
    assert path.name.startswith("cells-")
    later = DiskStore(store.folder)
    same(later.get(digest(1)), STATE)
    assert digest(1) in later
    assert digest(2) not in later
    assert later.get(digest(2)) is None
    assert (later.path_of(digest(1)), warnings) == (path, [])


def test_a_disk_that_does_not_say_when_a_folder_has_changed(store):
    """FAT does not; what this process has written is found all the same."""
    first = store.put(digest(1), STATE)
    old = time.time_ns() - 10 * folder_module.SETTLED
    os.utime(store.folder, ns=(old, old))
    assert store.path_of(digest(1)) == first
    second = store.put(digest(2), STATE)
    os.utime(store.folder, ns=(old, old))
    assert store.path_of(digest(2)) == second


def test_float16_stays_float16(store):
    state = make_state(dtype=np.float16)
    store.put(digest(1), state)
    same(store.get(digest(1)), state)


def test_a_folder_that_is_not_there_holds_nothing(store):
    assert store.get(digest(1)) is None
    assert not store.folder.exists()


def test_two_images_of_the_same_name_do_not_collide(store):
    store.put(digest(1), STATE, "image")
    store.put(digest(2), make_state(seed=1), "image")
    same(store.get(digest(1)), STATE)
    same(store.get(digest(2)), make_state(seed=1))


def test_the_name_does_not_matter(store):
    path = store.put(digest(1), STATE, "image")
    path.rename(path.with_name(path.name.replace("image", "renamed")))
    same(DiskStore(store.folder).get(digest(1)), STATE)
    store.put(digest(1), STATE, "third")
    assert len(names(store)) == 1


@pytest.mark.parametrize(
    "label", ["../up", "a/b\\c:d", "ü" * 200, "\udcff", "line\nbreak", "*?[x]"]
)
def test_any_label_makes_a_name(store, label):
    path = store.put(digest(1), STATE, label)
    assert path.parent == store.folder
    same(DiskStore(store.folder).get(digest(1)), STATE)


def test_what_another_process_writes_is_seen(store):
    assert store.get(digest(1)) is None
    other = DiskStore(store.folder)
    for number in range(5):  # within one tick of the clock
        other.put(digest(number), STATE)
        assert digest(number) in store


def test_a_listing_is_used_until_the_folder_changes(store, monkeypatch):
    store.put(digest(1), STATE)
    os.utime(store.folder, (time.time() - 60, time.time() - 60))
    assert digest(1) in store
    monkeypatch.setattr(
        folder_module.Path if hasattr(folder_module, "Path") else Path, "iterdir", None
    )
    assert digest(1) in store
    assert digest(2) not in store


# --- damage -------------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def make_foreign(path):
    save_file({"weights": np.zeros(3)}, path, {"format": "pt"})


def make_text(path):
    path.write_text("not safetensors at all")


def take_from_another(path):
    other = DiskStore(path.parent.parent / "other")
    path.write_bytes(other.put(digest("another model"), make_state(seed=1)).read_bytes())


def make_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [truncate, make_foreign, make_text, take_from_another, make_empty]
)
def test_what_is_wrong_is_set_aside_and_told_once(store, warnings, damage):
    path = store.put(digest(1), STATE, "cells")
    damage(path)
    content = path.read_bytes()
    assert store.get(digest(1)) is None
    aside = path.with_name(f"{path.name}.damaged")
    assert names(store) == [aside.name]
    assert aside.read_bytes() == content
    assert len(warnings) == 1
    assert (
        f"{path} is damaged, or holds the embeddings of something else; it is now" in warnings[0]
    )
    store.put(digest(1), STATE, "cells")
    same(store.get(digest(1)), STATE)


def test_a_damaged_file_in_a_folder_that_may_only_be_read(store, warnings, monkeypatch):
    path = store.put(digest(1), STATE)
    truncate(path)
    monkeypatch.setattr(Path, "replace", refuse(errno.EROFS))
    assert store.get(digest(1)) is None
    assert path.exists()
    assert warnings == [
        f"{path} is damaged, or holds the embeddings of something else, and is not used "
        "(Read-only file system)."
    ]


def test_a_file_that_cannot_be_read_is_left_alone(store, warnings):
    path = store.put(digest(1), STATE)
    path.unlink()
    path.mkdir()
    assert store.get(digest(1)) is None
    assert path.is_dir()
    assert "cannot be read and is not used" in warnings[0]


def test_a_file_that_goes_away_while_it_is_looked_for(store, warnings, monkeypatch):
    path = store.put(digest(1), STATE)
    monkeypatch.setattr(store._folder, "find", lambda *_: [path])
    path.unlink()
    assert store.get(digest(1)) is None
    assert warnings == []


# --- a disk that does not take it ---------------------------------------------------------------


def refuse(number):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_told_once_and_answers_go_on(store, warnings, monkeypatch, number):
    both = EmbeddingStore(MemoryStore(), store)
    monkeypatch.setattr("safetensors.numpy.save_file", refuse(number))
    for seed in range(3):
        both.tiles(digest(seed)).put(0, np.ones((2, 2, 4), np.float32))
        both.put(digest(seed), make_state(seed=seed))
    assert len(warnings) == 1
    assert os.strerror(number) in warnings[0]
    assert "choose another folder" in warnings[0]
    same(both.fetch(digest(2)), make_state(seed=2))
    with pytest.raises(StoreError, match=os.strerror(number)):
        DiskStore(store.folder, must_write=True).put(digest(1), STATE)


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "free some space or "),
        (errno.EROFS, "change its permissions or "),
        (errno.EACCES, "change its permissions or "),
        (errno.ENAMETOOLONG, "choose a shorter name or "),
        (errno.EIO, ""),
    ],
)
def test_a_folder_that_cannot_be_made_says_why(store, warnings, monkeypatch, number, cure):
    monkeypatch.setattr(Path, "mkdir", refuse(number))
    store.tiles(digest(1)).put(0, np.ones((2, 2, 4), np.float32))
    assert len(warnings) == 1
    assert f"({os.strerror(number)}); {cure}choose another folder" in warnings[0]


def test_tiles_of_a_run_that_was_killed_when_all_was_written_go_when_it_is_read(store):
    store.put(digest(1), STATE, "image")
    store.tiles(digest(1), "image").put(0, np.ones((2, 2, 4), np.float32))
    store.tiles(digest(2), "image").put(0, np.ones((2, 2, 4), np.float32))
    same(DiskStore(store.folder).get(digest(1)), STATE)
    (left,) = store.folder.glob("*.tiles")
    assert digest(2)[:32] in left.name


def test_a_file_in_the_place_of_the_folder(store, warnings):
    store.folder.write_text("")
    assert store.put(digest(1), STATE) is None
    assert store.get(digest(1)) is None
    assert len(warnings) == 1


# --- the budget ---------------------------------------------------------------------------------


@pytest.fixture
def bounded(tmp_path):
    """Return a function that makes a store with room for some states, all of an age of its own."""

    def make(count):
        size = DiskStore(tmp_path / "one", 10**9).put(digest(0), STATE).stat().st_size
        return DiskStore(tmp_path / "store", int(size * count / folder_module.ROOM) + 1)

    return make


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_the_least_recently_used_goes_first(bounded):
    store = bounded(3)
    for number in range(3):
        age(store.put(digest(number), STATE), 100 - number)
    store.get(digest(0))
    store.put(digest(3), STATE)
    assert [digest(number) in store for number in range(4)] == [True, False, True, True]


def test_the_bound_holds_whoever_writes(bounded, monkeypatch):
    monkeypatch.setattr("napari_dinov3_sim.store.disk.RECOUNT", 0)
    stores = [bounded(3), bounded(3)]
    for number in range(8):
        stores[number % 2].put(digest(number), STATE)
        total = sum(path.stat().st_size for path in stores[0].folder.iterdir())
        assert total <= stores[0].budget


def test_what_is_not_its_own_is_never_deleted(bounded):
    store = bounded(1)
    store.folder.mkdir()
    others = ["notes.txt", "a.safetensors", "my.embeddings.safetensors", "x.damaged", "b.tiles"]
    for name in others:
        (store.folder / name).write_bytes(bytes(10_000))
        age(store.folder / name, 10**6)
    for number in range(4):
        store.put(digest(number), STATE)
    assert set(others) < set(names(store))
    assert len(names(store)) == len(others) + 1


def test_what_is_larger_than_the_budget_is_not_written(tmp_path):
    store = DiskStore(tmp_path / "store", STATE.nbytes - 1)
    store.tiles(digest(1)).put(0, np.ones((1, 1, 4), np.float32))
    assert store.put(digest(1), STATE) is None
    assert names(store) == []


def test_what_was_asked_for_is_never_removed(bounded):
    store = bounded(2)
    asked = DiskStore(store.folder)
    kept = [asked.put(digest(number), STATE) for number in range(4)]
    for path in kept:
        age(path, 2 * folder_module.STALE)
    for number in range(10, 16):
        store.put(digest(number), STATE)
    assert all(path.exists() for path in kept)
    # What was asked for takes nothing of the room that the cache has.
    assert sum(digest(number) in store for number in range(10, 16)) == 2


def interrupt(store, number, seconds):
    """Leave a tile that is about as large as a file of embeddings."""
    store.tiles(digest(number), "stopped").put(0, STATE.vectors)
    (folder,) = store.folder.glob(f"*{digest(number)[:32]}.tiles")
    for path in [*folder.iterdir(), folder]:
        age(path, seconds)
    return folder


def test_what_embed_has_left_counts_and_stays_and_is_told(bounded, warnings):
    store = bounded(3)
    told = DiskStore(store.folder, store.budget, warnings.append)
    asked = DiskStore(store.folder)
    tiles = interrupt(asked, 4, 2 * folder_module.STALE)
    left = asked.left_over()
    assert "1 interrupted run" in left
    assert tiles.name in left
    broken = asked.put(digest(5), STATE)
    broken.write_bytes(b"no header" + broken.read_bytes()[9:])
    assert asked.get(digest(5)) is None
    assert "1 damaged file and the tiles of 1 interrupted run" in asked.left_over()
    for number in range(10, 16):
        told.put(digest(number), STATE)
    assert tiles.exists()
    assert asked.tiles(digest(4)).get(0) is not None
    assert broken.with_name(f"{broken.name}.damaged").exists()
    # Both take room of the three files that a cache may have.
    assert sum(digest(number) in store for number in range(10, 16)) == 1
    assert "the least recently used, were removed" in warnings[0]
    assert "also holds 1 damaged file and the tiles of 1 interrupted run" in warnings[0]


@pytest.mark.parametrize("damage", [truncate, flip_a_bit])
def test_a_damaged_file_of_the_cache_leaves_first(bounded, warnings, damage):
    store = bounded(3)
    told = DiskStore(store.folder, store.budget, warnings.append)
    kept = [store.put(digest(number), STATE) for number in (1, 2)]
    for path in kept:
        age(path, 10**6)
    broken = store.put(digest(3), STATE)
    damage(broken)
    assert told.get(digest(3)) is None
    aside = broken.with_name(f"{broken.name}.damaged")
    assert aside.exists()
    told.put(digest(4), STATE)
    assert not aside.exists()
    assert all(path.exists() for path in kept)
    assert "1 damaged file (" in warnings[-1].lower()
    assert told.left_over() == ""


def test_tiles_that_another_process_is_writing_are_not_removed(bounded):
    store = bounded(1)
    other = DiskStore(store.folder, store.budget)
    tiles = interrupt(other, 1, 60)
    for number in range(2, 5):
        store.put(digest(number), STATE)
    assert tiles.exists()
    for path in [*tiles.iterdir(), tiles]:
        age(path, 2 * folder_module.LEFT_BEHIND)
    store.put(digest(6), STATE)
    assert not tiles.exists()


def test_a_clock_that_was_put_back_keeps_nothing_for_ever(bounded):
    """Tiles from the future belong to no run of now."""
    store = bounded(1)
    tiles = interrupt(store, 1, -2 * folder_module.STALE)
    part = store.folder / f".x{folder_module.SUFFIX}.y.part"
    part.mkdir()
    age(part, -2 * folder_module.LEFT_BEHIND)
    store.put(digest(2), STATE)
    assert not tiles.exists()
    assert not part.exists()


def test_what_a_cache_has_and_is_asked_for_then_is_kept(bounded):
    store = bounded(2)
    first = store.put(digest(0), STATE)
    assert is_cached(first)
    DiskStore(store.folder).get(digest(0))  # a search is no wish to keep it
    assert is_cached(first)
    same(DiskStore(store.folder, must_write=True).get(digest(0)), STATE)
    assert not is_cached(first)
    store.put(digest(0), STATE)
    assert not is_cached(first)
    for number in range(1, 6):
        store.put(digest(number), STATE)
    assert first.exists()


def test_what_is_removed_is_told(bounded, warnings):
    store = bounded(2)
    told = DiskStore(store.folder, store.budget, warnings.append)
    for number in range(3):
        age(told.put(digest(number), STATE), 100 - number)
    (line,) = warnings
    assert (
        "The cached embeddings of 1 image (0 MiB), the least recently used, were removed" in line
    )
    assert "what `embed` wrote stays" in line


def test_old_tiles_of_interrupted_runs_leave_first(bounded):
    store = bounded(3)
    kept = store.put(digest(1), STATE)
    age(kept, 10 * folder_module.STALE)
    store.tiles(digest(2), "stopped").put(0, np.ones((20, 4), np.float32))
    for path in [*store.folder.rglob("*.tile.safetensors"), *store.folder.glob("*.tiles")]:
        age(path, 2 * folder_module.STALE)
    for number in (3, 4):
        store.put(digest(number), STATE)
    assert store.tiles(digest(2)).get(0) is None
    assert kept.exists()


def test_tiles_beyond_the_budget_are_not_kept(tmp_path):
    store = DiskStore(tmp_path / "store", 5000)
    tiles = store.tiles(digest(1))
    for number in range(10):
        tiles.put(number, np.ones((10, 10, 4), np.float32))
        assert sum(p.stat().st_size for p in store.folder.rglob("*.safetensors")) <= 5000


@pytest.mark.parametrize("is_bounded", [True, False])
def test_what_a_killed_process_was_writing_is_cleared(bounded, is_bounded):
    store = bounded(5)
    path = store.put(digest(1), STATE)
    for name, seconds in [("old", 2 * folder_module.LEFT_BEHIND), ("new", 0)]:
        part = store.folder / f".{path.name}.{name}.part"
        part.mkdir()
        (part / path.name).write_bytes(b"half")
        age(part / path.name, seconds)
        age(part, seconds)
    DiskStore(store.folder, store.budget if is_bounded else None).put(digest(2), STATE)
    assert [name for name in names(store) if name.startswith(".")] == [f".{path.name}.new.part"]


# --- tiles --------------------------------------------------------------------------------------


def test_tiles_are_there_for_the_next_run(store):
    tile = np.random.default_rng(0).random((3, 5, 4)).astype(np.float16)
    store.tiles(digest(1), "cells").put(7, tile)
    again = DiskStore(store.folder).tiles(digest(1), "renamed")
    np.testing.assert_array_equal(again.get(7), tile)
    assert again.get(6) is None
    assert store.tiles(digest(2)).get(7) is None


def test_tiles_are_kept_again_after_another_process_has_cleared_up(store, warnings):
    tile = np.ones((1, 2, 4), np.float32)
    tiles = store.tiles(digest(1))
    tiles.put(0, tile)
    store.tiles(digest(1)).discard()
    tiles.put(1, tile)
    assert (tiles.get(0) is None, tiles.get(1) is None) == (True, False)
    assert warnings == []


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_others_who_use_the_store_can_remove_what_a_run_has_left(store):
    """It was made as any other folder, and not as a private one."""
    store.tiles(digest(1)).put(0, np.ones((1, 2, 4), np.float32))
    (folder,) = store.folder.glob("*.tiles")
    (working,) = folder.glob("*.part")
    assert working.stat().st_mode == folder.stat().st_mode


def test_a_tile_that_does_not_fit_leaves_nothing_behind(store, warnings, monkeypatch):
    def half(_arrays, path, _marks):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    tiles = store.tiles(digest(1))
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.numpy.save_file", half)
        tiles.put(0, np.ones((1, 2, 4), np.float32))
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []
    assert len(warnings) == 1
    assert tiles.get(0) is None
    tiles.put(0, np.ones((1, 2, 4), np.float32))
    assert tiles.get(0) is not None


def test_tiles_go_when_the_image_is_done(store):
    store.tiles(digest(1), "cells").put(0, np.ones((1, 2, 4), np.float32))
    path = store.put(digest(1), STATE, "cells")
    assert names(store) == [path.name]


@pytest.mark.parametrize("damage", [truncate, make_foreign, make_text])
def test_a_damaged_tile_is_computed_again(store, damage):
    tiles = store.tiles(digest(1))
    tiles.put(0, np.ones((1, 2, 4), np.float32))
    tiles.put(1, np.zeros((1, 2, 4), np.float32))
    (first, second) = sorted(store.folder.rglob("*.tile.safetensors"))
    damage(first)
    assert tiles.get(0) is None
    first.write_bytes(second.read_bytes())
    assert tiles.get(0) is None
    tiles.put(0, np.ones((1, 2, 4), np.float32))
    np.testing.assert_array_equal(tiles.get(0), 1)


# --- memory and disk together -------------------------------------------------------------------


def test_get_never_waits_for_the_disk(store, monkeypatch):
    store.put(digest(1), STATE)
    both = EmbeddingStore(MemoryStore(), store)
    monkeypatch.setattr(store, "get", refuse(errno.EIO))
    assert both.get(digest(1)) is None
    assert not both.is_on_disk(digest(1))
    monkeypatch.undo()
    same(both.fetch(digest(1)), STATE)
    same(both.get(digest(1)), STATE)


def test_what_left_the_memory_comes_from_the_disk(store):
    both = EmbeddingStore(MemoryStore(STATE.nbytes), store)
    both.put(digest(1), STATE, "a")
    both.put(digest(2), make_state(seed=1), "b")
    assert both.get(digest(1)) is None
    assert both.is_on_disk(digest(1))
    same(both.fetch(digest(1)), STATE)
    both.budget = 0
    store.path_of(digest(2)).unlink()
    assert both.fetch(digest(2)) is None
    assert not both.is_on_disk(digest(2))
    assert both.budget == both.memory.budget == 0


def test_without_a_disk():
    both = EmbeddingStore(MemoryStore())
    both.put(digest(1), STATE)
    assert both.fetch(digest(1)) is STATE
    assert both.fetch(digest(2)) is None
    assert both.tiles(digest(1)) is None


def test_the_default_folder_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder().parts[-2:] == ("napari-dinov3-sim", "embeddings")
    assert not default_folder().exists()


# --- several processes --------------------------------------------------------------------------


def test_a_folder_of_tiles_that_another_process_clears_up_is_no_failure(store, monkeypatch):
    """Python says of a folder that goes while it is made that it exists."""
    warnings = []
    monkeypatch.setattr(store, "_warn", warnings.append)

    def goes(self, *_arguments, **_options):
        raise FileExistsError(17, "File exists", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", goes)
        store.tiles(digest(1)).put(0, STATE.vectors)
    assert warnings == []
    tiles = store.tiles(digest(2))
    tiles._folder.parent.mkdir(parents=True, exist_ok=True)
    tiles._folder.write_text("a file in its place")
    tiles.put(0, STATE.vectors)
    assert len(warnings) == 1


WRITER = """
import sys
from pathlib import Path
from hashlib import sha256
from napari_dinov3_sim.store import DiskStore
from tests.store.states import make_state, same
warnings = []
store = DiskStore(Path(sys.argv[1]), 400_000, warnings.append)
state = make_state(200, 200, dim=64)
for number in range(60):
    digest = sha256(str(number % 7).encode()).hexdigest()
    found = store.get(digest)
    if found is not None:
        same(found, state)
    store.tiles(digest).put(number % 3, state.vectors[:40])
    store.put(digest, state, sys.argv[2])
# Two that write at once may fill the folder for a moment.
others = [one for one in warnings if "the least recently used" not in one]
assert others == [], others
"""


def test_tiles_that_another_process_deletes_while_they_are_measured(store, monkeypatch):
    store.tiles(digest(1)).put(0, np.ones((2, 2, 4), np.float32))
    folder = folder_module.Folder(store.folder)
    measure = folder_module._measure

    def measured_last(path):
        """From now on the folder is gone, for who had just found that it is there, too."""
        measured = measure(path)
        for name in ("listdir", "scandir"):
            monkeypatch.setattr(os, name, refuse(errno.ENOENT))
        return measured

    monkeypatch.setattr(folder_module, "_measure", measured_last)
    assert folder.units() == []


@pytest.mark.slow
def test_processes_that_write_the_same_digests(tmp_path):
    """Each reads only whole files, whatever the others write, delete and replace."""
    command = [sys.executable, "-W", "error", "-c", WRITER, str(tmp_path / "store")]
    root = Path(__file__).parents[2]
    running = [subprocess.Popen([*command, name], cwd=root) for name in ("one", "two")]
    assert [process.wait(timeout=PATIENCE) for process in running] == [0, 0]
    store = DiskStore(tmp_path / "store")
    files = [path for path in store.folder.iterdir() if path.is_file()]
    assert files
    assert not list(store.folder.glob(".*.part"))
    assert sum(path.stat().st_size for path in store.folder.rglob("*.safetensors")) <= 500_000
