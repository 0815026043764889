"""Pictures of matches: what napari shows around the place, read where it lies."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from skimage.transform import resize

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.gallery.thumbnails import PATCHES
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE

from ..brute_force import PATCH

pytestmark = pytest.mark.slow

SIDE = PATCHES * PATCH


def shown_match(session, shape):
    """A match whose window does not reach over the border of an image."""
    session.gallery.show("best", 50)
    reach = PATCHES // 2 * PATCH
    for match in session.gallery.matches:
        left, top, right, bottom = match.box
        if min(left, top, shape[1] - right, shape[0] - bottom) >= reach:
            return match
    raise AssertionError("there is none")


def window(match, shape):
    """Rows and columns that are shown, in pixels of level 0."""
    left, top, right, bottom = match.box
    rows, columns = (
        slice(start := max(0, min((low + high - SIDE) // 2, length - SIDE)), start + SIDE)
        for low, high, length in ((top, bottom, shape[0]), (left, right, shape[1]))
    )
    return rows, columns


def differs_from(picture, expected):
    """The rows and columns in which a picture is not what is expected."""
    off = np.abs(picture.astype(int) - expected.astype(int)).max(-1) > 2
    return np.flatnonzero(off.any(1)), np.flatnonzero(off.any(0))


def test_the_picture_is_the_image_with_the_patch_outlined(session, viewer, rng):
    pixels = rng.integers(0, 255, (240, 320, 3)).astype(np.uint8)
    image = viewer.add_image(pixels, rgb=True)
    session.add_query(image, 100, 100)
    match = shown_match(session, pixels.shape)
    picture = session.gallery.thumbnail(match, SIDE)
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.dtype == np.uint8
    rows, columns = differs_from(picture, pixels[window(match, pixels.shape)])
    middle = (PATCHES // 2) * PATCH
    for off in (rows, columns):
        assert off.min() == middle - 3
        assert off.max() == middle + PATCH + 2
    inside = slice(middle, middle + PATCH)
    top, left = (part.start + middle for part in window(match, pixels.shape))
    np.testing.assert_allclose(
        picture[inside, inside].astype(int),
        pixels[top : top + PATCH, left : left + PATCH],
        atol=1,
    )
    edge = picture[middle - 1, middle : middle + PATCH]
    colour = session.classes["class 1"]
    np.testing.assert_array_equal(edge, [[int(colour[i : i + 2], 16) for i in (1, 3, 5)]] * PATCH)


def test_contrast_limits_gamma_and_colormap_are_those_of_the_layer(session, viewer, rng):
    pixels = rng.normal(100, 30, (240, 320)).astype(np.float32)
    image = viewer.add_image(pixels, contrast_limits=(50, 150), colormap="magma")
    session.add_query(image, 100, 100)
    match = shown_match(session, pixels.shape)
    seen = pixels[window(match, pixels.shape)]
    session.gallery.thumbnail(match, SIDE)
    for limits, gamma in (((50, 150), 1.0), (((80, 90)), 0.5)):
        image.contrast_limits, image.gamma = limits, gamma
        session.gallery.thumbnail(match, SIDE)  # has it made
        picture = session.gallery.thumbnail(match, SIDE)
        scaled = np.clip((seen - limits[0]) / (limits[1] - limits[0]), 0, 1) ** gamma
        mapped = image.colormap.map(scaled.ravel()).reshape(*scaled.shape, 4)
        corner = slice(0, 2 * PATCH - 3)
        np.testing.assert_allclose(
            picture[corner, corner], 255 * mapped[corner, corner, :3], atol=1.5
        )


def test_merged_channels_are_drawn_as_the_composite(session, viewer, rng):
    pixels = rng.integers(0, 200, (3, 160, 240)).astype(np.uint8)
    colours = ("red", "green", "blue")
    channels = [
        viewer.add_image(part, colormap=colour, blending="additive", contrast_limits=(0, 255))
        for part, colour in zip(pixels, colours, strict=True)
    ]
    session.merge_channels(channels)
    channels[1].visible = False
    session.add_query(channels[0], 100, 100)
    match = shown_match(session, pixels.shape[1:])
    picture = session.gallery.thumbnail(match, SIDE)
    rows, columns = window(match, pixels.shape[1:])
    expected = np.stack([pixels[0], 0 * pixels[1], pixels[2]], -1)[rows, columns]
    off_rows, off_columns = differs_from(picture, expected)
    assert len(off_rows) == len(off_columns) == PATCH + 6


def test_a_channel_that_covers_hides_what_is_below(session, viewer, rng):
    pixels = rng.integers(10, 200, (2, 160, 240)).astype(np.uint8)
    channels = [
        viewer.add_image(part, blending="translucent", contrast_limits=(0, 255), name=str(n))
        for n, part in enumerate(pixels)
    ]
    session.merge_channels(channels)
    session.add_query(channels[0], 100, 100)
    match = shown_match(session, pixels.shape[1:])
    rows, columns = window(match, pixels.shape[1:])
    expected = np.stack([pixels[1]] * 3, -1)[rows, columns]
    off_rows, _ = differs_from(session.gallery.thumbnail(match, SIDE), expected)
    assert len(off_rows) == PATCH + 6


def test_a_small_image_is_shown_whole_and_in_proportion(session, viewer, rng):
    image = viewer.add_image(rng.integers(100, 255, (32, 64, 3)).astype(np.uint8), rgb=True)
    session.add_query(image, 5, 5)
    session.gallery.show("best", 1)
    match = session.gallery.matches[0]
    picture = session.gallery.thumbnail(match, 64)
    beside = 63 if match.box[0] < 32 else 0  # a column without the outline
    np.testing.assert_array_equal(np.flatnonzero(picture[:, beside].max(-1)), range(16, 48))


def test_of_a_pyramid_the_level_that_is_fine_enough_is_read_where_it_is_needed(
    session, viewer, rng
):
    read = []

    class Level:
        """A level that notes what is read of it."""

        dtype, ndim = np.dtype(np.uint8), 2

        def __init__(self, pixels):
            self.pixels, self.shape, self.size = pixels, pixels.shape, pixels.size

        def __getitem__(self, key):
            found = self.pixels[key]
            read.append((self.shape, found.size))
            return found

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.pixels, dtype)

    fine = rng.integers(0, 255, (8192, 8192), np.uint8)
    levels = [Level(np.ascontiguousarray(fine[::step, ::step])) for step in (1, 4, 16)]
    image = viewer.add_image(levels, multiscale=True, contrast_limits=(0, 255))
    session.add_query(image, 4000, 4000)  # level 1 is embedded: 80 of its pixels are shown
    session.gallery.show("best", 1)
    match = session.gallery.matches[0]
    read.clear()
    session.gallery.thumbnail(match, 64)
    assert [shape for shape, _ in read] == [(2048, 2048)]
    assert read[0][1] <= (SIDE + 1) ** 2
    read.clear()
    session.gallery.thumbnail(match, 200)
    assert [shape for shape, _ in read] == [(8192, 8192)]
    assert read[0][1] <= (4 * SIDE + 2) ** 2


def test_the_right_slice_of_a_stack_is_drawn(session, viewer, rng):
    stack = rng.integers(0, 255, (4, 160, 176)).astype(np.uint8)
    image = viewer.add_image(da.from_array(stack, (1, 50, 50)), contrast_limits=(0, 255))
    viewer.dims.set_point(0, 2)
    session.add_query(image, 40, 40)
    match = shown_match(session, (160, 176))
    assert match.plane.indices == (2,)
    picture = session.gallery.thumbnail(match, SIDE)
    rows, columns = window(match, (160, 176))
    off_rows, _ = differs_from(picture, np.stack([stack[2]] * 3, -1)[rows, columns])
    assert len(off_rows) == PATCH + 6


def test_what_cannot_be_read_is_told_once(viewer, backbone, rng):
    broken = {"yes": False}
    pixels = rng.normal(size=(96, 96))

    def block(block):
        if broken["yes"]:
            raise OSError("the disk is gone")
        return block

    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    image = viewer.add_image(da.from_array(pixels, (32, 32)).map_blocks(block, dtype=float))
    failures = []
    session.failed.connect(failures.append)
    session.add_query(image, 40, 40)
    session.gallery.show("best", 3)
    session.wait(PATIENCE)
    broken["yes"] = True
    for match in session.gallery.matches:
        assert session.gallery.thumbnail(match, 32) is None
    with pytest.raises(SimilarityError, match="cannot be read"):
        session.wait(PATIENCE)
    assert len(failures) == 1
    assert session.gallery.thumbnail(session.gallery.matches[0], 32) is None
    assert not session.gallery.pending, "it is not tried again and again"
    session.close()


def test_pictures_of_a_round_that_is_over_are_given_up(viewer, backbone, rng):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    image = viewer.add_image(rng.normal(size=(240, 320)))
    session.add_query(image, 40, 40)
    session.gallery.show("best", 5)
    session.wait(PATIENCE)
    ready = []
    session.gallery.thumbnail_ready.connect(ready.append)
    old = session.gallery.matches
    for match in old:
        session.gallery.thumbnail(match, 32)
    session.gallery.next_round()
    session.wait(PATIENCE)
    new = session.gallery.matches
    session.gallery.thumbnail(new[0], 32)
    session.wait(PATIENCE)
    assert ready[-1] == new[0].id
    for match in new[:1]:
        expected = session.gallery.thumbnail(match, 32)
        rows, columns = window(match, image.data.shape)
        low, high = image.contrast_limits
        seen = np.clip((image.data[rows, columns] - low) / (high - low), 0, 1)
        drawn = resize(seen, (32, 32), order=1, anti_aliasing=True)
        np.testing.assert_allclose(expected[:9, :9, 0], 255 * drawn[:9, :9], atol=2)
    session.close()
