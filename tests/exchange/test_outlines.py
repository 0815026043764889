"""Outlines hold exactly the pixels they were made of: by shapely, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dinov3_sim.exchange import outlines
from napari_dinov3_sim.exchange.outlines import mask_of, trace_array, trace_labels

from .masks import geometry_of, pixels_in, random_labels, ring_with_island

MASKS = arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)
)


def assert_exact(labels):
    found = trace_array(labels)
    assert list(found) == np.unique(labels[labels > 0]).tolist()
    for label, polygons in found.items():
        mask = labels == label
        geometry = geometry_of(polygons)
        assert shapely.is_valid(geometry), shapely.is_valid_reason(geometry)
        assert geometry.area == mask.sum()
        assert np.array_equal(pixels_in(geometry, labels.shape), mask)
        rings = [ring for polygon in polygons for ring in polygon.rings]
        assert np.array_equal(mask_of(rings, labels.shape), mask)


@given(MASKS)
@settings(max_examples=150, deadline=None)
def test_a_polygon_holds_the_pixels_of_its_mask_and_no_others(labels):
    assert_exact(labels)


@given(MASKS, st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_strips_of_any_height_give_the_same(labels, strip):
    whole = trace_array(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlines, "STRIP", strip)
        asked = []

        def read(top, end):
            asked.append((top, end))
            return labels[top:end]

        parts = trace_labels(read, labels.shape)
    assert [end for _, end in asked[:-1]] == [top for top, _ in asked[1:]]
    assert list(parts) == list(whole)
    for label, polygons in whole.items():
        assert geometry_of(parts[label]).equals(geometry_of(polygons))


def test_an_island_in_a_hole_is_a_polygon_of_its_own():
    labels = ring_with_island()
    assert_exact(labels)
    frame, island = sorted(trace_array(labels)[1], key=lambda p: -len(p.holes))
    assert len(frame.holes) == 1
    assert not island.holes
    assert shapely.Polygon(island.exterior).area == 4


def test_pixels_that_touch_at_a_corner_are_two_polygons():
    assert len(trace_array(np.eye(2, dtype=int))[1]) == 2


def test_a_straight_side_has_two_corners_and_rings_run_as_geojson_wants_it():
    labels = np.zeros((40, 60), np.uint16)
    labels[5:25, 10:50] = 7
    labels[10:20, 20:30] = 0
    (polygon,) = trace_array(labels)[7]
    assert sorted(map(tuple, polygon.exterior.tolist())) == [(10, 5), (10, 25), (50, 5), (50, 25)]
    assert [len(hole) for hole in polygon.holes] == [4]
    assert shapely.LinearRing(polygon.exterior).is_ccw
    assert not shapely.LinearRing(polygon.holes[0]).is_ccw


def test_labels_below_zero_are_background_and_large_ones_are_kept():
    labels = np.array([[-3, 2**40], [0, 5]])
    assert set(trace_array(labels)) == {5, 2**40}


def test_nothing_is_traced_where_nothing_is():
    assert trace_array(np.zeros((4, 5), int)) == {}


def test_a_large_random_mask_is_exact():
    labels = random_labels(np.random.default_rng(3), 60, 70, 4)
    assert_exact(labels)


def test_what_lies_outside_the_plane_is_cut_off():
    ring = np.array([(-5, -5), (2, -5), (2, 3), (-5, 3)])
    inside = mask_of([ring], (4, 4))
    assert inside.sum() == 6
    assert inside[:3, :2].all()
