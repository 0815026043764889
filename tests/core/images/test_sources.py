"""Sources: the right pixels of any array, read where they are needed and nowhere else."""

from __future__ import annotations

import tracemalloc
from functools import partial

import dask.array as da
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import EmbeddingCancelled, ImageError
from napari_dinov3_sim.core.images.chunk_cache import ChunkCache
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import (
    ArraySource,
    PixelSource,
    as_source,
    merge_channels,
)

from ..backbones import LinearBackbone, MeanColourBackbone

WHOLE = slice(None)
UNIT = IntensityWindow(0.0, 1.0)


class CountingArray:
    """A chunked array that notes how often each chunk is touched, and never gives itself whole."""

    def __init__(self, data, chunk):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.chunks = (chunk, chunk)
        self.reads = np.zeros([-(-n // chunk) for n in data.shape], int)

    def __getitem__(self, index):
        rows, columns = (
            slice(part.start // size, -(-part.stop // size))
            for part, size in zip(index, self.chunks, strict=True)
        )
        self.reads[rows, columns] += 1
        return self.data[index]


def noise(shape, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(dtype)


# --- planes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap", [np.asarray, da.from_array, zarr.array], ids=lambda f: f.__module__
)
@pytest.mark.parametrize(
    ("index", "take"),
    [
        ((1, 2, WHOLE, WHOLE), lambda a: a[1, 2]),
        ((WHOLE, 2, 3, WHOLE), lambda a: a[:, 2, 3]),
        ((0, WHOLE, 3, WHOLE), lambda a: a[0, :, 3]),
    ],
)
def test_a_plane_of_a_stack_along_any_axes(wrap, index, take):
    stack = noise((3, 4, 5, 6))
    source = ArraySource(wrap(stack), index)
    plane = take(stack)
    assert (source.shape, source.channels, source.dtype) == (plane.shape, 1, np.uint16)
    assert isinstance(source, PixelSource)
    np.testing.assert_array_equal(source.read(slice(1, 3), slice(0, 5)), plane[1:3, :5])


def test_a_plane_of_a_stack_of_colours():
    stack = noise((3, 7, 8, 4), np.uint8)
    source = ArraySource(stack, (2, WHOLE, WHOLE), channels_last=True)
    assert (source.shape, source.channels) == ((7, 8), 4)
    np.testing.assert_array_equal(source.read(slice(2, 5), slice(1, 8)), stack[2, 2:5, 1:8])


@pytest.mark.parametrize(
    "index", [(0, WHOLE), (WHOLE, WHOLE, WHOLE), (0, WHOLE, WHOLE, WHOLE), (0, WHOLE, slice(1, 2))]
)
def test_an_index_that_leaves_no_plane(index):
    with pytest.raises(ImageError, match="does not choose a plane of cells of shape"):
        ArraySource(noise((3, 4, 5)), index, name="cells")


@pytest.mark.parametrize("shape", [(0, 4), (3, 4, 5), (4,), (2, 3, 4, 3)])
def test_what_is_no_plane_is_refused(shape):
    with pytest.raises(ImageError):
        as_source(np.zeros(shape))


def test_complex_pixels_are_refused():
    with pytest.raises(ImageError, match="complex"):
        as_source(np.zeros((3, 4), complex))


def test_anything_that_is_an_image_becomes_a_source():
    source = ArraySource(noise((3, 4)))
    assert as_source(source) is source
    assert as_source([[1, 2], [3, 4]]).shape == (2, 2)
    assert as_source(torch.zeros((5, 6, 3))).channels == 3
    assert as_source(torch.zeros((5, 6))).dtype == np.float32


def test_a_source_that_is_gone_is_told_in_one_sentence():
    class Gone:
        shape, dtype = (40, 40), np.dtype(np.uint16)

        def __getitem__(self, index):
            raise FileNotFoundError("/data/cells.zarr/0.0")

    source = ArraySource(Gone(), name="cells")
    message = (
        r"^The pixels of cells cannot be read any more \(FileNotFoundError: "
        r"/data/cells.zarr/0.0\); open the image again.$"
    )
    for call in (scan_pixels, lambda source: embed(source, window=UNIT)):
        with pytest.raises(ImageError, match=message):
            call(source)


class Lying:
    """A lazy array that gives something else than it says."""

    def __init__(self, gives, *, shape=(40, 40), dtype=np.uint16):
        self.gives, self.shape, self.dtype = gives, shape, np.dtype(dtype)

    def __getitem__(self, index):
        return self.gives[index]


@pytest.mark.parametrize(
    ("gives", "is_what"),
    [
        (noise((40, 40)) * 0.5, r"float64 of shape \(40, 40\)"),
        (noise((40, 40)) * 1j, r"complex128 of shape \(40, 40\)"),
        (noise((40, 40)).astype(object), r"object of shape \(40, 40\)"),
        (noise((40, 3)), r"uint16 of shape \(40, 3\)"),
        (noise((1, 1)), r"uint16 of shape \(1, 1\)"),
    ],
)
def test_a_lazy_array_that_gives_something_else_is_refused(gives, is_what):
    source = ArraySource(Lying(gives), name="cells")
    message = rf"^A region of cells should be uint16 of shape \(40, 40\) and is {is_what}; give"
    for call in (scan_pixels, lambda source: embed(source, window=UNIT)):
        with pytest.raises(ImageError, match=message):
            call(source)


def test_a_lazy_array_may_be_wrong_about_its_precision():
    source = ArraySource(Lying(noise((40, 40), np.float32), dtype=np.float64))
    assert source.read(WHOLE, WHOLE).dtype == np.float64
    assert scan_pixels(source) == scan_pixels(ArraySource(noise((40, 40), np.float64)))


def test_a_lazy_array_whose_size_is_not_known_is_refused():
    image = da.from_array(noise((40, 50)), chunks=10)
    with pytest.raises(ImageError, match=r"^The size of the image is not known .* compute_chunk"):
        as_source(image[image[:, 0] > 300])


@pytest.mark.parametrize(
    "image",
    [[[1, 2], [3]], torch.zeros((5, 6)).bfloat16(), torch.zeros((5, 6), requires_grad=True)],
)
def test_what_numpy_cannot_take_is_refused(image):
    with pytest.raises(ImageError, match=r"give rows of the same length|detach\(\)\.cpu\(\)"):
        as_source(image)


# --- channels ------------------------------------------------------------------------------------


def test_channels_are_merged_each_through_its_own_window():
    red, green = noise((6, 9)), noise((6, 9), np.float32, seed=1)
    merged = merge_channels(
        [ArraySource(red), ArraySource(green)],
        [IntensityWindow(0, 500), IntensityWindow(100, 900)],
    )
    assert (merged.shape, merged.channels, merged.dtype) == ((6, 9), 3, np.float32)
    found = merged.read(slice(1, 5), slice(2, 9))
    np.testing.assert_allclose(found[..., 0], np.clip(red[1:5, 2:] / 500, 0, 1), atol=1e-6)
    np.testing.assert_allclose(
        found[..., 1], np.clip((green[1:5, 2:] - 100) / 800, 0, 1), atol=1e-6
    )
    assert not found[..., 2].any()


def test_merged_channels_are_embedded_as_they_are_read():
    plane = noise((8, 8))
    merged = merge_channels([ArraySource(plane)] * 3, [IntensityWindow(0, 1000)] * 3)
    window = IntensityWindow(0, 1000)
    single = create_patch_image_state(plane, MeanColourBackbone(), window=window)
    colour = create_patch_image_state(merged, MeanColourBackbone(), window=UNIT)
    torch.testing.assert_close(colour.embeddings_normalized, single.embeddings_normalized)


@pytest.mark.parametrize(
    ("shapes", "windows"),
    [([], 0), ([(4, 4)] * 4, 4), ([(4, 4)], 2), ([(4, 4), (4, 5)], 2), ([(4, 4, 3)], 1)],
)
def test_channels_that_do_not_fit_together(shapes, windows):
    sources = [as_source(np.zeros(shape)) for shape in shapes]
    with pytest.raises(ImageError, match="merged"):
        merge_channels(sources, [UNIT] * windows)


# --- chunks --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_region_through_the_cache(data):
    image = noise((23, 31, 3), np.uint8)
    chunks = data.draw(st.tuples(st.integers(1, 23), st.integers(1, 31)))
    source = ArraySource(da.from_array(image, chunks=(*chunks, 3)), channels_last=True)
    cached = ChunkCache(source, budget=data.draw(st.integers(1, 4000)))
    for _ in range(3):
        rows, columns = (
            slice(start := data.draw(st.integers(0, n - 1)), data.draw(st.integers(start + 1, n)))
            for n in (23, 31)
        )
        np.testing.assert_array_equal(cached.read(rows, columns), image[rows, columns])


def embed(source, side=256, **options):
    recipe = Recipe(Tiling(side, 32))
    return create_patch_image_state(source, LinearBackbone(16), recipe=recipe, **options)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [64, 100, 512])
def test_the_survey_and_the_tiles_read_each_chunk_once(chunk):
    array = CountingArray(noise((1024, 1024)), chunk)
    window = scan_pixels(ArraySource(array)).window
    assert (array.reads == 1).all()
    found = embed(ArraySource(array), window=window)
    assert (array.reads == 2).all()
    expected = embed(array.data, window=window)
    assert torch.equal(found.embeddings_normalized, expected.embeddings_normalized)


def test_without_room_for_a_row_of_chunks_each_is_read_once_per_row_of_tiles(monkeypatch):
    array = CountingArray(noise((1024, 1024)), 64)
    # Room for the chunks under two tiles, not for those under the row.
    monkeypatch.setattr(ChunkCache.__init__, "__defaults__", (2 * 64 * 64 * 2 * 20,))
    embed(ArraySource(array), window=UNIT)
    assert array.reads.max() == 2


def test_chunks_too_large_to_keep_are_read_in_parts():
    array = CountingArray(noise((512, 512)), 512)
    cached = ChunkCache(ArraySource(array), budget=1000)
    cached.read(slice(10, 20), slice(10, 20))
    assert array.reads.max() == 1
    assert cached._chunk.cache_info().currsize == 0


@pytest.mark.slow
def test_a_dask_image_in_bounded_memory(monkeypatch):
    """1536² float64, 19 MB as it is and 28 MB as RGB, is never there at once."""
    lazy = da.random.default_rng(0).random((1536, 1536), chunks=96)
    calls = []
    counted = lazy.map_blocks(lambda block: calls.append(1) or block, meta=np.empty((0, 0)))
    row_of_chunks = 4 * 96 * 1536 * 8
    monkeypatch.setattr(ChunkCache.__init__, "__defaults__", (row_of_chunks,))
    recipe = Recipe(Tiling(256, 32))
    embed_once = partial(create_patch_image_state, recipe=recipe, window=UNIT)
    embed_once(np.zeros((256, 256)), MeanColourBackbone(16))  # imports, and the like
    tracemalloc.start()
    try:
        embed_once(ArraySource(counted), MeanColourBackbone(16))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(calls) <= 256 * 1.5
    assert peak < row_of_chunks + 8e6


def test_a_survey_can_be_cancelled():
    def progress(done, total):
        if done == 1:
            raise EmbeddingCancelled

    array = CountingArray(noise((4096, 5000)), 1000)
    with pytest.raises(EmbeddingCancelled):
        scan_pixels(ArraySource(array), progress)
    assert array.reads.sum() < array.reads.size
