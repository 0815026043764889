"""The gallery of a session: rounds of places, judgements that are points, and their file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.gallery.matches import Certainty, JudgementCounts
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE

from ..brute_force import PATCH

pytestmark = pytest.mark.slow


@pytest.fixture
def two(viewer, rng):
    """A plain image, and one that is scaled, moved and rotated."""
    return [
        viewer.add_image(rng.normal(size=(160, 240)), name="plain"),
        viewer.add_image(
            rng.normal(size=(200, 130)),
            name="turned",
            scale=(0.5, 2.5),
            rotate=30,
            translate=(400, 9),
        ),
    ]


@pytest.fixture
def gallery(session, two):
    """Ten matches of one click."""
    session.add_query(two[0], 40, 40)
    session.gallery.show("best", 10)
    return session.gallery


def scores_at(session, match):
    image = next(i for i in session.images if i.unique_id == match.source)
    left, top, right, bottom = match.box
    return np.unique(over_image(image, session.heatmaps[image])[top:bottom, left:right])


def roles(session):
    features = session.queries.features
    return list(zip(features["class"], features["sign"], strict=True))


def judgements(gallery):
    return [match.judgement for match in gallery.matches]


# -- what is shown -------------------------------------------------------------------------------


def test_matches_are_the_best_places_of_all_images_and_no_two_are_neighbours(
    session, gallery, two
):
    matches = gallery.matches
    assert len(matches) == 10
    assert [match.rank for match in matches] == list(range(1, 11))
    scores = [match.score for match in matches]
    assert scores == sorted(scores, reverse=True)
    assert {match.image for match in matches} == {"plain", "turned"}
    for match in matches:
        np.testing.assert_allclose(scores_at(session, match), [match.score], atol=1e-6)
    for one in matches:
        near = [m for m in matches if m.plane == one.plane and abs(m.id.row - one.id.row) < 2]
        assert [m for m in near if abs(m.id.column - one.id.column) < 2] == [one]


def test_what_was_clicked_is_no_match(session, gallery, two):
    clicked = (two[0].unique_id, 40 // PATCH, 40 // PATCH)
    assert clicked not in [(m.source, m.id.row, m.id.column) for m in gallery.matches]


def test_the_box_is_the_patch_cut_at_the_border(session, gallery, two):
    gallery.show("best", 500)
    for match in gallery.matches:
        layer = two[0] if match.source == two[0].unique_id else two[1]
        height, width = layer.data.shape
        row, column = match.id.row * PATCH, match.id.column * PATCH
        assert match.box == (column, row, min(column + PATCH, width), min(row + PATCH, height))


def test_without_scores_the_gallery_waits_for_them(session, two):
    seen = []
    session.gallery.changed.connect(lambda: seen.append(len(session.gallery.matches)))
    session.gallery.show("teach", 5)
    assert session.gallery.is_waiting
    assert session.gallery.matches == ()
    session.add_query(two[0], 40, 40)
    assert len(session.gallery.matches) == 5
    assert not session.gallery.is_waiting
    assert seen[-1] == 5


def test_nothing_is_chosen_before_the_gallery_is_shown(session, two):
    session.add_query(two[0], 40, 40)
    assert session.gallery.matches == ()
    assert not session.gallery.is_waiting


def test_teaching_reaches_further_down_than_the_best(session, gallery):
    best = gallery.matches
    gallery.show("teach", 10)
    taught = gallery.matches
    assert len(taught) == 10
    assert max(match.rank for match in taught) > 2 * max(match.rank for match in best)


def test_what_cannot_be_shown_is_refused(session):
    with pytest.raises(SimilarityError, match="best or teach"):
        session.gallery.show("worst")
    with pytest.raises(SimilarityError, match="at least one"):
        session.gallery.show("best", 0)


def test_all_planes_of_a_stack_are_searched_and_judged_where_they_are(viewer, session, rng):
    stack = viewer.add_image(rng.normal(size=(3, 96, 96)), name="stack")
    session.all_planes = True
    viewer.dims.set_point(0, 1)
    session.add_query(stack, 40, 40)
    session.gallery.show("best", 20)
    hidden = [m for m in session.gallery.matches if m.plane.indices == (2,)]
    session.gallery.judge(hidden[0], right=True)
    assert viewer.dims.current_step[0] == 1
    left, top, right, bottom = hidden[0].box
    np.testing.assert_allclose(
        session.queries.data[-1], (2, (top + bottom - 1) / 2, (left + right - 1) / 2)
    )
    session.gallery.go_to(hidden[0])
    assert viewer.dims.current_step[0] == 2


def test_places_lie_in_level_0_of_a_pyramid(viewer, session, rng):
    fine = rng.normal(size=(5000, 5000)).astype(np.float32)
    image = viewer.add_image([fine, fine[::8, ::8]], multiscale=True, name="pyramid")
    session.add_query(image, 400, 400)
    session.gallery.show("best", 3)
    match = session.gallery.matches[0]
    assert match.box[2] - match.box[0] == 8 * PATCH
    session.gallery.judge(match, right=True)
    left, top, right, bottom = match.box
    y, x = session.queries.data[-1]
    assert left <= x < right
    assert top <= y < bottom


# -- judging -------------------------------------------------------------------------------------


def test_a_judgement_is_a_point_of_the_class_in_the_middle_of_the_patch(session, gallery, two):
    first, second = gallery.matches[:2]
    gallery.judge(first, right=True)
    gallery.judge(second, right=False)
    assert roles(session)[1:] == [("class 1", "positive"), ("class 1", "negative")]
    for match, point in zip((first, second), session.queries.data[1:], strict=True):
        layer = two[0] if match.source == two[0].unique_id else two[1]
        left, top, right, bottom = match.box
        inside = layer.world_to_data(session.queries.data_to_world(point))
        np.testing.assert_allclose(inside, ((top + bottom - 1) / 2, (left + right - 1) / 2))
    assert judgements(gallery)[:3] == [True, False, None]
    assert gallery.counts == JudgementCounts(right=1, wrong=1)
    assert (session.class_name, session.positive) == ("class 1", True)


def test_judging_changes_scores_and_leaves_the_places_where_they_are(session, gallery):
    before = gallery.matches
    gallery.judge(before[3], right=False)
    after = gallery.matches
    assert [m.id for m in after] == [m.id for m in before]
    assert [m.score for m in after] != [m.score for m in before]
    for match in after:
        np.testing.assert_allclose(scores_at(session, match), [match.score], atol=1e-6)


def test_a_judgement_can_be_turned_and_taken_back(session, gallery):
    match = gallery.matches[0]
    gallery.judge(match, right=True)
    gallery.judge(match, right=False)
    assert roles(session) == [("class 1", "positive"), ("class 1", "negative")]
    assert judgements(gallery)[0] is False
    gallery.judge(match, right=None)
    assert len(session.queries.data) == 1
    assert judgements(gallery) == [None] * 10
    gallery.judge(match, right=None)
    assert len(session.queries.data) == 1


def test_each_judgement_is_one_step_of_undo(session, gallery):
    match = gallery.matches[0]
    for right in (True, False, None):
        gallery.judge(match, right=right)
    seen = []
    while session.undo():
        seen.append(judgements(gallery)[:1])
        if len(seen) == 3:
            break
    assert seen == [[False], [True], [None]]
    assert len(session.queries.data) == 1


def test_who_deletes_or_moves_the_point_takes_the_judgement_back(session, gallery):
    gallery.judge(gallery.matches[0], right=True)
    gallery.judge(gallery.matches[1], right=True)
    session.queries.selected_data = {1}
    session.queries.remove_selected()
    assert judgements(gallery)[:2] == [None, True]
    session.queries.data = [session.queries.data[0], session.queries.data[0] + 1]
    assert judgements(gallery)[:2] == [None, None]


def test_points_that_are_selected_stay_so(session, gallery, two):
    session.add_query(two[0], 150, 100)
    gallery.judge(gallery.matches[0], right=True)
    session.queries.selected_data = {1}
    gallery.judge(gallery.matches[0], right=None)
    assert set(session.queries.selected_data) == {1}


def test_each_class_has_a_gallery_of_its_own(session, gallery, two):
    first = gallery.matches
    gallery.judge(first[0], right=True)
    session.class_name = "other"
    assert gallery.matches == ()
    assert gallery.is_waiting
    session.add_query(two[1], 50, 150)
    assert len(gallery.matches) == 10
    assert gallery.counts == JudgementCounts()
    gallery.judge(gallery.matches[0], right=False)
    session.class_name = "class 1"
    assert gallery.counts == JudgementCounts(right=1)
    assert first[0].id not in [match.id for match in gallery.matches]


def test_a_point_of_another_class_leaves_the_matches_as_they_are(session, gallery, two):
    before = [match.id for match in gallery.matches]
    gallery.next_round()
    after = [match.id for match in gallery.matches]
    assert not set(before) & set(after)
    session.add_query(two[1], 50, 150, class_name="other", positive=False)
    assert [match.id for match in gallery.matches] == after


def test_labels_that_ask_for_other_classes_keep_no_matches_alive(session, gallery, two, viewer):
    labels = np.zeros((160, 240), int)
    labels[60:90, 100:150] = 1
    session.regions.add(viewer.add_labels(labels, name="drawn"), two[0])
    session.class_name = "drawn 1"
    gallery.show()
    assert gallery.matches
    session.class_name = "class 1"
    gallery.show()
    assert gallery.matches
    session.queries.data = session.queries.data[:0]
    assert session.heatmaps
    assert gallery.matches == ()


def test_labels_beside_all_images_keep_no_matches_alive(session, gallery, two, viewer):
    """The layer still lies on an image, but nothing that is labelled in it does."""
    corner = np.zeros((160, 240), int)
    corner[:20, :20] = 1
    labels = viewer.add_labels(corner, name="drawn")
    session.regions.add(labels, two[0])
    assert gallery.matches
    labels.translate = [-50, -50]
    session.queries.data = session.queries.data[:0]
    assert not session.heatmaps
    assert gallery.matches == ()


def test_a_class_keeps_its_matches_under_another_name(session, gallery):
    before = [match.id for match in gallery.matches]
    gallery.judge(gallery.matches[0], right=True)
    session.rename_class("class 1", "gland")
    assert [match.id for match in gallery.matches] == before
    assert gallery.counts == JudgementCounts(right=1)
    gallery.judge(gallery.matches[1], right=False)
    assert roles(session)[-1] == ("gland", "negative")


# -- rounds --------------------------------------------------------------------------------------


def test_the_next_round_shows_others(session, gallery):
    first = {match.id for match in gallery.matches}
    gallery.judge(gallery.matches[0], right=True)
    gallery.next_round()
    second = {match.id for match in gallery.matches}
    assert len(second) == 10
    assert not first & second
    gallery.show("best", 10)
    again = {match.id for match in gallery.matches}
    assert again & first, "what was shown and not judged comes again from the first on"


def test_the_last_round_is_empty_and_stays_so(session, gallery):
    for _ in range(100):
        gallery.next_round()
        if not gallery.matches:
            break
    assert gallery.matches == ()
    assert not gallery.is_waiting
    session.threshold = 0.3
    assert gallery.matches == ()


def test_a_round_asked_for_before_the_scores_are_there_comes_with_them(viewer, backbone, rng):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    image = viewer.add_image(rng.normal(size=(160, 240)), name="plain")
    session.add_query(image, 40, 40)
    session.gallery.show("best", 10)
    session.wait(PATIENCE)
    first = {match.id for match in session.gallery.matches}
    session.gallery.judge(session.gallery.matches[0], right=False)
    session.gallery.next_round()  # the answer to that judgement is still on its way
    session.wait(PATIENCE)
    second = {match.id for match in session.gallery.matches}
    assert len(second) == 10
    assert not first & second
    assert session.gallery.certainty.judged == 1
    session.close()


def test_certainty_counts_what_was_judged_as_predicted(session, gallery):
    session.threshold = gallery.matches[4].score
    gallery.show("best", 10)
    matches = gallery.matches
    assert gallery.certainty == Certainty(0, 0)
    assert gallery.certainty.text == ""
    for number, match in enumerate(matches[:8]):  # the first five were predicted to be right
        gallery.judge(match, right=number < 4)
    assert gallery.certainty.judged == 0, "the round is not over"
    gallery.next_round()
    assert gallery.certainty == Certainty(7, 8)
    assert gallery.certainty.text == "7 of 8 judged as predicted"
    gallery.next_round()
    assert gallery.certainty == Certainty(7, 8), "nothing new was judged"


# -- what comes and goes -------------------------------------------------------------------------


def test_matches_go_with_their_layer(session, gallery, two, viewer):
    viewer.layers.remove(two[1])
    assert {match.image for match in gallery.matches} == {"plain"}
    gone = gallery.judgements()
    assert gone == ()


def test_matches_go_with_pixels_that_are_replaced_and_with_the_tick(session, gallery, two, rng):
    two[1].data = rng.normal(size=(200, 130))
    assert {match.image for match in gallery.matches} == {"plain"}
    session.set_target(two[0], False)
    assert gallery.matches == ()


def test_a_match_that_is_gone_cannot_be_judged(session, gallery, two, viewer):
    match = next(m for m in gallery.matches if m.image == "turned")
    viewer.layers.remove(two[1])
    for call in (lambda: gallery.judge(match, right=True), lambda: gallery.go_to(match)):
        with pytest.raises(PointError, match="not there any more"):
            call()
    assert gallery.thumbnail(match, 32) is None


def test_without_points_there_are_no_matches(session, gallery, two):
    session.undo()
    assert gallery.matches == ()
    assert gallery.is_waiting
    session.add_query(two[0], 100, 100)
    assert len(gallery.matches) == 10


def test_other_patches_give_other_matches(session, gallery):
    from napari_dinov3_sim import Recipe

    session.recipe = Recipe(factor=2)
    assert gallery.matches[0].box[2] - gallery.matches[0].box[0] == PATCH // 2


def test_names_follow_the_layer(session, gallery, two):
    two[0].name = "renamed"
    assert {match.image for match in gallery.matches} == {"renamed", "turned"}


def test_a_hidden_gallery_shows_nothing(session, gallery):
    gallery.hide()
    assert gallery.matches == ()
    assert not gallery.is_waiting


def test_going_to_a_match_moves_the_view_and_outlines_it(session, gallery, two, viewer):
    match = next(m for m in gallery.matches if m.image == "turned")
    gallery.go_to(match)
    centre = two[1].world_to_data(np.array(viewer.scene.camera.center[-2:]))
    left, top, right, bottom = match.box
    np.testing.assert_allclose(centre, ((top + bottom - 1) / 2, (left + right - 1) / 2), atol=0.51)
    found = [(mark_of(layer, "outline"), layer) for layer in viewer.layers]
    marks = {mark["image"]: layer for mark, layer in found if mark is not None}
    corners = marks[two[1].unique_id].data[:, 0]
    np.testing.assert_allclose(corners.min(0), (top - 0.5, left - 0.5))
    np.testing.assert_allclose(corners.max(0), (bottom - 0.5, right - 0.5))


def test_a_closed_session_leaves_the_gallery_alone(session, gallery, two):
    session.close()
    before = gallery.matches
    two[0].name = "other"
    assert gallery.matches == before


# -- the file ------------------------------------------------------------------------------------


def test_judgements_are_written_and_never_over_a_file(session, gallery, tmp_path):
    path = tmp_path / "judged.json"
    with pytest.raises(PointError, match="Nothing is judged"):
        gallery.save_judgements(path)
    first, second = gallery.matches[:2]
    gallery.judge(first, right=True)
    gallery.judge(second, right=False)
    assert gallery.save_judgements(path) == 2
    written = json.loads(path.read_text())["judgements"]
    assert [entry["right"] for entry in written] == [True, False]
    left, top, right, bottom = first.box
    assert written[0] == {
        "image": first.image,
        "plane": [],
        "x": (left + right - 1) / 2,
        "y": (top + bottom - 1) / 2,
        "class": "class 1",
        "right": True,
        "score": pytest.approx(first.score),
    }
    with pytest.raises(SimilarityError, match="already exists"):
        gallery.save_judgements(path)
    gallery.judge(second, right=None)
    assert json.loads(path.read_text())["judgements"] == written
    assert gallery.save_judgements(path, overwrite=True) == 1


def test_judgements_are_saved_with_the_query(session, gallery, tmp_path):
    from napari_dinov3_sim import load_query

    gallery.judge(gallery.matches[0], right=True)
    gallery.judge(gallery.matches[1], right=False)
    session.results.save_query(tmp_path / "judged.query.safetensors")
    (saved,) = load_query(tmp_path / "judged.query.safetensors").classes
    assert (len(saved.positives), len(saved.negatives)) == (2, 1)


def test_a_script_waits_for_matches_and_pictures(viewer, backbone, rng):
    session = SimilaritySession(viewer, backbone=backbone)
    image = viewer.add_image(rng.normal(size=(160, 240)), name="plain")
    session.add_query(image, 40, 40)
    session.gallery.show("best", 4)
    session.wait(PATIENCE)
    assert len(session.gallery.matches) == 4
    assert session.gallery.thumbnail(session.gallery.matches[0], 32) is None
    session.wait(PATIENCE)
    assert session.gallery.thumbnail(session.gallery.matches[0], 32).shape == (32, 32, 3)
    session.close()


def test_channels_that_are_opened_while_places_are_wanted(session, viewer, rng):
    """For a moment there are answers, and no image that is shown and searched."""
    image = viewer.add_image(rng.normal(size=(64, 64)))
    session.add_query(image, 5, 5)
    session.gallery.show("best", 3)
    session.set_target(image, False)
    session.class_name = "other"
    session.gallery.show("best", 3)
    viewer.add_image(rng.normal(size=(2, 48, 48)), channel_axis=0)  # nothing fails
    session.wait()
    assert session.gallery.matches == ()
