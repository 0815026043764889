"""Pictures of large planes, and maps in strips: what one would get of the whole at once."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.io import imread

from napari_dinov3_sim.cli.output import drawing as pictures
from napari_dinov3_sim.cli.output.drawing import (
    OUTLINE,
    draw_image,
    draw_plane,
    lay_heat,
    outline_patches,
    step_of,
)
from napari_dinov3_sim.cli.output.files import encode_png, write_map
from napari_dinov3_sim.cli.reading.layer import PixelGrid
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images import scanning as sampling
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.images.sources import ArraySource
from napari_dinov3_sim.core.search.similarity import SimilarityMap, upsample_nearest
from napari_dinov3_sim.exchange.ome_tiff import STRIP_BYTES


class Chunked:
    """An array in chunks, whose reads are noted."""

    def __init__(self, array, *chunks):
        self.array, self.chunks, self.reads = array, chunks, []
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        self.reads.append(index)
        return self.array[index]


@pytest.mark.parametrize("most", [4096, 30, 29, 7])
@pytest.mark.parametrize("shape", [(60, 85), (85, 60), (1, 85), (60, 85, 3)])
def test_every_kth_pixel_is_drawn_block_by_block(picture, monkeypatch, shape, most):
    monkeypatch.setattr(pictures, "MAX_SIDE", most)
    monkeypatch.setattr(sampling, "BLOCK_BYTES", 1)
    image = picture(*shape, dtype=np.uint16)
    data = Chunked(image, 16, 25, 3)
    source = ArraySource(data, channels_last=len(shape) == 3)
    window = IntensityWindow(20, 180)
    step = step_of(shape[:2])
    drawn = draw_plane(source, window)
    assert max(drawn.shape) <= most
    np.testing.assert_array_equal(drawn, draw_image(image, window)[::step, ::step])
    assert len(data.reads) == -(-shape[0] // 16) * -(-shape[1] // 25)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_heat_and_frames_are_where_they_are_in_the_whole(picture, step):
    grid = PatchGrid((100, 130), 16)
    values = np.random.default_rng(0).random(grid.shape, np.float32)
    one, whole = SimilarityMap(values, grid), picture(100, 130, 3)
    small = lay_heat(whole[::step, ::step], one, (0, 1), step)
    np.testing.assert_array_equal(small, lay_heat(whole, one, (0, 1))[::step, ::step])
    framed = outline_patches(small, grid, [(70, 40)], OUTLINE, step)
    rows, columns = np.nonzero((framed == OUTLINE).all(-1))
    assert (rows.min(), columns.min()) <= (-(-32 // step), -(-64 // step))
    assert min(np.ptp(rows), np.ptp(columns)) + 1 >= min(16, 8 if step > 1 else 16)
    assert abs((rows.min() + rows.max()) / 2 * step - 39.5) <= step


def test_a_large_image_has_a_picture_of_a_bounded_size(cli, folder, picture, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_SIDE", 35)
    query = ("similarity", "gray.png", "--at", 5, 5, "--out", "out", "--model", "builtin")
    assert cli(*query).code == 0
    assert imread("out/gray.heatmap.png").shape == (25, 35, 3)
    assert tifffile.imread("out/gray.cosine.tif").shape == (50, 70)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
@pytest.mark.parametrize("shape", [(50, 70), (1000, 3001), (3, 90000), (1, 1)])
def test_a_map_in_strips_is_the_whole_map(tmp_path, shape, dtype):
    grid = PatchGrid(shape, 16)
    values = (np.random.default_rng(0).random(grid.shape) * 100).astype(dtype)
    write_map(tmp_path / "a.tif", values, grid)
    read = tifffile.imread(tmp_path / "a.tif")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, upsample_nearest(values, grid))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.tif")), read)


def test_a_map_is_never_whole_in_memory(tmp_path):
    grid = PatchGrid((4096, 4096), 16)
    values = np.zeros(grid.shape, np.float32)
    write_map(tmp_path / "first.tif", values[:1], PatchGrid((16, 4096), 16))  # imports
    tracemalloc.start()
    try:
        write_map(tmp_path / "a.tif", values, grid)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * STRIP_BYTES < 4 * grid.image_shape[0] * grid.image_shape[1]


@pytest.mark.parametrize(("size", "step", "told"), [(1.0, 1, False), (1.0, 8, True)])
def test_a_picture_of_atoms_says_its_size_only_where_a_png_holds_it(picture, size, step, told):
    image, pixel = picture(40, 50, 3), PixelGrid((size, size), (0.0, 0.0), "angstrom")
    with Image.open(io.BytesIO(encode_png(image, pixel, step))) as read:
        np.testing.assert_array_equal(np.asarray(read), image)
        assert ("dpi" in read.info) is told


def test_png_loses_nothing(picture):
    image = picture(40, 50, 3)
    np.testing.assert_array_equal(imread(io.BytesIO(encode_png(image))), image)
