"""One state in one file: read back as it was written, or refused; never half written."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.store import FORMAT, load_state, save_state, write_atomically

from .states import make_state, same

STATE = make_state()


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
    view = np.repeat(state.vectors, 2, axis=0)[::2]
    assert not view.flags.c_contiguous
    save_state(replace(state, vectors=view), tmp_path / "a")
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


@pytest.mark.parametrize("at", [-1, -40])
def test_a_flipped_bit(tmp_path, at):
    path = save_state(STATE, tmp_path / "a")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert "is not what was written" in refusal(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_dtype_is_kept(tmp_path, dtype):
    state = make_state(dtype=dtype)
    same(load_state(save_state(state, tmp_path / "a")), state)


def test_a_file_that_is_not_safetensors(tmp_path):
    (tmp_path / "a").write_bytes(b"\x89PNG" + bytes(500))
    assert "is damaged" in refusal(tmp_path / "a")


def test_a_folder(tmp_path):
    assert "cannot be read" in refusal(tmp_path)


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
    "digest": "",
}


def crc32(tensor, metadata, name):
    """Return the checksum of a file as its format has it, computed here once more."""
    kind = str(tensor.dtype).removeprefix("torch.")
    dtype = kind if kind == "bfloat16" else np.dtype(kind).str
    about = [sorted(map(list, metadata.items())), [[name, dtype, list(tensor.shape)]]]
    content = tensor.view(torch.uint8).numpy().tobytes()
    return f"{zlib.crc32(json.dumps(about).encode() + content):08x}"


def save(path, tensor, metadata, name="embeddings"):
    save_file({name: tensor}, path, {"crc32": crc32(tensor, metadata, name), **metadata})


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, None) for key in GOOD if key not in ("format", "digest")]
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
    save(tmp_path / "a", STATE.embeddings_normalized, metadata)
    assert "is damaged" in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    "embeddings",
    [
        torch.zeros(12, 8, dtype=torch.int32),
        torch.zeros(12, 8, dtype=torch.float64),
        torch.zeros(12, 8, dtype=torch.bfloat16),
        torch.zeros(11, 8),
        torch.zeros(12),
        torch.zeros(3, 4, 8),
    ],
    ids=["integers", "float64", "bfloat16", "a patch too few", "1-D", "3-D"],
)
def test_wrong_content(tmp_path, embeddings):
    save(tmp_path / "a", embeddings, GOOD)
    assert "is damaged" in refusal(tmp_path / "a")


def test_no_tensor_of_that_name(tmp_path):
    save(tmp_path / "a", STATE.embeddings_normalized, GOOD, name="other")
    assert "is damaged" in refusal(tmp_path / "a")


def test_the_metadata_of_this_test_is_that_of_the_store(tmp_path):
    """Guards the tests above, which change one thing at a time."""
    save(tmp_path / "a", STATE.embeddings_normalized, GOOD)
    same(load_state(tmp_path / "a"), STATE)


# --- whole or not at all ------------------------------------------------------------------------


def full_disk(*_args, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "target",
    [
        "safetensors.numpy.save_file",
        "napari_dinov3_sim.store.atomic_files.Path.replace",
        "napari_dinov3_sim.store.atomic_files.Path.chmod",
        "napari_dinov3_sim.store.atomic_files.tempfile.TemporaryDirectory",
    ],
)
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch, target):
    path = save_state(STATE, tmp_path / "a")
    monkeypatch.setattr(target, full_disk)
    with pytest.raises(StoreError, match=r"No space left on device.*free some space"):
        save_state(make_state(seed=1), path)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    same(load_state(path), STATE)


@pytest.fixture
def tiny_disk(tmp_path):
    """Return a folder on a file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full(tiny_disk):
    path = save_state(STATE, tiny_disk / "a")
    with pytest.raises(StoreError, match="No space left on device"):
        save_state(make_state(400, 400, dim=64), path)
    assert list(tiny_disk.iterdir()) == [path]
    same(load_state(path), STATE)


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_dinov3_sim.store.atomic_files.Path.replace", interrupt)
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
@pytest.mark.parametrize(
    "write",
    [lambda path: write_atomically(path, b"content"), lambda path: save_state(STATE, path)],
)
def test_files_are_as_readable_as_others_the_user_writes(tmp_path, umask, mode, write):
    before = os.umask(umask)
    try:
        write(tmp_path / "a")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode
