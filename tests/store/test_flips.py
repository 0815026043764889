"""No bit of a file may change without notice: it is refused, or what comes back is the same."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from napari_dinov3_sim.backbones import known_identity, load_backbone
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery
from napari_dinov3_sim.store import DiskStore, Expected, load_state, save_state
from napari_dinov3_sim.store.query_files import load_query, save_query

from .states import make_state, same

pytestmark = pytest.mark.slow

STATE = make_state()
DIGEST = sha256(b"image").hexdigest()
BODY_BITS = 400
"""Random bits of a body that are flipped; all of a header are."""


def flips(content, header):
    """Yield the bytes of a file with one bit flipped, for every bit of its header."""
    rng = np.random.default_rng(0)
    in_body = header * 8 + rng.integers(0, (len(content) - header) * 8, BODY_BITS)
    for bit in [*range(header * 8), *in_body.tolist()]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def header_of(content):
    return 8 + int.from_bytes(content[:8], "little")


def test_embeddings_in_a_file(tmp_path):
    path = save_state(STATE, tmp_path / "a")
    content = path.read_bytes()
    refused = 0
    for changed in flips(content, header_of(content)):
        path.write_bytes(changed)
        try:
            same(load_state(path), STATE)
        except StoreError:
            refused += 1
    assert refused > 0.99 * (header_of(content) * 8 + BODY_BITS)


def test_embeddings_and_tiles_in_a_store(tmp_path):
    """What is there under a digest is what was put there, or nothing."""
    store = DiskStore(tmp_path, warn=lambda _: None)
    path = store.put(DIGEST, STATE)
    content = path.read_bytes()
    for changed in flips(content, header_of(content)):
        path.write_bytes(changed)
        found = store.get(DIGEST)
        if found is not None:
            same(found, STATE)
    path.unlink(missing_ok=True)
    tiles, tile = store.tiles(DIGEST), STATE.vectors.reshape(3, 4, 8)
    tiles.put(7, tile)
    path = next(tmp_path.rglob("*.tile.safetensors"))
    content = path.read_bytes()
    for changed in flips(content, header_of(content)):
        path.write_bytes(changed)
        found = tiles.get(7)
        assert found is None or np.array_equal(found, tile)


def test_a_saved_query(tmp_path):
    class_ = SavedClass("gland", "#00ffff", STATE.vectors[:3], STATE.vectors[3:4], threshold=-0.05)
    path = save_query(SavedQuery((class_,), "auto", "f" * 64, "builtin", 16, 1.0), tmp_path / "a")
    content = path.read_bytes()
    refused = 0
    for changed in flips(content, header_of(content)):
        path.write_bytes(changed)
        try:
            found = load_query(path)
        except StoreError:
            refused += 1
            continue
        (one,) = found.classes
        assert (one.name, one.colour, found.combination) == ("gland", "#00ffff", "auto")
        assert (found.fingerprint, found.model, found.cell_size) == ("f" * 64, "builtin", 16)
        np.testing.assert_array_equal(one.positives, class_.positives)
        np.testing.assert_array_equal(one.negatives, class_.negatives)
        assert one.threshold == -0.05
    assert refused > 0.99 * (header_of(content) * 8 + BODY_BITS)


def test_what_is_remembered_of_a_model(identity_folder):
    load_backbone("builtin", device="cpu")
    known = known_identity("builtin", "cpu")
    assert known is not None
    (path,) = identity_folder.iterdir()
    content = path.read_bytes()
    for changed in flips(content, 0):
        path.write_bytes(changed)
        assert known_identity("builtin", "cpu") in (None, known)


# --- what is asked for --------------------------------------------------------------------------

ASKED = Expected(STATE.image_shape, STATE.grid.patch_size, STATE.fingerprint, STATE.window)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_shape", (41, 50)),
        ("patch_size", 17),
        ("fingerprint", "model:2"),
        ("window", IntensityWindow(0, 24)),
        ("window", None),
    ],
)
def test_a_file_with_other_facts_than_asked_for_is_not_used(tmp_path, name, value):
    """Also where its checksum is right: whoever wrote it then was mistaken."""
    warnings = []
    store = DiskStore(tmp_path, warn=warnings.append)
    path = store.put(DIGEST, STATE)
    same(store.get(DIGEST, ASKED), STATE)
    assert store.get(DIGEST, Expected(**{**vars(ASKED), name: value})) is None
    assert not path.exists()
    assert "holds the embeddings of something else" in warnings[0]


# --- other versions -----------------------------------------------------------------------------


def rewrite(path, **changes):
    """Write a file again with other metadata, as another version of the package would."""
    with safe_open(path, framework="np") as file:
        metadata, arrays = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    held = {k: v for k, v in {**metadata, **changes}.items() if v is not None}
    save_file(arrays, path, held)


@pytest.mark.parametrize("version", [1, 2, 99])
def test_embeddings_of_another_version_count_as_not_there(tmp_path, version):
    warnings = []
    store = DiskStore(tmp_path, warn=warnings.append)
    path = store.put(DIGEST, STATE, "cells")
    rewrite(path, format=f"napari-dinov3-sim/{version}")
    before = path.read_bytes()
    for _ in range(2):
        assert store.get(DIGEST) is None
    assert path.read_bytes() == before
    assert warnings == [
        f"{tmp_path} holds embeddings of another version of napari-dinov3-sim, which are not "
        "used; the images are embedded again."
    ]
    assert store.put(DIGEST, STATE, "renamed") == path
    same(store.get(DIGEST), STATE)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_query_of_the_first_format_has_no_checksum_and_is_read(tmp_path):
    class_ = SavedClass("gland", "#00ffff", STATE.vectors[:3], STATE.vectors[3:4])
    path = save_query(SavedQuery((class_,), "auto", "f", "builtin", 16, 1.0), tmp_path / "a")
    with safe_open(path, framework="np") as file:
        about = json.loads(file.metadata()["query"])
    about["kinds"] = about.pop("classes")
    former = {"format": "napari-dinov3-sim-query/1", "query": json.dumps(about)}
    rewrite(path, **former, crc32=None)
    assert load_query(path).classes[0].name == "gland"
    rewrite(path, **former, crc32="00000000")
    with pytest.raises(StoreError, match="not what was written"):
        load_query(path)


@pytest.mark.parametrize("number", ["[1e999, 50]", "[4611686018427387904, 4611686018427387904]"])
def test_sizes_that_no_image_has_are_damage(tmp_path, number):
    from napari_dinov3_sim.store.safetensors_io import write_array

    metadata = {"image_shape": number, "patch_size": "16", "fingerprint": "f", "window": "null"}
    write_array(STATE.vectors, tmp_path / "a", metadata)
    with pytest.raises(StoreError, match="is damaged"):
        load_state(tmp_path / "a")
