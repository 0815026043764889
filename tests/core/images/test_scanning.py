"""One pass over the pixels: a digest that no chunking changes, and the windows as ever."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images import intensity
from napari_dinov3_sim.core.images import scanning as sampling
from napari_dinov3_sim.core.images.intensity import compute_window, window_of
from napari_dinov3_sim.core.images.scanning import (
    hold,
    plan_blocks,
    sampled_positions,
    scan_pixels,
    source_window,
    stack_window,
)
from napari_dinov3_sim.core.images.sources import ArraySource, as_source

relaxed = settings(deadline=None, max_examples=25)
DTYPES = ["?", "u1", "u2", "i2", "i4", "f2", "f4", "f8", ">u2", "g"]
SHAPES = [(1, 1), (7, 5), (40, 33), (12, 9, 3), (12, 9, 4)]


def image_of(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_window_is_that_of_the_image_in_memory(shape, dtype):
    image = image_of(shape, dtype)
    assert scan_pixels(as_source(image)).window == window_of(image)
    assert source_window(as_source(image)) == window_of(image)


def test_holes_in_the_image_leave_the_window_alone():
    image = image_of((30, 30), "f4")
    image[3:9] = np.nan
    image[0, 0] = np.inf
    assert scan_pixels(as_source(image)).window == window_of(image)


@relaxed
@given(
    st.sampled_from(SHAPES),
    st.sampled_from(DTYPES),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 3000),
    st.integers(1, 500),
)
def test_neither_chunks_nor_blocks_nor_sampling_change_the_answer(
    shape, dtype, chunks, block_bytes, budget
):
    image = image_of(shape, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intensity, "MAX_WINDOW_SAMPLES", budget)
        expected = scan_pixels(as_source(image)).digest, window_of(image)
        patch.setattr(sampling, "BLOCK_BYTES", block_bytes)
        for data in (image, da.from_array(image, chunks=(*chunks, *shape[2:]))):
            found = scan_pixels(ArraySource(data, channels_last=len(shape) == 3))
            assert (found.digest, found.window) == expected


def test_the_digest_is_of_shape_dtype_and_pixels():
    image = image_of((6, 8), "u1")
    changed = image.copy()
    changed[5, 7] += 1
    others = [
        changed,
        image.T,
        image.reshape(8, 6),
        image.astype("u2"),
        image.view("i1"),
        np.stack([image] * 3, -1),
        image[::-1],
    ]
    digests = {scan_pixels(as_source(other)).digest for other in (image, *others)}
    assert len(digests) == 1 + len(others)
    same = [(np.asfortranarray(image), image)]
    same += [(image.astype("u2").astype(">u2"), image.astype("u2"))]
    for one, other in same:
        assert scan_pixels(as_source(one)).digest == scan_pixels(as_source(other)).digest


@pytest.mark.parametrize(
    ("shape", "chunks", "rows", "columns"),
    [
        ((1000, 1000), (100, 100), 1, 1),
        ((100_000, 100_000), (4096, 4096), 25, 25),
        ((100_000, 100_000), (1, 100_000), 599, 1),
        ((100_000, 1000), (1000, 1000), 7, 1),
    ],
)
def test_blocks_are_whole_chunks_and_bounded(shape, chunks, rows, columns):
    class Lazy:
        dtype = np.dtype(np.uint16)

        def __init__(self):
            self.shape, self.chunks = shape, chunks

    planned = plan_blocks(ArraySource(Lazy()))
    assert [len(slices) for slices in planned] == [rows, columns]
    for slices, chunk, size in zip(planned, chunks, shape, strict=True):
        assert [part.stop for part in slices[:-1]] == [part.start for part in slices[1:]]
        assert (slices[0].start, slices[-1].stop) == (0, size)
        assert all(part.start % chunk == 0 for part in slices)
    largest = max((p.stop - p.start) for p in planned[0]) * max(
        (p.stop - p.start) for p in planned[1]
    )
    assert largest * 2 <= max(sampling.BLOCK_BYTES, chunks[0] * chunks[1] * 2)


@pytest.mark.parametrize("leading", [(), (3,), (5, 9), (2, 3, 40)])
def test_the_window_of_a_stack_is_that_of_evenly_spaced_planes(leading, monkeypatch):
    monkeypatch.setattr(intensity, "MAX_WINDOW_SAMPLES", 3000)
    stack = image_of((*leading, 20, 30), "u2")
    # As `session.planes.read_window` has always done it.
    count = int(np.prod(leading))
    flat = np.unique(np.linspace(0, count - 1, min(count, 32)).round().astype(int))
    planes = [stack.reshape(-1, 20, 30)[at] for at in flat]
    calls = []
    found = stack_window(
        lambda at: as_source(stack[at]), leading, lambda *call: calls.append(call)
    )
    assert found == compute_window(planes)
    assert len(sampled_positions(leading)) == len(flat) <= 32
    total = calls[-1][1]
    assert calls[-1][0] == total
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_stack_of_8_bit_colours_has_no_window():
    stack = image_of((4, 5, 6, 3), "u1")
    assert stack_window(lambda at: as_source(stack[at]), (4,)) is None
    assert stack_window(lambda at: as_source(stack[at].astype("u2")), (4,)) is not None


def test_a_stack_without_planes_is_refused():
    with pytest.raises(ImageError, match=r"^The stack has no planes \(\(2, 0\)\)"):
        stack_window(lambda _: as_source(np.zeros((4, 5))), (2, 0))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant != 63, reason="not padded")
def test_what_pads_a_long_double_in_memory_is_not_digested():
    image = np.linspace(0, 1, 30, dtype=np.longdouble).reshape(5, 6) / 3
    other = image.copy()
    other.view(np.uint8).reshape(5, 6, -1)[..., 10:] = 7
    assert (other == image).all()
    assert scan_pixels(as_source(other)).digest == scan_pixels(as_source(image)).digest
    other[2, 3] = np.nextafter(other[2, 3], np.longdouble(2))
    assert scan_pixels(as_source(other)).digest != scan_pixels(as_source(image)).digest


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_a_plane_of_one_colour_has_no_contrast(dtype, channels, monkeypatch):
    monkeypatch.setattr(sampling, "BLOCK_BYTES", 256)
    image = np.ones((40, 30, *channels), dtype)
    assert not scan_pixels(as_source(image)).contrast
    if channels == (4,):
        image[7, 11, 3] = 0
        assert not scan_pixels(as_source(image)).contrast
    image[(7, 11, 0)[: image.ndim]] = 0
    assert scan_pixels(as_source(image)).contrast


def test_what_is_held_is_no_view(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(12, dtype=np.uint16).reshape(3, 4))
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "r+")
    source = ArraySource(array, name="a.npy")
    held, before = hold(source), scan_pixels(source)
    array[:] = 0
    assert scan_pixels(held) == before
    assert (held.name, held.shape, held.channels) == ("a.npy", (3, 4), 1)


def test_a_large_plane_is_not_held(monkeypatch):
    source = ArraySource(np.zeros((10, 10, 3), np.uint8), channels_last=True)
    monkeypatch.setattr(sampling, "BLOCK_BYTES", 300)
    assert hold(source) is not source
    monkeypatch.setattr(sampling, "BLOCK_BYTES", 299)
    assert hold(source) is source
