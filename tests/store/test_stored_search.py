"""The search over a folder of embeddings, against one product of all that it holds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_dinov3_sim.core.errors import EmbeddingCancelled, StateError
from napari_dinov3_sim.store import DiskStore, stored_search
from napari_dinov3_sim.store.disk_folder import SUFFIX
from napari_dinov3_sim.store.stored_search import search_embeddings

from .states import make_state

QUERY = make_state(16, 16, seed=99).vectors[0]


def digest(number):
    return f"{number:032x}{'0' * 32}"


@pytest.fixture
def states():
    """Images of several sizes, with embeddings in both precisions."""
    return [
        make_state(40 + 16 * seed, 50, seed=seed, dtype=np.float16 if seed % 3 else np.float32)
        for seed in range(7)
    ]


@pytest.fixture
def folder(tmp_path, states):
    store = DiskStore(tmp_path / "kept")
    for number, state in enumerate(states):
        store.put(digest(number), state, f"image {number}")
    return store.folder


def brute_force(folder, states):
    """Return (score, path, row, column) of all cells, the best first."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    found = []
    for path, state in zip(paths, states, strict=True):
        scores = (state.vectors.astype(np.float64) @ QUERY).reshape(state.grid.shape)
        found += [(-score, str(path), *cell) for cell, score in np.ndenumerate(scores)]
    return sorted(found)


def places(matches):
    return [(str(match.path), match.row, match.column) for match in matches]


@pytest.mark.parametrize("block", [1, 3 * 8 * 4, 2**22])
@pytest.mark.parametrize("count", [1, 10, 1000])
def test_the_best_of_all(folder, states, count, block, monkeypatch):
    monkeypatch.setattr(stored_search, "BLOCK_BYTES", block)
    expected = brute_force(folder, states)[:count]
    found = search_embeddings(folder, QUERY, count=count)
    assert places(found) == [one[1:] for one in expected]
    np.testing.assert_allclose([m.score for m in found], [-one[0] for one in expected], atol=1e-3)


def test_some_of_each_image(folder, states):
    by_file = {}
    for one in brute_force(folder, states):
        by_file.setdefault(one[1], []).append(one)
    expected = sorted(one for cells in by_file.values() for one in cells[:2])
    assert places(search_embeddings(folder, QUERY, per_image=2)) == [one[1:] for one in expected]


def test_the_point_is_the_middle_of_the_cell(folder):
    match = search_embeddings(folder, QUERY, count=1)[0]
    assert match.point == (match.column * 16 + 8, match.row * 16 + 8)


def test_equal_scores_come_in_the_order_of_files_and_cells(tmp_path):
    store = DiskStore(tmp_path)
    state = make_state()
    for number in (2, 0, 1):
        store.put(digest(number), replace(state, vectors=np.tile(QUERY, (len(state.grid), 1))))
    paths = sorted(str(path) for path in tmp_path.glob(f"*{SUFFIX}"))
    cells = [(path, row, column) for path in paths for row in range(3) for column in range(4)]
    for count in (5, 12, 20):
        assert places(search_embeddings(tmp_path, QUERY, count=count)) == cells[:count]


def test_files_of_another_model_are_passed_over(folder, states):
    told = []
    assert search_embeddings(folder, QUERY, fingerprint="model:2", notice=told.append) == []
    assert told == [f"7 of 7 files in {folder} are of another model and were not searched."]
    same_weights = search_embeddings(folder, QUERY, fingerprint="model:1+bfloat16")
    assert places(same_weights) == places(search_embeddings(folder, QUERY))


def test_vectors_of_another_length(folder):
    with pytest.raises(StateError, match="5 numbers per vector and the stored embeddings 8"):
        search_embeddings(folder, QUERY[:5])


def test_a_folder_without_embeddings(tmp_path):
    assert search_embeddings(tmp_path, QUERY) == []


def changed_number(content, size):
    content[-3] ^= 1


def cut_short(content, size):
    del content[-5:]


def another_shape(content, size):
    content[8 : 8 + size] = content[8 : 8 + size].replace(b'"shape":[', b'"shape":[9')


def a_lie_about_the_size(content, size):
    content[:8] = (2**60).to_bytes(8, "little")


def no_json(content, size):
    content[8] = ord("x")


@pytest.mark.parametrize(
    "damage", [changed_number, cut_short, another_shape, a_lie_about_the_size, no_json]
)
def test_a_damaged_file_is_told_and_not_searched(folder, states, damage):
    victim = search_embeddings(folder, QUERY, count=1)[0].path
    content = bytearray(victim.read_bytes())
    damage(content, int.from_bytes(content[:8], "little"))
    victim.write_bytes(content)
    told = []
    found = search_embeddings(folder, QUERY, notice=told.append)
    assert len(told) == 1
    assert ("cut short" if damage is cut_short else "delete it and embed the image") in told[0]
    expected = [one[1:] for one in brute_force(folder, states) if one[1] != str(victim)]
    assert places(found) == expected[:100]


def test_unverified_numbers_are_taken_as_they_are(folder):
    """A cut file is told all the same."""
    first, second = (match.path for match in search_embeddings(folder, QUERY, per_image=1)[:2])
    for path, damage in ((first, changed_number), (second, cut_short)):
        content = bytearray(path.read_bytes())
        damage(content, 0)
        path.write_bytes(content)
    told = []
    found = search_embeddings(folder, QUERY, verify=False, notice=told.append, count=1000)
    assert told == [f"{second} cannot be read and is not searched (it was cut short)."]
    assert first in {match.path for match in found}


def test_a_file_of_another_version_is_told(folder):
    path = next(iter(sorted(folder.glob(f"*{SUFFIX}"))))
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["format"] = "napari-dinov3-sim/9"
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + content[8 + size :])
    told = []
    search_embeddings(folder, QUERY, notice=told.append)
    assert told == [f"{path} holds no embeddings of this version; embed the image again."]


def test_what_goes_while_it_is_searched_is_not_missed(folder, states):
    expected = brute_force(folder, states)
    gone = sorted(folder.glob(f"*{SUFFIX}"))[-1]
    told = []

    def remove(done, total):
        if done == 0:
            gone.unlink()

    found = search_embeddings(folder, QUERY, progress=remove, notice=told.append, count=1000)
    assert places(found) == [one[1:] for one in expected if one[1] != str(gone)]
    assert told == []


def test_it_can_be_cancelled(folder):
    calls = []

    def stop(done, total):
        calls.append((done, total))
        if done == 2:
            raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        search_embeddings(folder, QUERY, progress=stop)
    assert calls == [(0, 7), (1, 7), (2, 7)]


def test_memory_does_not_grow_with_the_folder(folder, monkeypatch):
    """Not more than a block for each thread is asked for."""
    asked = []
    empty = np.empty

    def counted(shape, dtype=float):
        if dtype == np.uint8:
            asked.append(int(shape))
        return empty(shape, dtype)

    monkeypatch.setattr(stored_search, "BLOCK_BYTES", 4 * 8 * 4)
    monkeypatch.setattr(np, "empty", counted)
    for number in range(40):
        source = next(iter(folder.glob(f"*{SUFFIX}")))
        shutil.copy(source, folder / f"copy-{number:032x}{SUFFIX}")
    search_embeddings(folder, QUERY)
    assert len(asked) <= stored_search.MOST_THREADS
    assert max(asked) <= 4 * 8 * 4
