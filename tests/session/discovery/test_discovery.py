"""Suggested classes of a session: what is suggested, and classes that are made of it."""

from __future__ import annotations

import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE, deliver_until

from ..brute_force import PATCH, PatchProjection, over_pixels

pytestmark = pytest.mark.slow

PATTERNS = np.random.default_rng(11).random((4, PATCH, PATCH))


def textured(groups, seed=0):
    """An image whose patches show one of four patterns each, with a little noise."""
    rng = np.random.default_rng(seed)
    rows = [np.concatenate([PATTERNS[group] for group in line], axis=1) for line in groups]
    image = np.concatenate(rows)
    return image + 0.01 * rng.random(image.shape)


def groups_of(shape, seed):
    return np.random.default_rng(seed).integers(0, 4, shape)


GROUPS = (groups_of((9, 14), 1), groups_of((5, 6), 2))


@pytest.fixture
def two(viewer):
    """A plain image, and a smaller one that is scaled, moved and rotated."""
    look = {"contrast_limits": (0, 1)}
    return [
        viewer.add_image(textured(GROUPS[0]), name="plain", **look),
        viewer.add_image(
            textured(GROUPS[1]),
            name="turned",
            scale=(0.5, 2.5),
            rotate=30,
            translate=(300, 9),
            **look,
        ),
    ]


def maps(session, viewer):
    """The class maps of suggestions, by the name of their image."""
    names = {image.unique_id: image.name for image in session.images}
    found = [(mark_of(layer, "suggestion"), layer) for layer in viewer.layers]
    return {names[mark["image"]]: layer for mark, layer in found if mark is not None}


def groups_by_number(session, viewer):
    """Which group each number of the class maps stands for; each for one alone."""
    pairs = set()
    for name, groups in zip(("plain", "turned"), GROUPS, strict=True):
        data = np.asarray(maps(session, viewer)[name].data)
        truth = over_pixels(groups, data.shape)
        pairs |= set(zip(data.ravel().tolist(), truth.ravel().tolist(), strict=True))
    assert len(pairs) == 4
    return dict(pairs)


def test_classes_of_all_images_are_suggested_without_a_click(session, viewer, two):
    session.discovery.suggest(4)
    found = session.discovery.suggestions
    assert [one.number for one in found] == [1, 2, 3, 4]
    groups = groups_by_number(session, viewer)
    everything = np.concatenate([one.ravel() for one in GROUPS])
    for one in found:
        assert one.images == 2
        assert one.share == pytest.approx((everything == groups[one.number]).mean())
        assert one.class_name is None
    assert len({one.colour for one in found}) == 4
    assert not session.discovery.is_waiting
    assert session.heatmaps == {}
    for image in two:
        layer = maps(session, viewer)[image.name]
        np.testing.assert_allclose(layer.extent.world, image.extent.world)
        assert viewer.layers.index(layer) == viewer.layers.index(image) + 1


def test_chosen_suggestions_become_classes_of_points_in_one_step(session, viewer, two):
    session.discovery.suggest(4)
    groups = groups_by_number(session, viewer)
    first, third = (session.discovery.suggestions[at] for at in (0, 2))
    assert session.discovery.make_classes([1, 3]) == ("class 1", "class 2")
    assert {name: c.positive for name, c in session.class_counts.items()} == {
        "class 1": 3,
        "class 2": 3,
    }
    assert session.classes == {"class 1": first.colour, "class 2": third.colour}
    assert [one.class_name for one in session.discovery.suggestions] == [
        "class 1",
        None,
        "class 2",
        None,
    ]
    assert not any(layer.visible for layer in maps(session, viewer).values())
    # Every point lies on a patch of its group, and both images have some.
    owners = set()
    for world, name in zip(session.queries.data, session.queries.features["class"], strict=True):
        for image, truth in zip(two, GROUPS, strict=True):
            row, column = np.floor((np.asarray(image.world_to_data(world)) + 0.5) / PATCH).astype(
                int
            )
            if 0 <= row < truth.shape[0] and 0 <= column < truth.shape[1]:
                assert truth[row, column] == groups[1 if name == "class 1" else 3]
                owners.add(image.name)
    assert owners == {"plain", "turned"}
    for image, truth in zip(two, GROUPS, strict=True):
        scores = over_image(image, session.heatmaps_of("class 2")[image])
        meant = over_pixels(truth == groups[3], scores.shape)
        assert scores[meant].min() > scores[~meant].max()
    assert session.undo()
    assert len(session.queries.data) == 0
    assert all(one.class_name is None for one in session.discovery.suggestions)
    assert session.redo()
    assert len(session.queries.data) == 6


