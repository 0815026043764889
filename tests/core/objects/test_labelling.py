"""Objects of pixels against a flood fill, limits of size, touching objects."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.objects.labelling import ObjectRules, label_objects, label_patches
from napari_dinov3_sim.core.objects.sizes import Area
from napari_dinov3_sim.core.search.similarity import SimilarityMap


def flood(found):
    """Objects in the order of their first pixels, by a plain flood fill."""
    out, number = np.zeros(found.shape, int), 0
    for start in zip(*np.nonzero(found), strict=True):
        if out[start]:
            continue
        number += 1
        waiting = [start]
        while waiting:
            at = waiting.pop()
            inside = all(0 <= n < size for n, size in zip(at, found.shape, strict=True))
            if inside and found[at] and not out[at]:
                out[at] = number
                waiting += [(at[0] + v, at[1] + u) for v in (-1, 0, 1) for u in (-1, 0, 1)]
    return out


@pytest.mark.parametrize("level", [-1.0, 0.2, 0.6, 2.0])
def test_objects_are_those_of_a_flood_fill(level):
    scores = np.random.default_rng(0).uniform(-1, 1, (25, 30)).astype(np.float32)
    found = label_objects(scores, level, ObjectRules())
    np.testing.assert_array_equal(found, flood(scores >= np.float32(level)))


def test_objects_outside_the_limits_are_dropped_and_the_others_numbered_on():
    scores = np.random.default_rng(0).uniform(-1, 1, (40, 40)).astype(np.float32)
    every = flood(scores >= 0.4)
    areas = np.bincount(every.ravel())
    wanted = [n for n in range(1, len(areas)) if 3 <= areas[n] <= 6]
    found = label_objects(scores, 0.4, ObjectRules(min_area=3, max_area=6))
    expected = sum((every == n) * at for at, n in enumerate(wanted, start=1))
    np.testing.assert_array_equal(found, expected)


def test_specks_and_pinholes_of_refined_scores_are_no_objects():
    scores = np.zeros((40, 40), np.float32)
    scores[10:30, 10:30] = 1
    scores[15, 15] = 0  # a pinhole
    scores[20:25, 20:25] = 0  # a hole larger than a quarter of a patch of 8
    scores[35, 35] = 1  # a speck
    scores[0:20, 2] = 1  # 20 pixels: no speck
    found = label_objects(scores, 0.5, ObjectRules(), patch_size=8)
    assert found.max() == 2
    assert found[15, 15] == found[10, 10] > 0
    assert found[22, 22] == found[35, 35] == 0
    assert found[3, 2] > 0


def test_a_gap_at_the_border_of_the_image_joins_no_objects():
    scores = np.ones((20, 41), np.float32)
    scores[:, 20] = 0
    found = label_objects(scores, 0.5, ObjectRules(), patch_size=16)
    assert found.max() == 2


def disc(shape, y, x, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_touching_discs_are_split_where_they_are_narrow():
    shape = (120, 200)
    discs = [disc(shape, 40, 40, 24), disc(shape, 40, 80, 20), disc(shape, 80, 150, 26)]
    scores = np.any(discs, axis=0).astype(np.float32)
    assert label_objects(scores, 0.5, ObjectRules(), 16).max() == 2
    found = label_objects(scores, 0.5, ObjectRules(split=True), 16)
    assert found.max() == 3
    np.testing.assert_array_equal(found > 0, scores > 0)
    for one in discs:
        counts = np.bincount(found[one])
        assert counts.max() / one.sum() > 0.97
    assert list(dict.fromkeys(found[found > 0])) == [1, 2, 3]


def test_an_object_with_a_rough_edge_is_not_split():
    rng = np.random.default_rng(0)
    angles = np.arctan2(*np.ogrid[-50:51, -50:51])
    radii = np.hypot(*np.ogrid[-50:51, -50:51])
    rough = radii <= 35 + np.interp(angles, np.linspace(-np.pi, np.pi, 60), rng.normal(0, 1.5, 60))
    found = label_objects(rough.astype(np.float32), 0.5, ObjectRules(split=True), 16)
    assert found.max() == 1


def test_nothing_found_is_no_object():
    scores = np.zeros((5, 5), np.float32)
    assert not label_objects(scores, 0.5, ObjectRules(split=True), 4).any()
    one = label_objects(np.ones((1, 1), np.float32), 0.5, ObjectRules(split=True), 1)
    assert one.tolist() == [[1]]


@pytest.mark.parametrize(
    ("text", "area", "pixels"),
    [
        ("50", Area(50), 50),
        ("50 px", Area(50), 50),
        ("50um2", Area(50, "um"), 200),
        ("50 µm²", Area(50, "um"), 200),
        ("1e-6mm^2", Area(1e-6, "mm"), 4),
        ("1234567 px", Area(1234567), 1234567),
        ("12345.67 nm²", Area(12345.67, "nm"), 0.04938268),
    ],
)
def test_areas_are_read_with_their_units(text, area, pixels):
    assert Area.parse(text) == area
    assert area.pixels(0.25e-12) == pytest.approx(pixels)
    assert Area.parse(str(area)) == area


def test_no_area_needs_no_pixel_size():
    assert Area(0, "um").pixels(None) == 0


@pytest.mark.parametrize("text", ["", "-1", "50 acres", "um2", "1e999", "nan"])
def test_what_is_no_area_is_refused(text):
    with pytest.raises(SimilarityError, match="is not an area"):
        Area.parse(text)


def test_a_physical_area_needs_a_pixel_size():
    with pytest.raises(SimilarityError, match="50 µm² cannot be measured"):
        Area(50, "um").pixels(None)


@pytest.mark.parametrize("seed", range(4))
def test_objects_of_patches_have_the_area_of_their_pixels(seed):
    """Patches at the right and lower edge have fewer pixels, and count as such."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-1, 1, (6, 7)).astype(np.float32)
    similarity = SimilarityMap(scores, PatchGrid((6 * 8 - 5, 7 * 8 - 3), 8))
    rules = ObjectRules(min_area=70, max_area=400)
    pixels = flood(scores >= 0.3).repeat(8, 0).repeat(8, 1)[:-5, :-3]
    areas = np.bincount(pixels.ravel())
    kept = [n for n in range(1, len(areas)) if 70 <= areas[n] <= 400]
    wanted = sum((flood(scores >= 0.3) == old) * new for new, old in enumerate(kept, 1))
    np.testing.assert_array_equal(label_patches(similarity, 0.3, rules), wanted)
