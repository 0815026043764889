"""All planes of a stack answer one click: every plane right, the nearest first, nothing lost."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.images import levels
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.answering import answer_job
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.query import question_builder as inquiry
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.session.worker_messages import Answered, PlaneEmbedded
from patience import PATIENCE, deliver_until

from ..brute_force import (
    PATCH,
    PatchProjection,
    over_pixels,
    reference_embeddings,
    reference_window,
)
from .stepwise_answers import StepwiseAnswers

pytestmark = pytest.mark.slow


class Stepper(PatchProjection):
    """Embeds as many planes as it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = threading.Semaphore(0)

    def embed_patches(self, pixel_values):
        self.entered.set()
        self.allowed.acquire(timeout=PATIENCE)
        return super().embed_patches(pixel_values)


def stack_of(viewer, shape, rng, **options):
    data = rng.integers(0, 60000, shape).astype(np.uint16)
    return viewer.add_image(data, name="stack", **options)


def check_every_plane(session, stack, picked, x, y, *, but=()):
    """Compare every plane of the heatmap with brute force; those in `but` are empty."""
    data = np.asarray(stack.data)
    window = reference_window(data)
    query = reference_embeddings(data[picked], *window)[y // PATCH, x // PATCH]
    shown = over_image(stack, session.heatmaps[stack])
    assert shown.shape == data.shape
    for at in np.ndindex(data.shape[:-2]):
        if at in but:
            assert np.isnan(shown[at]).all()
        else:
            cosine = reference_embeddings(data[at], *window) @ query
            np.testing.assert_allclose(
                shown[at], over_pixels(cosine, data.shape[-2:]), atol=1e-4, err_msg=str(at)
            )


def watch(room, class_name):
    """Return a list that grows by the position of every plane a message tells of."""
    seen, tell = [], room._notify

    def notify(message):
        if isinstance(message, class_name):
            told = message.maps if isinstance(message, Answered) else [message]
            seen.extend(one.plane.indices for one in told)
        tell(message)

    room._notify = notify
    return seen


def move_by(session, dy, dx):
    session.queries.data = session.queries.data + np.array([0, dy, dx])


@pytest.fixture
def session(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    session.all_planes = True
    yield session
    session.close()


@pytest.fixture
def stepper():
    return Stepper()


@pytest.fixture
def threaded(viewer, stepper):
    session = SimilaritySession(viewer, backbone=stepper, runner=ThreadRunner())
    session.all_planes = True
    yield session
    stepper.allowed.release(1000)
    session.close()


def test_the_last_line_counts_planes(threaded, stepper, viewer, rng):
    stack = stack_of(viewer, (4, 20, 20), rng)
    viewer.add_image(rng.normal(size=(20, 20)), name="flat", translate=(0, 30))
    lines = []
    threaded.status_changed.connect(lines.append)
    threaded.add_query(stack, 5, 5)
    deliver_until(threaded, lambda: "Working: 0 of 5 planes embedded." in lines)
    for done in (1, 2, 3, 4):
        stepper.allowed.release()
        line = f"Working: {done} of 5 planes embedded."
        deliver_until(threaded, lambda line=line: threaded.status == line)
    stepper.allowed.release(1000)
    threaded.wait(PATIENCE)
    assert threaded.status == "2 heatmaps for 1 point."
    lines.clear()
    threaded.add_query(stack, 15, 15)
    threaded.wait(PATIENCE)
    assert any(line.endswith("of 5 planes answered.") for line in lines)


def test_flat_images_are_counted_as_images(threaded, stepper, viewer, rng):
    image = viewer.add_image(rng.normal(size=(20, 20)), name="flat")
    threaded.add_query(image, 5, 5)
    deliver_until(threaded, lambda: threaded.status == "Working: 0 of 1 image embedded.")


# -- every plane is right -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "scale", "at"),
    [((5, 40, 70), (3, 0.5, 0.5), (3,)), ((2, 3, 33, 40), (10, 4, 0.5, 0.5), (1, 2))],
)
def test_a_click_on_one_plane_answers_on_all_of_them(session, viewer, rng, shape, scale, at):
    stack = stack_of(viewer, shape, rng, scale=scale, translate=scale)
    viewer.dims.set_current_step(range(len(at)), at)
    session.add_query(stack, 35, 20)
    check_every_plane(session, stack, at, 35, 20)


def test_flat_images_beside_a_stack_are_answered_as_ever(session, viewer, rng):
    flat = viewer.add_image(rng.normal(size=(40, 40)), name="flat")
    session.add_query(flat, 5, 5)
    assert set(session.heatmaps) == {flat}
    stack = stack_of(viewer, (3, 40, 40), rng, translate=(0, 0, 50))
    assert set(session.heatmaps) == {flat, stack}
    assert np.isfinite(session.heatmaps[stack].data).all()
    session.embed()
    assert set(session.heatmaps) == {flat, stack}


def test_in_the_3d_view_the_volume_is_complete(session, viewer, rng):
    stack = stack_of(viewer, (4, 40, 40), rng)
    session.add_query(stack, 5, 5)
    viewer.dims.ndisplay = 3
    check_every_plane(session, stack, (viewer.dims.current_step[0],), 5, 5)
    viewer.dims.ndisplay = 2
    check_every_plane(session, stack, (viewer.dims.current_step[0],), 5, 5)


def test_rolled_axes_are_answered_along_the_axis_that_is_hidden(session, viewer, rng):
    stack = stack_of(viewer, (20, 6, 40), rng, scale=(3, 1, 1))
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 4)
    session.add_query(stack, 33, 18)
    data = stack.data
    window = reference_window(data)
    query = reference_embeddings(data[:, 4], *window)[18 // PATCH, 33 // PATCH]
    shown = over_image(stack, session.heatmaps[stack])
    for at in range(6):
        cosine = reference_embeddings(data[:, at], *window) @ query
        np.testing.assert_allclose(shown[:, at], over_pixels(cosine, (20, 40)), atol=1e-4)


def test_a_multiscale_stack_is_searched_at_the_level_that_fits(session, viewer, rng, monkeypatch):
    monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", 40 * 40)
    full = rng.integers(0, 60000, (3, 64, 80)).astype(np.uint16)
    half = full[:, ::2, ::2].copy()
    stack = viewer.add_image([full, half], multiscale=True, contrast_limits=(0, 60000))
    viewer.dims.set_current_step(0, 1)
    session.add_query(stack, 70, 60)
    window = reference_window(half)
    query = reference_embeddings(half[1], *window)[30 // PATCH, 35 // PATCH]
    shown = over_image(stack, session.heatmaps[stack])
    assert shown.shape == full.shape
    for at in range(3):
        cosine = reference_embeddings(half[at], *window) @ query
        np.testing.assert_allclose(shown[at], over_pixels(cosine, (64, 80), 32), atol=1e-4)


def test_a_plane_that_cannot_be_read_leaves_the_others_their_answers(session, viewer, rng):
    data = rng.integers(0, 60000, (5, 40, 40)).astype(np.uint16)

    def block(part, block_info=None):
        if block_info[0]["chunk-location"][0] == 4:
            raise OSError("bad sector")
        return part

    lazy = da.from_array(data, chunks=(1, 40, 40)).map_blocks(block, dtype=data.dtype)
    stack = viewer.add_image(lazy, contrast_limits=(0, 60000), name="stack")
    viewer.dims.set_current_step(0, 0)
    failures = []
    session.failed.connect(failures.append)
    session.add_query(stack, 5, 5)
    shown = over_image(stack, session.heatmaps[stack])
    assert [z for z in range(5) if np.isnan(shown[z]).all()] == [4]
    assert np.isfinite(shown[:4]).all()
    assert len(failures) == 1
    assert not session.busy


# -- what comes first ---------------------------------------------------------------------------


def test_the_nearest_planes_come_first(session, viewer, rng):
    stack = stack_of(viewer, (7, 40, 40), rng)
    viewer.dims.set_current_step(0, 2)
    embedded = watch(session._coordinator.embedder, PlaneEmbedded)
    session.add_query(stack, 5, 5)
    distances = [abs(z - 2) for (z,) in embedded]
    assert sorted(z for (z,) in embedded) == list(range(7))
    assert distances == sorted(distances)


def test_nearest_counts_steps_along_every_slider(session, viewer, rng):
    stack = stack_of(viewer, (4, 5, 20, 20), rng)
    viewer.dims.set_current_step((0, 1), (3, 1))
    embedded = watch(session._coordinator.embedder, PlaneEmbedded)
    session.add_query(stack, 5, 5)
    distances = [max(abs(t - 3), abs(z - 1)) for t, z in embedded]
    assert len(set(embedded)) == 20
    assert distances == sorted(distances)


def test_a_slider_that_moves_changes_the_order_and_loses_nothing(threaded, viewer, rng, stepper):
    stack = stack_of(viewer, (9, 40, 40), rng)
    viewer.dims.set_current_step(0, 0)
    embedded = watch(threaded._coordinator.embedder, PlaneEmbedded)
    threaded.add_query(stack, 5, 5)
    stepper.allowed.release(2)
    deliver_until(threaded, lambda: len(embedded) == 2)
    viewer.dims.set_current_step(0, 8)
    stepper.allowed.release(2)
    deliver_until(threaded, lambda: len(embedded) == 4)
    # One plane was on its way when the slider moved; the one that is seen is the next.
    assert (8,) in embedded[2:4]
    assert embedded[:2] == [(0,), (1,)]
    stepper.allowed.release(100)
    threaded.wait(PATIENCE)
    assert sorted(embedded) == [(z,) for z in range(9)], "each once"
    rest = [abs(z - 8) for (z,) in embedded[4:]]
    assert rest == sorted(rest)
    check_every_plane(threaded, stack, (0,), 5, 5)


@pytest.fixture
def answering(monkeypatch):
    """Planes are answered as far as a test allows, and each of them is told at once."""
    monkeypatch.setattr(answer_job, "PAUSE", 0.0)
    return StepwiseAnswers(monkeypatch)


def test_the_plane_that_is_seen_is_answered_before_those_that_wait(
    threaded, viewer, rng, stepper, answering
):
    stepper.allowed.release(1000)
    stack = stack_of(viewer, (30, 20, 20), rng)
    viewer.dims.set_current_step(0, 0)
    threaded.add_query(stack, 5, 5)
    threaded.wait(PATIENCE)
    answering.hold()
    answered = watch(threaded._coordinator.answers, Answered)
    threaded.add_query(stack, 18, 18)
    answering.allow(4)
    deliver_until(threaded, lambda: len(answered) == 4)
    assert answered[0] == (0,)
    viewer.dims.set_current_step(0, 29)
    answering.allow(2)  # the plane that is on its way, and that which is seen
    deliver_until(threaded, lambda: len(answered) == 6 or (29,) in answered)
    assert (29,) in answered
    answering.let_go()
    threaded.wait(PATIENCE)
    assert {z for (z,) in answered} == set(range(30))
    assert np.isfinite(over_image(stack, threaded.heatmaps[stack])).all()


def test_hidden_planes_are_given_up_at_once_for_another_question(
    threaded, viewer, rng, stepper, answering
):
    stepper.allowed.release(1000)
    stack = stack_of(viewer, (40, 20, 20), rng)
    viewer.dims.set_current_step(0, 0)
    threaded.add_query(stack, 5, 5)
    threaded.wait(PATIENCE)
    answering.hold()
    answered = watch(threaded._coordinator.answers, Answered)
    threaded.add_query(stack, 18, 18)
    answering.allow(3)
    deliver_until(threaded, lambda: len(answered) == 3)
    begun, question = answering.begun, threaded._coordinator.answers.question
    threaded.add_query(stack, 10, 18)
    answering.allow(2)  # the plane that is on its way, and that which is seen
    deliver_until(
        threaded,
        lambda: threaded._coordinator.answers.question != question and answered[-1] == (0,),
    )
    assert answering.begun <= begun + 3, "40 planes wait"
    answering.let_go()


# -- again, no more, and in the middle ----------------------------------------------------------


def test_a_second_click_is_answered_on_all_planes_from_the_store(session, viewer, rng, backbone):
    stack = stack_of(viewer, (5, 40, 40), rng)
    viewer.dims.set_current_step(0, 2)
    session.add_query(stack, 5, 5)
    calls = backbone.calls
    move_by(session, 30, 25)
    check_every_plane(session, stack, (2,), 30, 35)
    assert backbone.calls == calls == 5


def test_all_planes_off_keeps_what_is_answered_and_on_again_asks_for_nothing(
    session, viewer, rng, backbone
):
    stack = stack_of(viewer, (5, 40, 40), rng)
    viewer.dims.set_current_step(0, 2)
    session.add_query(stack, 5, 5)
    session.all_planes = False
    check_every_plane(session, stack, (2,), 5, 5)
    move_by(session, 30, 25)
    check_every_plane(session, stack, (2,), 30, 35, but=[(0,), (1,), (3,), (4,)])
    session.all_planes = True
    check_every_plane(session, stack, (2,), 30, 35)
    assert backbone.calls == 5


def test_all_planes_off_in_the_middle_stops_after_the_plane_at_hand(
    threaded, viewer, rng, stepper
):
    stack = stack_of(viewer, (6, 40, 40), rng)
    viewer.dims.set_current_step(0, 0)
    threaded.add_query(stack, 5, 5)
    stepper.allowed.release(2)
    deliver_until(threaded, lambda: stepper.calls == 2)
    threaded.all_planes = False
    stepper.allowed.release(100)
    threaded.wait(PATIENCE)
    assert stepper.calls <= 3
    assert set(threaded.heatmaps) == {stack}
    threaded.all_planes = True
    threaded.wait(PATIENCE)
    check_every_plane(threaded, stack, (0,), 5, 5)
    assert stepper.calls == 6


def test_a_cancel_in_the_middle_keeps_what_is_done_and_a_click_goes_on(
    threaded, viewer, rng, stepper
):
    stack = stack_of(viewer, (6, 40, 40), rng)
    viewer.dims.set_current_step(0, 0)
    embedded = watch(threaded._coordinator.embedder, PlaneEmbedded)
    threaded.add_query(stack, 5, 5)
    stepper.allowed.release(3)
    deliver_until(threaded, lambda: len(embedded) == 3)
    threaded.cancel()
    stepper.allowed.release(100)
    threaded.wait(PATIENCE)
    assert len(embedded) <= 4
    done = {z for (z,) in embedded}
    shown = over_image(stack, threaded.heatmaps[stack])
    assert {z for z in range(6) if np.isfinite(shown[z]).all()} == done
    move_by(threaded, 30, 25)
    threaded.wait(PATIENCE)
    check_every_plane(threaded, stack, (0,), 30, 35)
    assert stepper.calls <= 6 + 1, "but for the plane that was cancelled, each once"


# -- with no room for embeddings ----------------------------------------------------------------


@pytest.fixture
def poor(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner(), memory_budget=0)
    session.all_planes = True
    yield session
    session.close()


def test_without_room_every_plane_is_embedded_once_a_question(poor, viewer, rng, backbone):
    stack = stack_of(viewer, (6, 40, 40), rng)
    viewer.dims.set_current_step(0, 2)
    poor.add_query(stack, 5, 5)
    check_every_plane(poor, stack, (2,), 5, 5)
    assert backbone.calls == 6
    move_by(poor, 30, 25)
    check_every_plane(poor, stack, (2,), 30, 35)
    assert backbone.calls == 6 + 5, "the plane that is seen was kept"
    assert not poor.busy


def test_without_room_a_slider_that_moves_over_answered_planes_embeds_nothing(
    poor, viewer, rng, backbone
):
    stack = stack_of(viewer, (6, 40, 40), rng)
    viewer.dims.set_current_step(0, 2)
    poor.add_query(stack, 5, 5)
    for step in (0, 5, 1, 3):
        viewer.dims.set_current_step(0, step)
        check_every_plane(poor, stack, (2,), 5, 5)
    assert backbone.calls == 6
    move_by(poor, 30, 25)
    check_every_plane(poor, stack, (2,), 30, 35)


def test_embed_holds_no_more_planes_than_there_is_room_for(poor, viewer, rng, backbone):
    stack_of(viewer, (6, 40, 40), rng)
    poor.embed()
    assert backbone.calls == 6
    assert len(poor._coordinator.embedder._record.states) == 1, "only the plane that is seen"


def test_without_room_a_plane_let_go_is_embedded_again_before_those_that_wait(
    viewer, rng, stepper
):
    session = SimilaritySession(viewer, backbone=stepper, runner=ThreadRunner(), memory_budget=0)
    session.all_planes = True
    stack = stack_of(viewer, (12, 40, 40), rng)
    viewer.dims.set_current_step(0, 0)
    embedded = watch(session._coordinator.embedder, PlaneEmbedded)
    session.add_query(stack, 5, 5)
    stepper.allowed.release(4)
    deliver_until(session, lambda: len(embedded) == 4 and not session._coordinator.answers.pending)
    viewer.dims.set_current_step(0, 1)
    move_by(session, 30, 25)
    stepper.allowed.release(2)
    deliver_until(session, lambda: len(embedded) == 6)
    assert (1,) in embedded[4:], "the plane that is seen does not wait for ten others"
    stepper.allowed.release(100)
    session.wait(PATIENCE)
    check_every_plane(session, stack, (0,), 30, 35)
    session.close()


def test_a_class_without_positives_leaves_at_the_first_answer_not_at_the_last(
    threaded, viewer, rng, stepper
):
    stack = stack_of(viewer, (6, 40, 40), rng)
    viewer.dims.set_current_step(0, 0)
    stepper.allowed.release(1)
    threaded.add_query(stack, 5, 5, class_name="cell")
    threaded.add_query(stack, 35, 35, class_name="debris")
    deliver_until(threaded, lambda: stack in threaded.class_maps)
    threaded.queries.selected_data = {1}
    threaded.queries.remove_selected()
    deliver_until(threaded, lambda: not threaded.heatmaps_of("debris"))
    assert threaded.busy, "hidden planes are still embedded"
    assert set(threaded.heatmaps_of("cell")) == {stack}
    assert threaded.class_maps == {}


class Late(ThreadRunner):
    """Calls back after the messages that are there, as an event loop may."""

    def __init__(self) -> None:
        super().__init__()
        self.later = []

    def call_soon(self, callback):
        if callback not in self.later:
            self.later.append(callback)

    def deliver(self, timeout=0.0):
        delivered = super().deliver(timeout)
        due, self.later = self.later, []
        for callback in due:
            callback()
        return delivered or bool(due)


def test_what_an_earlier_recipe_embedded_is_not_used_by_the_next(viewer, rng, backbone):
    runner = Late()
    session = SimilaritySession(viewer, backbone=backbone, runner=runner)
    image = viewer.add_image(rng.normal(size=(40, 40)))
    runner.deliver()
    session.add_query(image, 5, 5)
    runner.deliver()
    # Its state is on the way when another recipe is chosen.
    runner._lanes["embed"].submit(int).result(PATIENCE)
    session.recipe = Recipe(factor=2.0)
    runner.deliver()
    session.wait(PATIENCE)
    window = reference_window(image.data)
    embeddings = reference_embeddings(image.data, *window, factor=2.0)
    np.testing.assert_allclose(
        over_image(image, session.heatmaps[image]),
        over_pixels(embeddings @ embeddings[0, 0], (40, 40), PATCH // 2),
        atol=1e-4,
    )
    session.close()


def test_a_stack_longer_than_what_is_dealt_with_at_a_time_is_answered_to_its_end(
    session, viewer, rng, monkeypatch
):
    monkeypatch.setattr(inquiry, "AHEAD", 3)
    data = rng.integers(0, 60000, (14, 40, 40)).astype(np.uint16)

    def block(part, block_info=None):
        if block_info[0]["chunk-location"][0] in (3, 4, 5, 8, 9):
            raise OSError("bad sector")
        return part

    lazy = da.from_array(data, chunks=(1, 40, 40)).map_blocks(block, dtype=data.dtype)
    stack = viewer.add_image(lazy, contrast_limits=(0, 60000), name="stack")
    viewer.dims.set_current_step(0, 6)
    session.add_query(stack, 5, 5)
    shown = over_image(stack, session.heatmaps[stack])
    assert [z for z in range(14) if np.isnan(shown[z]).all()] == [3, 4, 5, 8, 9]


def test_a_cancel_stops_also_what_was_not_in_line_yet(threaded, viewer, rng, stepper, monkeypatch):
    monkeypatch.setattr(inquiry, "AHEAD", 2)
    stack = stack_of(viewer, (10, 40, 40), rng)
    viewer.dims.set_current_step(0, 0)
    embedded = watch(threaded._coordinator.embedder, PlaneEmbedded)
    threaded.add_query(stack, 5, 5)
    stepper.allowed.release(3)
    deliver_until(threaded, lambda: len(embedded) == 3)
    threaded.cancel()
    stepper.allowed.release(100)
    threaded.wait(PATIENCE)
    assert len(embedded) <= 4
    move_by(threaded, 30, 25)
    threaded.wait(PATIENCE)
    check_every_plane(threaded, stack, (0,), 30, 35)
    assert stepper.calls <= 10 + 1, "but for the plane that was cancelled, each once"


def test_who_wants_all_planes_after_a_cancel_gets_them(session, viewer, rng):
    session.all_planes = False
    stack = stack_of(viewer, (3, 48, 64), rng)
    viewer.dims.set_current_step(0, 0)
    session.add_query(stack, 20, 30)
    session.cancel()
    session.all_planes = True
    check_every_plane(session, stack, (0,), 20, 30)


def test_contours_of_two_classes_follow_the_slider(session, viewer, rng):
    """The objects of a plane out of sight are known, but not the lines around them."""
    stack = stack_of(viewer, (3, 48, 64), rng)
    viewer.dims.set_current_step(0, 0)
    session.add_query(stack, 20, 30, class_name="cell")
    session.add_query(stack, 50, 10, class_name="gap")
    for step in (2, 0):  # there is something of both or of one
        viewer.dims.set_current_step(0, step)
        contours = next(layer for layer in viewer.layers if mark_of(layer, "contour"))
        assert len(contours.data)
        assert set(contours.data[:, 0, 0]) == {step}
