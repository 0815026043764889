"""The run over the tiles: batches, resuming, cancelling, and memory that runs out."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from napari_dinov3_sim.core import vectors as product
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import EmbeddingCancelled, ImageError, OutOfMemoryError
from napari_dinov3_sim.core.images.sources import ArraySource
from patience import PATIENCE

from ..backbones import Dinov3Backbone, LinearBackbone, tiny_dinov3

RECIPE = Recipe(Tiling(64, 16))
SHAPE = (150, 210)


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def embed(backbone, recipe=RECIPE, **options):
    return create_patch_image_state(picture(), backbone, recipe=recipe, **options)


@pytest.fixture(scope="module")
def tiny():
    return tiny_dinov3()


@pytest.fixture(scope="module")
def expected(tiny):
    return embed(tiny)


class Kept(dict):
    """A `TileCache` in memory."""

    def put(self, number, embeddings):
        self[number] = embeddings.copy()


# --- what the result does not depend on ----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [3, 100])
@pytest.mark.parametrize("shifts", [1, 2])
def test_batches_do_not_change_the_result(tiny, batch_size, shifts):
    recipe = Recipe(Tiling(64, 16), shifts=shifts)
    single, many = embed(tiny, recipe), embed(tiny, recipe, batch_size=batch_size)
    assert many.grid == single.grid
    torch.testing.assert_close(
        many.embeddings_normalized, single.embeddings_normalized, rtol=0, atol=1e-5
    )


def test_batches_are_as_large_as_asked_for():
    backbone = LinearBackbone(patch_size=16)
    embed(backbone, batch_size=5)
    sizes = [len(batch) for batch in backbone.seen]
    assert sizes == [5] * (len(sizes) - 1) + [sum(sizes) - 5 * (len(sizes) - 1)]
    assert sum(sizes) == 15


def test_threads_do_not_change_the_result(tiny, expected):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        found = embed(tiny)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(
        found.embeddings_normalized, expected.embeddings_normalized, rtol=0, atol=1e-5
    )


def test_the_order_of_tiles_does_not_change_the_result(tiny, expected):
    """Every second tile first, the others in a second run that starts from these."""
    kept = Kept()
    embed(tiny, tiles=kept)
    halves = [Kept({n: kept[n] for n in kept if n % 2 == parity}) for parity in (0, 1)]
    for half in halves:
        found = embed(tiny, tiles=half)
        assert torch.equal(found.embeddings_normalized, expected.embeddings_normalized)


def test_large_images_are_kept_in_half_precision(tiny, expected, monkeypatch):
    monkeypatch.setattr(product, "FULL_PRECISION_ELEMENTS", 1000)
    kept = Kept()
    found = embed(tiny, tiles=kept)
    assert found.embeddings_normalized.dtype == torch.float16
    assert {tile.dtype for tile in kept.values()} == {np.dtype(np.float16)}
    torch.testing.assert_close(
        found.embeddings_normalized.float(), expected.embeddings_normalized, rtol=0, atol=5e-4
    )
    assert found.nbytes * 2 == expected.nbytes
    resumed = embed(tiny, tiles=Kept({number: kept[number] for number in (0, 3, 8)}))
    assert torch.equal(resumed.embeddings_normalized, found.embeddings_normalized)


def test_tiles_are_kept_whole(tiny):
    """So that they are joined the same when a run goes on."""
    kept = Kept()
    embed(tiny, tiles=kept)
    assert {tuple(tile.shape) for tile in kept.values()} == {(4, 4, tiny.dim)}


# --- stopping and going on -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("shifts", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_cancelled_run_goes_on_where_it_stopped(shifts, batch_size):
    recipe, kept, calls = Recipe(Tiling(64, 16), shifts=shifts), Kept(), []
    options = {"recipe": recipe, "tiles": kept, "batch_size": batch_size}

    def stop(done, total):
        if done == 6:
            raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        embed(LinearBackbone(16), progress=stop, **options)
    assert sorted(kept) == list(range(6))
    second = LinearBackbone(16)
    found = embed(second, progress=lambda *call: calls.append(call), **options)
    assert sum(len(batch) for batch in second.seen) == (15 - 6) * shifts**2
    assert calls == [(done, 15) for done in range(16)]
    assert torch.equal(
        found.embeddings_normalized, embed(LinearBackbone(16), recipe).embeddings_normalized
    )
    third = LinearBackbone(16)
    again = embed(third, **options)
    assert third.seen == []
    assert torch.equal(again.embeddings_normalized, found.embeddings_normalized)


def test_a_kept_tile_that_does_not_fit_is_computed_again(tiny, expected):
    kept = Kept({0: np.zeros((1, 1, tiny.dim)), 1: np.zeros((4, 4, tiny.dim + 1))})
    found = embed(tiny, tiles=kept)
    assert torch.equal(found.embeddings_normalized, expected.embeddings_normalized)


@pytest.mark.parametrize(
    "error", [EmbeddingCancelled(), RuntimeError("a bug"), KeyboardInterrupt()]
)
def test_no_thread_outlives_the_run(error):
    def fail(done, total):
        if done == 3:
            raise error

    before = set(threading.enumerate())
    with pytest.raises(type(error)):
        embed(LinearBackbone(16), progress=fail)
    assert set(threading.enumerate()) == before


def test_a_source_that_fails_in_the_middle_ends_the_run_with_its_sentence():
    class Failing:
        shape, dtype, reads = SHAPE, np.dtype(np.uint8), 0

        def __getitem__(self, index):
            self.reads += 1
            if self.reads > 4:
                raise OSError("Stale file handle")
            return np.zeros(SHAPE, np.uint8)[index]

    before, kept = set(threading.enumerate()), Kept()
    with pytest.raises(ImageError, match=r"Stale file handle.*open the image again"):
        create_patch_image_state(
            ArraySource(Failing()), LinearBackbone(16), window=(0, 1), recipe=RECIPE, tiles=kept
        )
    assert sorted(kept) == [0, 1, 2, 3]
    assert set(threading.enumerate()) == before


def test_the_next_tile_is_read_while_the_model_runs():
    class Slow(LinearBackbone):
        def embed_patches(self, pixel_values):
            assert read_on.wait(PATIENCE), "the next tile was not read meanwhile"
            read_on.clear()
            return super().embed_patches(pixel_values)

    class Watched:
        shape, dtype, reads = SHAPE, np.dtype(np.uint8), 0

        def __getitem__(self, index):
            self.reads += 1
            if self.reads > 1:
                read_on.set()
            if self.reads == 15:  # behind the last tile there is nothing to read
                last.set()
            return np.zeros(SHAPE, np.uint8)[index]

    read_on, last = threading.Event(), threading.Event()

    def progress(done, total):
        if last.is_set():
            read_on.set()

    source = ArraySource(Watched())
    create_patch_image_state(source, Slow(16), window=(0, 1), recipe=RECIPE, progress=progress)


# --- memory --------------------------------------------------------------------------------------


class LimitedBackbone(Dinov3Backbone):
    """Has memory for a number of images; on the CPU for one more than it is told."""

    device = "cuda"

    def __init__(self, backbone, most, cpu=None):
        super().__init__(backbone.model, backbone.name)
        self.most, self.cpu, self.batches = most, cpu, []

    def embed_patches(self, pixel_values):
        if len(pixel_values) > self.most:
            raise OutOfMemoryError(f"{self.name} ran out of memory.")
        self.batches.append(len(pixel_values))
        return super().embed_patches(pixel_values)

    def on_cpu(self):
        return self.cpu


def same(found, expected):
    torch.testing.assert_close(
        found.embeddings_normalized, expected.embeddings_normalized, rtol=0, atol=1e-5
    )
    return found.fingerprint == expected.fingerprint


def test_out_of_memory_halves_the_batch_and_goes_on(tiny, expected):
    limited, notices = LimitedBackbone(tiny, most=3), []
    found = embed(limited, batch_size=8, notice=notices.append)
    assert same(found, expected)
    assert limited.batches == [2, 2, 2, 2, 2, 2, 2, 1]
    assert notices == [
        f"The model {tiny.name} ran out of memory on cuda with {size} tiles at once; it goes on "
        f"with {size // 2}."
        for size in (8, 4)
    ]


def test_not_even_one_tile_fits_so_the_cpu_takes_over(tiny, expected):
    cpu, notices, kept = LimitedBackbone(tiny, 99), [], Kept()
    limited = LimitedBackbone(tiny, most=0, cpu=cpu)
    found = embed(limited, batch_size=2, notice=notices.append, tiles=kept)
    assert same(found, expected)
    assert notices[-1] == (
        f"The model {tiny.name} ran out of memory on cuda with a single tile; this image is "
        "embedded on the CPU, more slowly."
    )
    assert len(kept) == 15


def test_memory_that_runs_out_later_changes_nothing_of_what_is_done(tiny, expected):
    cpu = LimitedBackbone(tiny, 99)
    limited = LimitedBackbone(tiny, most=1, cpu=cpu)

    def progress(done, total):
        if done == 5:
            limited.most = 0

    assert same(embed(limited, progress=progress), expected)
    assert (sum(limited.batches), sum(cpu.batches)) == (5, 10)


def test_another_arithmetic_on_the_cpu_starts_all_over(tiny):
    other = tiny_dinov3(seed=5)
    cpu, kept = LimitedBackbone(other, 99), Kept()
    limited = LimitedBackbone(tiny, most=1, cpu=cpu)

    def progress(done, total):
        if done == 5:
            limited.most = 0

    found = embed(limited, progress=progress, tiles=kept)
    assert same(found, embed(other))
    assert found.fingerprint != tiny.fingerprint
    assert sorted(kept) == [0, 1, 2, 3, 4], "tiles of two arithmetics in one cache"


def test_where_nothing_is_left_to_try_the_error_is_told(tiny):
    class Elsewhere(Dinov3Backbone):
        def embed_patches(self, pixel_values):
            raise OutOfMemoryError("ran out of memory")

    on_the_cpu = LimitedBackbone(tiny, most=0)
    on_the_cpu.device = "cpu"
    by_openvino = LimitedBackbone(tiny, most=0)
    by_openvino.device, by_openvino.cpu = "openvino", by_openvino
    for backbone in (on_the_cpu, by_openvino, Elsewhere(tiny.model)):
        with pytest.raises(OutOfMemoryError, match="ran out of memory"):
            embed(backbone, batch_size=4)


def test_pixels_are_staged_on_the_thread_that_reads(tiny, expected):
    class Staged(Dinov3Backbone):
        def stage(self, pixel_values):
            threads.add(threading.current_thread().name)
            staged.append(pixel_values)
            return pixel_values

        def embed_patches(self, pixel_values):
            assert any(pixel_values.data_ptr() == one.data_ptr() for one in staged)
            return super().embed_patches(pixel_values)

    threads, staged = set(), []
    assert same(embed(Staged(tiny.model, tiny.name)), expected)
    assert len(staged) == 15
    assert all(name.startswith("read-tiles") for name in threads)


def test_the_backbone_says_how_many_tiles_suit_it(tiny, expected):
    class Suggesting(LimitedBackbone):
        def suggest_batch_size(self, height, width):
            sizes.append((height, width))
            return 7

    sizes, backbone = [], Suggesting(tiny, 99)
    assert same(embed(backbone), expected)
    assert backbone.batches == [7, 7, 1]
    assert sizes == [(64, 64)]
