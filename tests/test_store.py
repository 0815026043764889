"""Embeddings are found only by exactly what they were made from, and never half written."""

from __future__ import annotations

import errno
import os
import stat
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.intensity import IntensityWindow
from napari_dinov3_sim.core.recipe import Recipe
from napari_dinov3_sim.core.state import PatchImageState, normalize_embeddings
from napari_dinov3_sim.core.tiles import Tiling
from napari_dinov3_sim.store import (
    FORMAT,
    MemoryStore,
    digest_of,
    load_state,
    save_state,
    write_atomically,
)

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)
WINDOW = IntensityWindow(0, 23)
ARGUMENTS = (PIXELS, "model:1", WINDOW, Recipe())


def make_state(height=40, width=50, *, dim=8, patch_size=16, window=WINDOW, seed=0):
    grid = PatchGrid((height, width), patch_size)
    values = torch.randn(len(grid), dim, generator=torch.Generator().manual_seed(seed))
    return PatchImageState(normalize_embeddings(values), grid, "model:1", window)


def same(first, second):
    assert torch.equal(first.embeddings_normalized, second.embeddings_normalized)
    assert (first.grid, first.fingerprint, first.window) == (
        second.grid,
        second.fingerprint,
        second.window,
    )


# --- the digest ---------------------------------------------------------------------------------


def changed(array, index):
    copy = array.copy()
    copy[index] += 1
    return copy


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, changed(PIXELS, (0, 0))),
        (0, changed(PIXELS, (3, 5))),
        (0, PIXELS.astype(np.int8)),
        (0, PIXELS.astype(">u2")),
        (0, PIXELS.reshape(6, 4)),
        (0, PIXELS[..., np.newaxis]),
        (0, PIXELS.T),
        (1, "model:2"),
        (2, IntensityWindow(0, 24)),
        (2, IntensityWindow(1, 23)),
        (2, None),
        (3, Recipe(Tiling(side=512))),
        (3, Recipe(Tiling(overlap=64))),
    ],
)
def test_the_digest_depends_on(position, value):
    arguments = list(ARGUMENTS)
    arguments[position] = value
    assert digest_of(*arguments) != digest_of(*ARGUMENTS)


def test_byte_order_is_told_apart():
    little, big = PIXELS.astype("<u2"), PIXELS.astype(">u2")
    assert digest_of(little, *ARGUMENTS[1:]) != digest_of(big, *ARGUMENTS[1:])


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float64, np.longdouble, ">f4", np.int64])
def test_the_layout_in_memory_does_not_matter(dtype):
    array = (np.arange(48).reshape(6, 8) % 5).astype(dtype)
    views = [
        np.asfortranarray(array),
        np.repeat(array, 2, axis=0)[::2],
        np.repeat(array, 3, axis=1)[:, ::3],
        array[::-1].copy()[::-1],
    ]
    assert {digest_of(view, *ARGUMENTS[1:]) for view in views} == {
        digest_of(array, *ARGUMENTS[1:])
    }


def test_the_digest_is_hexadecimal_and_repeatable():
    digest = digest_of(*ARGUMENTS)
    assert digest == digest_of(*ARGUMENTS)
    assert len(bytes.fromhex(digest)) == 32


def test_the_pixels_are_not_changed():
    read_only = PIXELS.copy()
    read_only.flags.writeable = False
    digest_of(read_only, *ARGUMENTS[1:])


# --- in memory ----------------------------------------------------------------------------------

STATE = make_state()
SIZE = STATE.nbytes


def test_what_is_put_is_got():
    store = MemoryStore()
    assert store.get("a") is None
    store.put("a", STATE)
    assert store.get("a") is STATE
    assert (len(store), store.nbytes) == (1, SIZE)


def test_the_least_recently_used_goes_first():
    store = MemoryStore(2 * SIZE)
    store.put("a", STATE)
    store.put("b", STATE)
    store.get("a")
    store.put("c", STATE)
    assert [store.get(name) is not None for name in "abc"] == [True, False, True]


def test_the_budget_holds_and_may_shrink():
    store = MemoryStore(3 * SIZE)
    for name in "abcde":
        store.put(name, STATE)
    assert store.nbytes == 3 * SIZE
    store.budget = SIZE
    assert (len(store), store.nbytes, store.budget) == (1, SIZE, SIZE)
    assert store.get("e") is STATE


def test_putting_again_replaces_and_counts_once():
    store = MemoryStore(3 * SIZE)
    larger = make_state(80, 50)
    store.put("a", STATE)
    store.put("a", larger)
    assert (len(store), store.nbytes) == (1, larger.nbytes)


def test_what_is_larger_than_the_budget_is_not_kept():
    store = MemoryStore(SIZE - 1)
    store.put("a", STATE)
    assert (len(store), store.nbytes) == (0, 0)


def test_threads_leave_the_sum_right():
    store, names = MemoryStore(10 * SIZE), [f"{number}" for number in range(25)]
    failures = []

    def work(seed):
        try:
            for name in np.random.default_rng(seed).choice(names, 400):
                if store.get(name) is None:
                    store.put(name, STATE)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.nbytes == SIZE * len(store) == 10 * SIZE


# --- on disk ------------------------------------------------------------------------------------


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    patch_size=st.integers(1, 32),
    dim=st.integers(1, 40),
    window=st.none() | st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)).map(sorted),
)
def test_a_state_survives_the_disk(tmp_path, height, width, patch_size, dim, window):
    bounds = None if window is None else IntensityWindow(*window)
    state = make_state(height, width, dim=dim, patch_size=patch_size, window=bounds)
    path = save_state(state, tmp_path / "a.embeddings.safetensors")
    same(load_state(path), state)