def test_classes_that_are_there_keep_their_names_and_colours(session, viewer, two):
    session.add_query(two[0], 5, 5)
    before = session.classes
    session.discovery.suggest(4)
    colours = [one.colour for one in session.discovery.suggestions]
    assert before["class 1"] not in colours
    assert session.discovery.make_classes([2]) == ("class 2",)
    assert session.classes == {**before, "class 2": colours[1]}
    assert session.discovery.make_classes([2]) == ("class 2",)  # again: nothing new
    assert len(session.queries.data) == 4
    session.rename_class("class 2", "fibre")
    assert session.discovery.suggestions[1].class_name == "fibre"
    session.remove_class("fibre")
    assert session.discovery.suggestions[1].class_name is None


def test_another_number_of_classes_is_computed_anew(session, viewer, two):
    session.discovery.suggest(4)
    layer = maps(session, viewer)["plain"]
    session.discovery.suggest(2)
    assert len(session.discovery.suggestions) == 2
    assert maps(session, viewer)["plain"] == layer
    assert np.unique(layer.data).tolist() == [1, 2]
    with pytest.raises(SimilarityError, match="from 2 to 12"):
        session.discovery.suggest(13)
    with pytest.raises(SimilarityError, match="at least one"):
        session.discovery.make_classes([3])


def test_only_ticked_images_are_looked_at(session, viewer, two):
    session.set_target(two[1], False)
    session.discovery.suggest(4)
    assert list(maps(session, viewer)) == ["plain"]
    assert {one.images for one in session.discovery.suggestions} == {1}
    session.set_target(two[1], True)
    assert session.discovery.is_outdated
    session.discovery.suggest()
    assert session.discovery.count == 4
    assert set(maps(session, viewer)) == {"plain", "turned"}
    assert not session.discovery.is_outdated
    session.set_target(two[0], False)
    assert list(maps(session, viewer)) == ["turned"]
    viewer.layers.remove(two[1])
    assert maps(session, viewer) == {}
    with pytest.raises(PointError, match="Refresh"):
        session.discovery.make_classes([1])
    with pytest.raises(SimilarityError, match="No image"):
        session.discovery.suggest()


def test_all_planes_of_a_stack_are_looked_at_where_it_is_searched_as_a_whole(session, viewer):
    stack = np.stack([textured(np.full((4, 4), group), group) for group in (0, 1, 2)])
    image = viewer.add_image(stack, name="plain", contrast_limits=(0, 1))
    viewer.dims.set_current_step(0, 0)
    session.discovery.suggest(2)
    data = np.asarray(maps(session, viewer)["plain"].data)
    assert data[0].all()
    assert not data[1:].any()
    session.all_planes = True
    session.discovery.suggest(3)
    data = np.asarray(maps(session, viewer)["plain"].data)
    assert data.shape == image.data.shape
    assert [np.unique(plane).size for plane in data] == [1, 1, 1]
    assert np.unique(data).tolist() == [1, 2, 3]
    number = int(data[2, 0, 0])
    one = session.discovery.suggestions[number - 1]
    assert {patch.plane.indices for patch in one.places} == {(2,)}
    session.discovery.go_to(one.places[0])
    assert viewer.dims.current_step[0] == 2


