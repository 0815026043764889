"""Scores of pixels: against a slow computation, pixel by pixel and patch by patch."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow, window_of
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.objects import guide as guide_module
from napari_dinov3_sim.core.objects.guide import read_guide
from napari_dinov3_sim.core.objects.refine import RIDGE, refine_scores


def guide_of(image, side):
    return read_guide(as_source(image), window_of(image), PatchGrid(image.shape[:2], side))


def slow_lines(cosine, means):
    """The line of each patch, by least squares with a penalty over its 3 × 3 neighbours."""
    rows, columns = cosine.shape
    lines = np.empty((rows, columns, means.shape[-1] + 1))
    for row in range(rows):
        for column in range(columns):
            near = [
                (min(max(r, 0), rows - 1), min(max(c, 0), columns - 1))
                for r in range(row - 1, row + 2)
                for c in range(column - 1, column + 2)
            ]
            x = np.array([means[place] for place in near], float)
            y = np.array([cosine[place] for place in near], float)
            # The penalty as further observations: slopes of 0, of which each has its weight.
            count = x.shape[1]
            penalty = np.sqrt(RIDGE * len(near)) * np.eye(count)
            left = np.concatenate([x - x.mean(0), penalty])
            right = np.concatenate([y - y.mean(), np.zeros(count)])
            slopes = np.linalg.lstsq(left, right, rcond=None)[0]
            lines[row, column] = [*slopes, y.mean() - slopes @ x.mean(0)]
    return lines


def slow_scores(cosine, guide):
    rows, columns = cosine.shape
    lines, side = slow_lines(cosine, guide.means), guide.grid.patch_size

    def averaged(row, column):
        near = [
            lines[min(max(r, 0), rows - 1), min(max(c, 0), columns - 1)]
            for r in range(row - 1, row + 2)
            for c in range(column - 1, column + 2)
        ]
        return np.mean(near, 0)

    height, width = guide.grid.image_shape
    out = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) / side - 0.5, 0), rows - 1)
            u = min(max((x + 0.5) / side - 0.5, 0), columns - 1)
            line = 0.0
            for row in {int(v), min(int(v) + 1, rows - 1)}:
                for column in {int(u), min(int(u) + 1, columns - 1)}:
                    weight = max(0.0, 1 - abs(v - row)) * max(0.0, 1 - abs(u - column))
                    line = line + weight * averaged(row, column)
            out[y, x] = line[:-1] @ guide.features[:, y, x].astype(float) + line[-1]
    return np.clip(out, -1, 1)


@pytest.mark.parametrize("shape", [(23, 30, 3), (23, 30), (16, 5), (3, 3)])
def test_scores_are_those_of_a_slow_computation(shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, shape, np.uint8)
    guide = guide_of(image, 5)
    cosine = rng.uniform(-0.3, 0.9, guide.grid.shape).astype(np.float32)
    expected = slow_scores(cosine, guide)
    np.testing.assert_allclose(refine_scores(cosine, guide), expected, atol=2e-4)


def test_means_of_patches_leave_padding_out():
    image = np.random.default_rng(0).integers(0, 256, (21, 18, 3), np.uint8)
    guide = guide_of(image, 8)
    assert guide.means.shape == (3, 3, 4)
    for row in range(3):
        for column in range(3):
            part = guide.features[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            mean = part.astype(float).mean((1, 2))
            np.testing.assert_allclose(guide.means[row, column], mean, atol=1e-3)


def test_strips_change_nothing(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (50, 20), np.uint8)
    whole = guide_of(image, 4)
    monkeypatch.setattr(guide_module, "STRIP", 1)
    told = []
    source, window = as_source(image), window_of(image)
    strips = read_guide(source, window, whole.grid, lambda *at: told.append(at))
    assert told == [(number, 13) for number in range(1, 14)]
    np.testing.assert_array_equal(strips.features, whole.features)
    np.testing.assert_allclose(strips.means, whole.means, rtol=1e-6)


def test_an_edge_is_found_that_crosses_patches():
    columns = np.arange(64)
    image = np.broadcast_to(np.where(columns < 27, 40, 200).astype(np.uint8), (64, 64))
    guide = guide_of(np.ascontiguousarray(image), 16)
    share = np.array([1.0, 11 / 16, 0.0, 0.0], np.float32)  # of each patch that is dark
    cosine = np.broadcast_to(0.2 + 0.6 * share, (4, 4)).astype(np.float32)
    found = refine_scores(cosine, guide) >= 0.5
    edges = found.argmin(axis=1)
    assert abs(edges - 27).max() <= 1
    assert not found[:, 32:].any()


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan, np.inf])
def test_an_image_without_contrast_has_the_scores_of_its_patches(value):
    guide = guide_of(np.full((32, 48), value, np.float32), 16)
    cosine = np.full((2, 3), 0.4, np.float32)
    np.testing.assert_allclose(refine_scores(cosine, guide), 0.4, atol=1e-6)


def test_pixels_that_are_no_numbers_are_black():
    image = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    black, nothing = image.copy(), image.copy()
    black[5, 5], nothing[5, 5] = 0, np.nan
    grid, window = PatchGrid((32, 32), 16), IntensityWindow(0, 1)
    pair = [read_guide(as_source(one), window, grid).features for one in (black, nothing)]
    np.testing.assert_array_equal(*pair)


def test_a_single_pixel_has_the_score_of_its_patch():
    guide = guide_of(np.array([[[1, 2, 3]]], np.uint8), 16)
    assert refine_scores(np.array([[0.25]], np.float32), guide) == pytest.approx(0.25)
