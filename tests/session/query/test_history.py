"""One undo and one redo for points, regions, classes and channels."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
from napari.layers.base import ActionType

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.query.history import DEPTH, History
from napari_dinov3_sim.session.resolved_state import ClassCounts
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE

pytestmark = pytest.mark.slow

SQUARE = np.array([[10, 10], [10, 30], [30, 30], [30, 10]], float)


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(70, 60)), name="image")


@pytest.fixture
def box(session, image):
    """A function that draws a box as a program does."""

    def draw(shift=0, class_name=None, positive=None):
        if class_name is not None:
            session.class_name = class_name
        if positive is not None:
            session.positive = positive
        session.start_box()
        session.drawn_regions.add([SQUARE + shift], shape_type="rectangle")
        return session.drawn_regions

    return draw


def said(session):
    """All that is said: points, shapes, classes, channels."""
    points, shapes = session.queries, session.drawn_regions
    used = {name for name, counts in session.class_counts.items() if counts != ClassCounts()}
    return {
        "points": [] if points is None else points.data.tolist(),
        "of points": [] if points is None else _columns(points),
        "shapes": [] if shapes is None else [np.asarray(each).tolist() for each in shapes.data],
        "of shapes": [] if shapes is None else _columns(shapes),
        "classes": {name: session.classes[name] for name in used},
        "merged": {lead.name: channels for lead, channels in session.merged.items()},
        "heatmaps": {name for name in session.classes if session.heatmaps_of(name)},
    }


def _columns(layer):
    return list(zip(layer.features["class"], layer.features["sign"], strict=True))


class Walk:
    """Does things, and remembers what was said before each."""

    def __init__(self, session):
        self.session, self.states = session, [said(session)]

    def do(self, deed):
        deed()
        self.states.append(said(self.session))

    def check_there_and_back(self):
        for _ in range(2):
            for state in self.states[-2::-1]:
                assert self.session.can_undo
                assert self.session.undo()
                assert said(self.session) == state
            assert not self.session.can_undo
            assert not self.session.undo()
            for state in self.states[1:]:
                assert self.session.can_redo
                assert self.session.redo()
                assert said(self.session) == state
            assert not self.session.can_redo
            assert not self.session.redo()


def test_all_that_is_done_can_be_undone_and_done_again(session, viewer, image, box, rng):
    session.add_query(image, 5, 5)
    session.undo()
    session.redo()
    walk = Walk(session)
    walk.states = [said(session)]
    session._coordinator.edits._history.clear()
    walk.do(lambda: session.add_query(image, 50, 60, class_name="cell"))
    walk.do(lambda: box(0, "cell", False))
    walk.do(lambda: box(20, "debris", True))
    session.drawn_regions.selected_data = {1}
    viewer.layers.selection.active = session.drawn_regions
    walk.do(lambda: session.move_selected("class 1", False))
    walk.do(lambda: session.rename_class("cell", "nucleus"))
    walk.do(lambda: session.rename_class("nucleus", "class 1"))
    walk.do(lambda: session.add_query(image, 20, 20, class_name="cell", positive=False))
    walk.do(lambda: session.remove_class("class 1"))
    walk.check_there_and_back()


def test_channels_are_part_of_it(session, viewer, image, rng):
    session.add_query(image, 5, 5)
    session._coordinator.edits._history.clear()
    walk = Walk(session)
    channels = rng.normal(size=(3, 70, 60))
    viewer.add_image(channels[0], name="other")
    walk.states = [said(session)]
    a, b = (viewer.layers[name] for name in ("image", "other"))
    walk.do(lambda: session.merge_channels([a, b]))
    walk.do(lambda: session.add_query(image, 50, 60))
    walk.do(lambda: session.split_channels(a))
    walk.check_there_and_back()


def test_channels_that_were_merged_when_opened_are_split_by_one_undo(session, viewer, rng):
    layers = viewer.add_image(rng.normal(size=(3, 70, 60)), channel_axis=0, name="cells")
    assert session.targets == [layers[0]]
    assert session.undo()
    assert session.targets == layers
    assert session.redo()
    assert session.targets == [layers[0]]
    session.undo()
    viewer.add_image(rng.normal(size=(70, 60)), name="other")
    assert session.merged == {}


def test_channels_that_did_not_stay_one_image_are_no_step(session, viewer, rng):
    """They come one by one: two or three were one image before the fourth came."""
    layers = viewer.add_image(rng.normal(size=(4, 70, 60)), channel_axis=0, name="cells")
    assert not session.can_undo
    viewer.layers.remove(layers[3])
    assert session.merged == {layers[0]: tuple(layers[:3])}
    assert session.undo()
    assert session.merged == {}
    assert not session.can_undo


def test_what_was_undone_can_be_had_again_after_channels_were_opened(session, viewer, image, rng):
    other = viewer.add_image(rng.normal(size=(70, 60)), name="other")
    session.add_query(image, 5, 5)
    session.merge_channels([image, other])
    session.add_query(image, 50, 60)
    for _ in range(2):
        session.undo()
    layers = viewer.add_image(rng.normal(size=(2, 30, 40)), channel_axis=0, name="cells")
    opened, by_hand = (layers[0], (*layers, None)), (image, (image, other, None))
    states = [(1, dict([opened])), (1, dict([opened, by_hand])), (2, dict([opened, by_hand]))]
    for points, merged in states[1:]:
        assert session.redo()
        assert (len(session.queries.data), session.merged) == (points, merged)
    assert not session.can_redo
    for points, merged in [*states[1::-1], (1, {}), (0, {})]:
        assert session.undo()
        assert (len(session.queries.data), session.merged) == (points, merged)
    assert not session.can_undo


def test_undo_of_a_later_session_takes_no_points_of_an_earlier_one(viewer, backbone, rng):
    layers = viewer.add_image(rng.normal(size=(3, 70, 60)), channel_axis=0, name="cells")
    for _ in range(2):
        with closing(
            SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
        ) as session:
            assert session.targets == [layers[0]]
            session.add_query(layers[0], 5, 5)
            count = len(session.queries.data)
            for left in (count - 1, count - 1):
                assert session.undo()
                assert len(session.queries.data) == left
            assert session.targets == layers
            assert not session.can_undo
            session.add_query(layers[0], 20, 20)


def test_undo_leaves_alone_what_channels_did_by_themselves(session, viewer, image, rng):
    layers = viewer.add_image(rng.normal(size=(3, 30, 40)), channel_axis=0, name="cells")
    other = viewer.add_image(rng.normal(size=(70, 60)), name="other")
    session.merge_channels([image, other])
    viewer.layers.remove(layers[2])
    rest, by_hand = (layers[0], (*layers[:2], None)), (image, (image, other, None))
    assert session.merged == dict([rest, by_hand])
    assert session.undo()
    assert session.merged == dict([rest])
    assert session.redo()
    assert session.merged == dict([rest, by_hand])
    other.translate = (0, 5)
    assert session.merged == dict([rest])
    assert session.undo()
    assert session.merged == {}
    assert not session.can_undo


def test_what_is_refused_is_no_step_and_takes_the_place_of_none(session, viewer, image, rng):
    smaller = viewer.add_image(rng.normal(size=(30, 40)), name="smaller")
    session.add_query(image, 5, 5)
    session.undo()
    with pytest.raises(ImageError):
        session.merge_channels([image, smaller])
    assert not session.can_undo
    assert session.redo()


def test_what_is_done_after_undo_takes_the_place_of_what_was_undone(session, image):
    session.add_query(image, 5, 5)
    session.add_query(image, 50, 60)
    session.undo()
    session.add_query(image, 20, 20)
    assert not session.can_redo
    assert not session.redo()
    assert session.queries.data.tolist() == [[5, 5], [20, 20]]


def test_a_shape_that_is_dragged_is_one_step_and_where_it_was_is_remembered(session, image, box):
    layer, moved = box(), SQUARE + np.array([12, 8])
    for _ in range(4):  # as napari does it: no data event before the button is released
        layer._data_view.shift(0, np.array([3, 2]))
        layer.refresh()
    layer.events.data(
        value=layer.data, action=ActionType.CHANGED, data_indices=(0,), vertex_indices=((),)
    )
    np.testing.assert_array_equal(layer.data[0], moved)
    assert session.undo()
    np.testing.assert_array_equal(layer.data[0], SQUARE)
    assert session.redo()
    np.testing.assert_array_equal(layer.data[0], moved)
    session.undo()
    assert session.undo()
    assert len(layer.data) == 0
    assert session.heatmaps == {}


def test_deleted_pasted_and_relabelled_shapes_come_back(session, image, box):
    layer = box()
    box(20)
    layer.selected_data = {0}
    layer._copy_data()
    layer._paste_data()
    assert len(layer.data) == 3
    layer.selected_data = {1}
    layer.remove_selected()
    layer.features = layer.features.assign(sign=["negative", "positive"])
    assert session.undo()
    assert list(layer.features["sign"]) == ["positive", "positive"]
    assert session.undo()
    assert len(layer.data) == 3
    assert session.undo()
    assert len(layer.data) == 2
    np.testing.assert_array_equal(layer.data[1], SQUARE + 20)


def test_notes_of_the_users_about_shapes_stay(session, image, box):
    layer = box()
    box(20)
    layer.features = layer.features.assign(note=["a", "b"])
    layer.selected_data = {0}
    layer.remove_selected()
    layer.features = layer.features.assign(note=["b again"])
    assert session.undo()
    assert list(layer.features["note"]) == ["a", "b again"]


def test_a_layer_of_regions_that_was_thrown_away_is_made_again(session, viewer, image, box):
    box(class_name="cell")
    before = said(session)
    viewer.layers.remove(session.drawn_regions)
    assert session.heatmaps == {}
    assert session.undo()
    assert said(session) == before
    assert session.queries in viewer.layers
    assert viewer.layers[-1] == session.queries


def test_what_is_undone_is_drawn_in_its_colours(session, image):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="debris", positive=False)
    before = session.queries.border_color.copy()
    session.remove_class("debris")
    session.undo()
    np.testing.assert_array_equal(session.queries.border_color, before)
    assert [str(symbol) for symbol in session.queries.symbol] == ["disc", "cross"]


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("deed", ["delete", "join"])
def test_redo_of_a_class_that_goes_does_not_bring_it_back(session, image, maps, deed):
    """What is still drawn asks for the colour of a class that there is no more."""
    for number, name in enumerate(("class 1", "b", "c")):
        session.add_query(image, 5 + 20 * number, 10, class_name=name)
    session.show_class_maps = maps
    colours = session.classes
    if deed == "delete":
        session.remove_class("b")
    else:
        session.rename_class("b", "c")
    for _ in range(2):
        assert set(session.classes) == {"class 1", "c"}
        session.undo()
        assert session.classes == colours
        session.redo()
    assert set(session.classes) == {"class 1", "c"}
    assert session.undo()
    assert session.classes == colours


def test_undo_of_a_join_parts_all_that_is_made_of_the_classes(session, viewer, image):
    """Objects, judged places, and whether a class is hidden; redo joins them again."""

    def made():
        marks = [(layer, mark_of(layer, "result")) for layer in viewer.layers]
        places = Counter(one.class_name for one in session.gallery.judgements())
        objects = {layer: mark["what"] for layer, mark in marks if mark is not None}
        return objects, [layer.name for layer in objects], places, session.hidden_classes

    for number, name in enumerate(("class 1", "b", "c")):
        session.add_query(image, 5 + 20 * number, 10, class_name=name)
    for name in ("b", "c"):
        session.class_name = name
        session.gallery.show()
        session.gallery.judge(session.gallery.matches[0], True)
    session.results.labels()
    session.set_class_visible("c", False)
    before = made()
    assert before[2] == {"b": 1, "c": 1}
    session.rename_class("b", "c")
    joined = made()
    assert joined[2] == {"c": 2}
    assert set(joined[0].values()) == {("labels", "class 1"), ("labels", "c")}
    for _ in range(2):
        session.undo()
        assert made() == before
        session.redo()
        assert made() == joined
    session.rename_class("c", "d")
    session.undo()
    session.undo()
    assert (made()[0], *made()[2:]) == (before[0], *before[2:])


@pytest.mark.parametrize("later", ["join", "rename"])
def test_undo_of_a_join_after_another_class_of_the_same_name(session, viewer, image, later):
    """Each of the two gets back what is its own."""
    for number, name in enumerate(("class 1", "b", "c")):
        session.add_query(image, 5 + 20 * number, 10, class_name=name)

    def judge():
        session.class_name = "b"
        session.gallery.show()
        session.gallery.judge(session.gallery.matches[0], True)

    def judged():
        return {one.class_name for one in session.gallery.judgements()}

    judge()
    session.results.labels()
    (own,) = [layer for layer in viewer.layers if layer.name.endswith("objects: b")]
    session.set_class_visible("b", False)
    colours, deeds = session.classes, 4
    session.rename_class("b", "c")
    session.set_class_visible("c", True)
    if later == "rename":
        session.rename_class("c", "d")
        deeds += 1
    session.add_query(image, 45, 50, class_name="b")
    judge()
    both = {"b", "d" if later == "rename" else "c"}
    assert judged() == both
    session.rename_class("b", "c")
    session.undo()
    assert judged() == both
    for _ in range(deeds - 1):
        session.undo()
    assert (judged(), session.hidden_classes) == ({"b"}, {"b"})
    assert session.classes == colours
    assert mark_of(own, "result")["what"] == ("labels", "b")
    assert own.name == "image objects: b"


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("new", [False, True])
def test_an_answer_on_its_way_does_not_bring_a_class_back(viewer, backbone, rng, maps, new):
    image, go_on = viewer.add_image(rng.normal(size=(70, 60))), threading.Event()
    runner = ThreadRunner()
    with closing(SimilaritySession(viewer, backbone=backbone, runner=runner)) as session:
        session.show_class_maps = maps
        for number, name in enumerate(("class 1", "b", "c")):
            if new and name == "c":
                session.wait()
                runner.submit("answer", lambda *_: go_on.wait(PATIENCE), lambda _: None)
            session.add_query(image, 5 + 20 * number, 10, class_name=name)
        if not new:
            session.wait()
            runner.submit("answer", lambda *_: go_on.wait(PATIENCE), lambda _: None)
            session.add_query(image, 30, 60, class_name="b")
        session.remove_class("c")
        go_on.set()
        session.wait(PATIENCE)
        assert set(session.classes) == {"class 1", "b"}


def test_edits_before_a_refresh_are_steps_of_their_own(viewer, backbone, rng):
    """A program does not wait for the window."""
    image = viewer.add_image(rng.normal(size=(70, 60)))
    with closing(SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())) as session:
        session.wait()
        session.add_query(image, 5, 5)
        session.add_query(image, 50, 60, class_name="cell")
        session.rename_class("cell", "nucleus")
        session.remove_class("nucleus")
        for count in (2, 2, 1, 0):
            assert session.undo()
            assert len(session.queries.data) == count


def test_a_history_has_an_end():
    class Number:
        edited = False
        value = 0

        def snapshot(self):
            return Value(self.value)

        def restore(self, snapshot):
            self.value = snapshot.number

    class Value:
        def __init__(self, number):
            self.number = number

        def same_as(self, other):
            return self.number == other.number

    number = Number()
    history = History([number])
    for number.value in range(1, DEPTH + 11):
        history.note(edited=True)
    steps = 0
    while history.undo():
        steps += 1
    assert (steps, number.value) == (DEPTH, 10)