def test_pictures_of_places_are_made(session, two):
    session.discovery.suggest(4)
    ready = []
    session.discovery.thumbnail_ready.connect(ready.append)
    patch = session.discovery.suggestions[0].places[0]
    picture = session.discovery.thumbnail(patch, 40)
    assert picture.shape == (40, 40, 3)
    assert np.ptp(picture) > 100
    assert ready == [patch]
    assert session.discovery.thumbnail(patch._replace(row=99), 40) is None
    with pytest.raises(PointError):
        session.discovery.go_to(patch._replace(row=99))


def test_nothing_of_it_is_left_when_it_is_hidden_or_the_session_closed(session, viewer, two):
    session.discovery.suggest(3)
    session.discovery.hide()
    assert session.discovery.suggestions == ()
    assert maps(session, viewer) == {}
    assert [layer.name for layer in viewer.layers] == ["plain", "turned", "DINOv3 query"]
    session.discovery.suggest(3)
    session.close()
    assert maps(session, viewer) == {}


def test_without_a_model_it_says_so(viewer, two):
    session = SimilaritySession(viewer, backbone="", runner=ThreadRunner())
    with pytest.raises(SimilarityError, match="No model"):
        session.discovery.suggest()
    session.close()


# -- while it is computed -------------------------------------------------------------------------


@pytest.fixture
def threaded(viewer, two):
    backbone = PatchProjection()
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    yield session
    backbone.gate.set()
    session.close()


def test_a_change_of_the_model_or_the_recipe_gives_the_answer_up(threaded, viewer):
    for change in (
        lambda: threaded.set_model(PatchProjection("another", sign=-1.0)),
        lambda: setattr(threaded, "recipe", Recipe(factor=2)),
    ):
        threaded.discovery.suggest(4)
        threaded.wait(PATIENCE)
        assert len(threaded.discovery.suggestions) == 4
        threaded.discovery.suggest(3)  # runs, and nothing of it is delivered yet
        assert threaded.discovery.is_waiting
        change()
        threaded.wait(PATIENCE)
        assert threaded.discovery.suggestions == ()
        assert maps(threaded, viewer) == {}
        assert not threaded.discovery.is_waiting
        threaded.discovery.suggest(2)
        threaded.wait(PATIENCE)
        assert len(threaded.discovery.suggestions) == 2


def test_cancel_gives_up_embedding_for_it_as_well(threaded, viewer):
    backbone = threaded.backbone
    backbone.gate.clear()
    threaded.discovery.suggest(4)
    assert backbone.entered.wait(PATIENCE)
    threaded.cancel()
    backbone.gate.set()
    threaded.wait(PATIENCE)
    assert not threaded.discovery.is_waiting
    assert threaded.discovery.suggestions == ()
    threaded.discovery.suggest(4)
    threaded.wait(PATIENCE)
    assert len(threaded.discovery.suggestions) == 4


def test_progress_is_told_and_ends(threaded):
    seen = []
    threaded.progressed.connect(seen.append)
    threaded.discovery.suggest(5)
    threaded.wait(PATIENCE)
    told = [one for one in seen if one is not None and "5 classes" in one.description]
    assert told[-1].done == told[-1].total > 10
    assert seen[-1] is None


def test_clicks_are_answered_before_it_is_done(threaded, two, monkeypatch):
    import threading

    from napari_dinov3_sim.core.search import clusters

    gate, real = threading.Event(), clusters.find_clusters

    def waiting(*arguments, **options):
        assert gate.wait(PATIENCE)
        return real(*arguments, **options)

    monkeypatch.setattr(clusters, "find_clusters", waiting)
    threaded.embed()
    threaded.wait(PATIENCE)
    threaded.discovery.suggest(4)
    answered = []
    threaded.answered.connect(lambda: answered.append(len(threaded.heatmaps)))
    threaded.add_query(two[0], 5, 5)
    deliver_until(threaded, lambda: answered)
    assert threaded.discovery.is_waiting
    gate.set()
    threaded.wait(PATIENCE)
    assert len(threaded.discovery.suggestions) == 4
