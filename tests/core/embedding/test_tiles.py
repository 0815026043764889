"""Tiles: how a grid is cut, and that cutting changes nothing that it must not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn

from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe, Span, Tiling, plan_spans, plan_tiles
from napari_dinov3_sim.core.errors import EmbeddingCancelled, ImageError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow

from ..backbones import FakeBackbone, LinearBackbone, MeanColourBackbone

relaxed = settings(deadline=None, max_examples=50)


@st.composite
def span_requests(draw, longest=300):
    side = draw(st.integers(1, 40))
    return draw(st.integers(1, longest)), side, draw(st.integers(0, side - 1))


@st.composite
def tilings(draw, most=100):
    side = draw(st.integers(1, most))
    return Tiling(side, draw(st.integers(0, side - 1)))


@settings(deadline=None, max_examples=300)
@given(span_requests())
@example((41, 40, 39))
@example((7, 4, 2))
def test_spans(request):
    length, side, overlap = request
    spans = plan_spans(length, side, overlap)

    covered = {patch for span in spans for patch in range(span.start, span.stop)}
    assert covered == set(range(length))
    for span in spans:
        assert 0 <= span.start < span.stop <= length
        assert span.stop - span.start == spans[0].stop
    for left, right in pairwise(spans):
        assert left.start < right.start
        assert left.stop - right.start >= overlap

    if length <= side:
        assert spans == (Span(0, length),)
    else:  # no tile more than needed
        assert (len(spans) - 1) * (side - overlap) + overlap < length
        # and no tile larger than needed
        smaller = spans[0].stop - 1
        assert spans[0].stop <= side
        assert len(spans) * (smaller - overlap) + overlap < length
    gaps = np.diff([span.start for span in spans])
    assert gaps.size == 0 or np.ptp(gaps) <= 1, "not evenly spaced"


def test_spans_written_out():
    assert plan_spans(5, 8, 2) == (Span(0, 5),)
    assert plan_spans(8, 8, 2) == (Span(0, 8),)
    assert plan_spans(10, 8, 2) == (Span(0, 6), Span(4, 10))
    assert plan_spans(14, 8, 2) == (Span(0, 8), Span(6, 14))


@relaxed
@given(st.tuples(st.integers(1, 120), st.integers(1, 120)), st.integers(1, 20), tilings())
def test_tiles_of_a_grid(shape, patch_size, tiling):
    grid = PatchGrid(shape, patch_size)
    tiles = plan_tiles(grid, tiling)
    covered = np.zeros(grid.shape, bool)
    sizes = set()
    for tile in tiles:
        covered[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop] = True
        size = (tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
        sizes.add(size)
        assert max(size) * patch_size <= max(tiling.side, patch_size)
    assert covered.all()
    assert len(sizes) == 1
    order = [(tile.rows.start, tile.columns.start) for tile in tiles]
    assert order == sorted(set(order))
    if max(grid.padded_shape) <= tiling.side:
        assert len(tiles) == 1


@relaxed
@given(st.integers(1, 600), st.integers(1, 20), tilings())
def test_tiles_overlap_by_at_least_the_pixels_asked_for(width, patch_size, tiling):
    tiles = plan_tiles(PatchGrid((1, width), patch_size), tiling)
    patches_in_side = max(1, tiling.side // patch_size)
    for left, right in pairwise(tiles):
        shared = left.columns.stop - right.columns.start
        # A tile that has to move on can share all its patches but one.
        assert shared * patch_size >= tiling.overlap or shared == patches_in_side - 1


def test_the_default_tiling():
    assert Tiling() == Tiling(side=512, overlap=64, joint="blend")
    assert len(plan_tiles(PatchGrid((512, 497), 16), Tiling())) == 1
    assert len(plan_tiles(PatchGrid((512, 513), 16), Tiling())) == 2
    assert len(plan_tiles(PatchGrid((2048, 2048), 16), Tiling())) == 25


@pytest.mark.parametrize(("side", "overlap"), [(64, 64), (64, 65), (64, -1), (0, 0), (-16, 0)])
def test_tilings_that_cannot_be(side, overlap):
    with pytest.raises(ImageError, match="overlap"):
        Tiling(side, overlap)


def test_joints_that_there_are_not():
    with pytest.raises(ImageError, match="blend or cut, not by glue"):
        Tiling(joint="glue")


def random_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@relaxed
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3, 4])),
    tilings(40),
    st.integers(0, 2**32 - 1),
)
def test_tiled_equals_whole_for_a_model_that_sees_one_patch_at_a_time(shape, tiling, seed):
    image = random_image(shape, seed)
    image = image[..., 0] if shape[2] == 1 else image
    whole = create_patch_image_state(image, LinearBackbone(), recipe=Recipe(Tiling(64, 0)))
    backbone = LinearBackbone()
    tiled = create_patch_image_state(image, backbone, recipe=Recipe(tiling))
    torch.testing.assert_close(
        tiled.embeddings_normalized, whole.embeddings_normalized, rtol=0, atol=1e-6
    )
    assert tiled.grid == whole.grid
    assert tiled.window == whole.window
    assert len({batch.shape for batch in backbone.seen}) == 1


def test_an_image_of_one_tile_goes_through_the_model_whole():
    backbone = LinearBackbone()
    create_patch_image_state(random_image((30, 37, 3)), backbone, recipe=Recipe(Tiling(40, 8)))
    assert [tuple(batch.shape) for batch in backbone.seen] == [(1, 3, 32, 40)]


class WhereaboutsBackbone(FakeBackbone):
    """Answers with a unit vector that says which call it is, and the row and column in the tile.

    One number in three of 64 is 1; call, row and column must be below 64.
    """

    def __init__(self):
        super().__init__(dim=192)

    def embed(self, pixel_values):
        rows, columns = (size // self.patch_size for size in pixel_values.shape[2:])
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        call = torch.full_like(row, len(self.seen) - 1)
        answer = torch.cat([nn.functional.one_hot(n, 64) for n in (call, row, column)], -1)
        return answer.reshape(1, -1, 192).float()


@relaxed
@given(st.tuples(st.integers(1, 60), st.integers(1, 60)), tilings(40))
def test_each_patch_is_mixed_from_its_own_place_in_the_tiles_over_it(shape, tiling):
    grid = PatchGrid(shape, 4)
    tiles = plan_tiles(grid, tiling)
    assume(len(tiles) < 64)
    backbone = WhereaboutsBackbone()
    state = create_patch_image_state(random_image(shape), backbone, recipe=Recipe(tiling))
    assert len(backbone.seen) == len(tiles)
    found = state.embeddings_normalized.reshape(*grid.shape, 3, 64).numpy()
    for row in range(grid.rows):
        for column in range(grid.columns):
            over = [
                (number, row - tile.rows.start, column - tile.columns.start)
                for number, tile in enumerate(tiles)
                if tile.rows.start <= row < tile.rows.stop
                and tile.columns.start <= column < tile.columns.stop
            ]
            for part, places in zip(found[row, column], zip(*over, strict=True), strict=True):
                assert set(np.flatnonzero(part)) == set(places)


def test_tiles_read_the_pixels_at_their_place():
    """Every tile sees its crop; only the last ones see black, where the image ends."""
    image = random_image((30, 41, 3))  # 8 × 11 patches of 4
    padded = np.zeros((32, 44, 3), np.float32)
    padded[:30, :41] = image.astype(np.float32) / np.float32(255)
    backbone = MeanColourBackbone()
    tiling = Tiling(20, 8)
    state = create_patch_image_state(image, backbone, recipe=Recipe(tiling))
    tiles = plan_tiles(state.grid, tiling)
    assert len(tiles) == 6
    for tile, batch in zip(tiles, backbone.seen, strict=True):
        rows = slice(tile.rows.start * 4, tile.rows.stop * 4)
        columns = slice(tile.columns.start * 4, tile.columns.stop * 4)
        np.testing.assert_array_equal(batch[0].permute(1, 2, 0), padded[rows, columns])


def test_the_window_is_that_of_the_whole_image():
    """A dark half and a bright half in two tiles: a window per tile would draw both the same."""
    rng = np.random.default_rng(0)
    dark, bright = rng.integers(0, 100, (16, 16)), rng.integers(900, 1001, (16, 16))
    image = np.concatenate([dark, bright], axis=1).astype(np.uint16)
    backbone = MeanColourBackbone()
    state = create_patch_image_state(image, backbone, recipe=Recipe(Tiling(16, 0)))
    assert state.window.low < 5
    assert state.window.high > 995
    assert len(backbone.seen) == 2
    assert backbone.seen[0].max() < 0.11
    assert backbone.seen[1].min() > 0.88


def test_a_tile_depends_on_the_rest_of_the_image_only_through_the_window():
    image = random_image((16, 48)).astype(np.uint16)
    other = image.copy()
    other[:, 40:] *= 50
    tiling = Tiling(16, 0)  # three tiles

    def states(**options):
        return [
            create_patch_image_state(
                plane, MeanColourBackbone(), recipe=Recipe(tiling), **options
            ).embeddings_normalized.reshape(4, 12, 3)
            for plane in (image, other)
        ]

    def first_tiles(**options):
        seen = []
        for plane in (image, other):
            backbone = MeanColourBackbone()
            create_patch_image_state(plane, backbone, recipe=Recipe(tiling), **options)
            seen.append(backbone.seen[0])
        return seen

    fixed = IntensityWindow(0, 255)
    before, after = states(window=fixed)  # the tiles do not overlap
    assert torch.equal(before[:, :8], after[:, :8])
    assert torch.equal(*first_tiles(window=fixed))
    assert not torch.equal(*first_tiles())


@pytest.mark.parametrize(
    ("shape", "tiling", "total"),
    [((16, 16), Tiling(16, 0), 1), ((16, 33), Tiling(16, 4), 3), ((33, 33), Tiling(16, 4), 9)],
)
def test_progress_counts_from_0_to_all(shape, tiling, total):
    calls, backbone = [], LinearBackbone()

    def progress(done, tiles):
        assert done == len(backbone.seen), "reported before or after the tile was done"
        calls.append((done, tiles))

    recipe = Recipe(tiling)
    create_patch_image_state(random_image(shape), backbone, recipe=recipe, progress=progress)
    assert calls == [(done, total) for done in range(total + 1)]


@pytest.mark.parametrize("stop_at", [0, 1, 3])
def test_cancelling_from_progress_stops_at_once(stop_at):
    backbone = LinearBackbone()

    def progress(done, tiles):
        if done == stop_at:
            raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        create_patch_image_state(
            random_image((33, 33)), backbone, recipe=Recipe(Tiling(16, 4)), progress=progress
        )
    assert len(backbone.seen) == stop_at