def test_embeddings_that_are_a_view_are_saved(tmp_path):
    state = make_state()
    view = torch.repeat_interleave(state.embeddings_normalized, 2, dim=0)[::2]
    assert not view.is_contiguous()
    save_state(replace(state, embeddings_normalized=view), tmp_path / "a")
    same(load_state(tmp_path / "a"), state)


def test_a_path_may_be_a_string(tmp_path):
    save_state(STATE, str(tmp_path / "a"))
    same(load_state(str(tmp_path / "a")), STATE)


def test_what_is_loaded_does_not_depend_on_the_file(tmp_path):
    path = save_state(STATE, tmp_path / "a")
    loaded = load_state(path)
    save_state(make_state(seed=1), path)
    same(loaded, STATE)


def refusal(path):
    with pytest.raises(StoreError) as caught:
        load_state(path)
    message = str(caught.value)
    assert str(path) in message
    assert "embed the image" in message
    return message


def test_a_missing_file(tmp_path):
    assert "does not exist" in refusal(tmp_path / "a")


@pytest.mark.parametrize("part", [0, 4, 50, 0.5, -1])
def test_a_truncated_file(tmp_path, part):
    path = save_state(STATE, tmp_path / "a")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part) if isinstance(part, float) else part])
    assert "is damaged" in refusal(path)


def test_a_file_that_is_not_safetensors(tmp_path):
    (tmp_path / "a").write_bytes(b"\x89PNG" + bytes(500))
    assert "is damaged" in refusal(tmp_path / "a")


def test_a_folder(tmp_path):
    assert "is damaged" in refusal(tmp_path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "napari-dinov3-sim/99"}])
def test_safetensors_of_someone_else(tmp_path, metadata):
    save_file({"embeddings": torch.zeros(2, 2)}, tmp_path / "a", metadata)
    assert "holds no embeddings of this version" in refusal(tmp_path / "a")


GOOD = {
    "format": FORMAT,
    "image_shape": "[40, 50]",
    "patch_size": "16",
    "fingerprint": "model:1",
    "window": "[0.0, 23.0]",
}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, None) for key in GOOD if key != "format"]
    + [
        ("image_shape", "[40, 70]"),
        ("image_shape", "[40]"),
        ("image_shape", "40 by 50"),
        ("image_shape", "[0, 50]"),
        ("image_shape", '["a", 50]'),
        ("patch_size", "0"),
        ("patch_size", "many"),
        ("patch_size", "8"),
        ("window", "[5, 1]"),
        ("window", "[NaN, 1]"),
        ("window", "[1]"),
        ("window", "{}"),
        ("window", "[1, 2"),
    ],
)
def test_wrong_metadata(tmp_path, key, value):
    metadata = {k: v for k, v in {**GOOD, key: value}.items() if v is not None}
    save_file({"embeddings": STATE.embeddings_normalized}, tmp_path / "a", metadata)
    assert "is damaged" in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    "embeddings",
    [
        torch.full((12, 8), float("nan")),
        torch.full((12, 8), float("inf")),
        torch.zeros(11, 8),
        torch.zeros(12),
        torch.zeros(3, 4, 8),
    ],
    ids=["NaN", "infinite", "a patch too few", "1-D", "3-D"],
)
def test_wrong_content(tmp_path, embeddings):
    save_file({"embeddings": embeddings}, tmp_path / "a", GOOD)
    assert "is damaged" in refusal(tmp_path / "a")


def test_no_tensor_of_that_name(tmp_path):
    save_file({"other": STATE.embeddings_normalized}, tmp_path / "a", GOOD)
    assert "is damaged" in refusal(tmp_path / "a")


def test_the_metadata_of_this_test_is_that_of_the_store(tmp_path):
    """Guards the tests above, which change one thing at a time."""
    save_file({"embeddings": STATE.embeddings_normalized}, tmp_path / "a", GOOD)
    same(load_state(tmp_path / "a"), STATE)


# --- whole or not at all ------------------------------------------------------------------------


def full_disk(*_args, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk:
    """A file of which only half fits on the disk."""

    def __init__(self, handle, mode):
        self.file = open(handle, mode)  # noqa: PTH123, SIM115

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        full_disk()


@pytest.mark.parametrize(
    ("target", "stand_in"),
    [
        ("napari_dinov3_sim.store.os.fdopen", FullDisk),
        ("napari_dinov3_sim.store.Path.replace", full_disk),
        ("napari_dinov3_sim.store.Path.chmod", full_disk),
        ("napari_dinov3_sim.store.tempfile.mkstemp", full_disk),
    ],
)
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(
    tmp_path, monkeypatch, target, stand_in
):
    path = save_state(STATE, tmp_path / "a")
    monkeypatch.setattr(target, stand_in)
    with pytest.raises(StoreError, match=r"No space left on device.*free some space"):
        save_state(make_state(seed=1), path)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    same(load_state(path), STATE)


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_dinov3_sim.store.Path.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_state(STATE, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder(tmp_path):
    with pytest.raises(StoreError, match=r"cannot be written.*choose another folder"):
        save_state(STATE, tmp_path / "gone" / "a")


def test_a_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        save_state(STATE, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_are_as_readable_as_others_the_user_writes(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a", b"content")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode
