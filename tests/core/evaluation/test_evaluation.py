"""The measure of retrieval, against scikit-learn and against figures that can be counted."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from napari_dinov3_sim.core.evaluation.baselines import BASELINES
from napari_dinov3_sim.core.evaluation.clicks import AnnotatedPatches, covered, draw_clicks
from napari_dinov3_sim.core.evaluation.comparison import ClassScores, Comparison
from napari_dinov3_sim.core.evaluation.precision import (
    average_precision,
    score_clicks,
    unit_vectors,
)


def enlarged(patches):
    """Return an image of the values of whole patches, with a border that is none."""
    image = np.kron(patches, np.ones((16, 16), int))
    return np.pad(image, ((0, 5), (0, 9)), constant_values=1)


@pytest.fixture
def halves():
    """Two images whose left half is of class 1; its upper row of patches is one object."""
    classes = np.zeros((4, 6), int)
    classes[:, :3] = 1
    objects = classes.copy()
    objects[1:, :3] = np.arange(2, 11).reshape(3, 3)
    return [AnnotatedPatches(enlarged(classes), enlarged(objects)) for _ in range(2)]


def test_average_precision_is_that_of_scikit_learn():
    random = np.random.default_rng(3)
    for _ in range(5):
        scores, positive = random.normal(size=40), random.random(40) < 0.3
        expected = average_precision_score(positive, scores)
        assert average_precision(scores, positive) == pytest.approx(expected)


def test_a_part_of_a_patch_is_a_share():
    mask = np.zeros((40, 32), bool)
    mask[8:16, :] = True
    assert covered(mask).tolist() == [[0.5, 0.5], [0.0, 0.0]]


def test_the_object_that_was_clicked_need_not_be_found(halves):
    (clicks,) = draw_clicks(halves, [1], 12)
    assert len(clicks) == 24
    for click in clicks:
        left = click.within.counted & click.within.positive
        assert left.sum() == (9 if click.row == 0 else 11)
        assert not click.within.counted[click.row, click.column]
        assert click.across.counted.all()
        assert click.across.image == 1 - click.image
        assert click.chance == pytest.approx(left.sum() / click.within.counted.sum())


def test_the_same_seed_draws_the_same_clicks(halves):
    def places(seed):
        (clicks,) = draw_clicks(halves, [1], 3, seed)
        return [(click.image, click.row, click.column) for click in clicks]

    assert places(0) == places(0)
    assert places(0) != places(1)


def test_pixels_that_are_not_judged_count_neither_way():
    classes = np.zeros((3, 4), int)
    classes[:, :2] = 1
    classes[2] = 255
    classes[0, 0] = 2
    (clicks,) = draw_clicks([AnnotatedPatches(enlarged(classes))], [1], 9)
    assert clicks == []  # three patches are too few
    classes[0, :] = 1
    (clicks,) = draw_clicks([AnnotatedPatches(enlarged(classes))], [1], 9)
    assert {click.within.counted.sum() for click in clicks} == {7}
    assert {click.across for click in clicks} == {None}


def test_one_object_in_an_image_can_be_asked_across_images_only():
    classes = np.zeros((4, 6), int)
    classes[:, :3] = 1
    images = [AnnotatedPatches(enlarged(classes), enlarged(classes)) for _ in range(2)]
    (clicks,) = draw_clicks(images, [1], 1)
    assert [click.within for click in clicks] == [None, None]
    assert np.isnan(clicks[0].chance)
    scores = score_clicks(clicks, [np.where(classes[..., None], [1.0, 0], [0, 1.0])] * 2)
    assert np.isnan(scores[:, 0]).all()
    assert scores[:, 1].tolist() == [1, 1]


def test_scores_are_ranks_of_the_cosine(halves):
    random = np.random.default_rng(0)
    maps = [unit_vectors(random.normal(size=(4, 6, 8))) for _ in halves]
    (clicks,) = draw_clicks(halves, [1], 4)
    scores = score_clicks(clicks, maps)
    for click, found in zip(clicks, scores, strict=True):
        vector = maps[click.image][click.row, click.column]
        for truth, value in zip((click.within, click.across), found, strict=True):
            cosine = (maps[truth.image] * vector).sum(-1)[truth.counted]
            expected = average_precision_score(truth.positive[truth.counted], cosine)
            assert value == pytest.approx(expected)


def test_centring_takes_away_what_all_patches_share():
    features = np.random.default_rng(0).normal(size=(5, 6, 7)) + 40
    assert np.linalg.norm(unit_vectors(features), axis=-1) == pytest.approx(1)
    centred = unit_vectors(features, centre=True)
    assert np.linalg.norm(centred, axis=-1) == pytest.approx(1)
    assert abs(centred.mean()) < 0.05 < unit_vectors(features).mean()


@pytest.fixture(scope="module")
def textures():
    """Stripes of two directions and smooth grey, in colours that tell them apart, too."""
    rgb = np.full((70, 100, 3), 0.5, np.float32)
    rgb[:32, :48] += 0.4 * np.sin(np.arange(48) * 0.9)[None, :, None]
    rgb[32:64, :48] += 0.4 * np.sin(np.arange(32) * 0.9)[:, None, None]
    rgb[:64, :24, 0] += 0.05
    return rgb


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_has_a_vector_for_each_whole_patch(name, textures):
    features = BASELINES[name](textures)
    assert features.shape[:2] == (4, 6)
    assert np.isfinite(features).all()
    assert features.dtype == np.float32


@pytest.mark.parametrize("name", ["lbp", "hog", "filters"])
def test_baselines_of_texture_tell_stripes_of_two_directions_or_none(name, textures):
    vectors = unit_vectors(BASELINES[name](textures))
    like, other = vectors[0, 1] @ vectors[1, 1], vectors[0, 1] @ vectors[1, 5]
    assert like > other
    if name == "hog":
        assert like > vectors[0, 1] @ vectors[3, 1]


def compared(gains, within=True):
    """Return a comparison of two ways, of which the second is better by so much at each click."""
    classes = []
    for number, gain in enumerate(gains):
        first = np.full((len(gain), 2), 0.5 if within else np.nan)
        first[:, 1] = 0.25
        scores = {"one": first, "other": first + np.array(gain)[:, None]}
        classes.append(ClassScores(f"set {number % 2}", f"class {number}", 0.1, scores))
    return Comparison(("one", "other"), tuple(classes))


def test_means_are_over_classes_and_then_of_clicks():
    found = compared([[0.1, 0.3], [0.0]])
    assert found.means("other") == pytest.approx((0.6, 0.35))
    within, across = found.differences("other")
    assert (within.mean, across.mean) == pytest.approx((0.1, 0.1))
    assert found.of_sets(["set 1"]).means("other") == pytest.approx((0.5, 0.25))


def test_a_class_that_has_no_figure_within_images_is_left_out_of_both_means():
    both, across_only = compared([[0.2]]), compared([[0.0]], within=False)
    found = Comparison(both.ways, (*both.classes, *across_only.classes))
    assert found.means("other") == pytest.approx((0.7, 0.45))
    assert (found.counts, found.clicks) == ((1, 1), (1, 2))
    assert across_only.means("other")[1] == 0.25
    assert np.isnan(across_only.means("other")[0])
    assert np.isnan(across_only.differences("other")[0].mean)


def test_the_interval_is_as_wide_as_the_spread_of_a_mean_of_classes():
    """Against the standard error of a mean of independent classes, each of one click."""
    gains = np.random.default_rng(5).normal(0.1, 0.2, 50)
    within, _ = compared([[gain] for gain in gains]).differences("other")
    error = gains.std() / np.sqrt(len(gains))
    assert within.low == pytest.approx(gains.mean() - 1.96 * error, abs=0.01)
    assert within.high == pytest.approx(gains.mean() + 1.96 * error, abs=0.01)


def test_the_interval_is_wider_by_the_spread_of_clicks():
    gains = np.random.default_rng(5).normal(0.1, 0.2, (4, 12))
    within, _ = compared(gains).differences("other")
    spread = gains.mean(1).var() + gains.var(1).mean() / 12
    assert (within.high - within.low) / 3.92 == pytest.approx(np.sqrt(spread / 4), rel=0.1)


def test_two_equal_ways_differ_by_nothing():
    within, across = compared([[0.0, 0.0], [0.0]]).differences("other")
    assert (within.mean, within.low, within.high, across.mean) == (0, 0, 0, 0)
