"""How tiles are joined, against sums written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core import vectors as product
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling, plan_embedding, plan_spans
from napari_dinov3_sim.core.embedding.stitching import TileStitcher, plan_spans_of_tiles

relaxed = settings(deadline=None, max_examples=60)
JOINTS = ("blend", "cut")


@st.composite
def axes(draw):
    side = draw(st.integers(1, 20))
    spans = plan_spans(draw(st.integers(1, 60)), side, draw(st.integers(0, side - 1)))
    return [(span.start, span.stop) for span in spans]


@relaxed
@given(axes(), st.sampled_from(JOINTS))
def test_the_weights_over_a_cell_sum_to_1(axis, joint):
    total, tiles = np.zeros(axis[-1][1]), np.zeros(axis[-1][1], int)
    stretches = plan_spans_of_tiles(axis, joint)
    for stretch in stretches:
        total[stretch.start : stretch.stop] += stretch.weights.numpy()
        tiles[stretch.start : stretch.stop] += 1
    np.testing.assert_allclose(total, 1, atol=1e-6)
    for stretch in stretches:
        here = slice(stretch.start, stretch.stop)
        assert (stretch.weights.numpy()[tiles[here] == 1] == 1).all()
        if joint == "blend":  # every tile over a cell has a part in it
            assert (stretch.weights > 0).all()
            assert (stretch.weights.numpy()[tiles[here] > 1] < 1).all()
        else:
            assert set(stretch.weights.tolist()) <= {0.0, 1.0}


def weights_of(axis, joint):
    return [stretch.weights.tolist() for stretch in plan_spans_of_tiles(axis, joint)]


def test_weights_written_out():
    assert weights_of([(0, 4)], "blend") == [[1, 1, 1, 1]]
    assert weights_of([(0, 3), (3, 5)], "blend") == [[1, 1, 1], [1, 1]]
    assert weights_of([(0, 4), (2, 6)], "blend") == [[1, 1, 0.75, 0.25], [0.25, 0.75, 1, 1]]
    assert weights_of([(0, 2), (1, 3)], "blend") == [[1, 0.5], [0.5, 1]]
    assert weights_of([(0, 4), (2, 6)], "cut") == [[1, 1, 1, 0], [0, 1, 1, 1]]
    assert weights_of([(0, 2), (1, 3)], "cut") == [[1, 0], [1, 1]]


@st.composite
def plans(draw):
    shape = draw(st.integers(1, 50)), draw(st.integers(1, 50))
    side = draw(st.integers(4, 30))
    tiling = Tiling(side, draw(st.integers(0, side - 1)), draw(st.sampled_from(JOINTS)))
    recipe = Recipe(tiling, shifts=draw(st.sampled_from([1, 2])))
    return plan_embedding(shape, 4, recipe), tiling.joint


def tiles_of(plan, dim=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for tile in plan.tiles:
        height, width = (part.stop - part.start for part in plan.cells(tile))
        vectors = torch.randn(height, width, dim, generator=generator)
        yield torch.nn.functional.normalize(vectors, dim=-1)


def joined(plan, joint, tiles):
    stitcher = TileStitcher(plan, 6, joint)
    for number, vectors in enumerate(tiles):
        stitcher.add_tile(number, vectors)
    return stitcher.embeddings


def expected_of(plan, joint, tiles):
    """The weighted sums, and of how many tiles each is, all at once and in float64."""
    sums, covers = np.zeros((*plan.grid.shape, 6)), np.zeros(plan.grid.shape, int)
    cells = [plan.cells(tile) for tile in plan.tiles]
    weights = [
        {
            stretch.start: stretch.weights.double().numpy()
            for stretch in plan_spans_of_tiles(
                sorted({(cell[axis].start, cell[axis].stop) for cell in cells}), joint
            )
        }
        for axis in (0, 1)
    ]
    for (rows, columns), vectors in zip(cells, tiles, strict=True):
        weight = np.outer(weights[0][rows.start], weights[1][columns.start])
        sums[rows, columns] += weight[..., None] * vectors.double().numpy()
        covers[rows, columns] += weight > 0
    return sums / np.linalg.norm(sums, axis=-1, keepdims=True), covers


@relaxed
@given(plans())
def test_every_cell_is_the_weighted_mean_of_the_tiles_over_it(plan_and_joint):
    plan, joint = plan_and_joint
    tiles = list(tiles_of(plan))
    expected, covers = expected_of(plan, joint, tiles)
    found = joined(plan, joint, tiles)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=2e-6)
    for tile, vectors in zip(plan.tiles, tiles, strict=True):
        rows, columns = plan.cells(tile)
        alone = torch.from_numpy(covers[rows, columns] == 1)
        if joint == "blend":  # what one tile has for itself is that tile's to the last bit
            assert torch.equal(found[rows, columns][alone], vectors[alone])


def test_sums_are_kept_in_full_precision(monkeypatch):
    plan = plan_embedding((64, 64), 4, Recipe(Tiling(24, 12)))
    tiles = list(tiles_of(plan))
    expected, _ = expected_of(plan, "blend", tiles)
    monkeypatch.setattr(product, "FULL_PRECISION_ELEMENTS", 100)
    found = joined(plan, "blend", tiles)
    assert found.dtype == torch.float16
    # The half of the last place below 1, and nothing for the sums.
    np.testing.assert_allclose(found.float().numpy(), expected, rtol=0, atol=2.0**-12 + 2e-6)


@pytest.mark.parametrize("side", [400, 1600])
def test_only_what_tiles_share_is_kept_besides_the_result(side):
    plan = plan_embedding((side, side), 4, Recipe(Tiling(80, 16)))
    stitcher = TileStitcher(plan, 6, "blend")
    overlap, rows = 4 + 1, 20  # in patches; tiles are spaced evenly, to within one
    for number, vectors in enumerate(tiles_of(plan)):
        stitcher.add_tile(number, vectors)
        besides = stitcher._below.untyped_storage().nbytes() + stitcher._right.nbytes
        assert besides <= 4 * 6 * overlap * (plan.grid.columns + rows)
