"""Questions faster than answers: the newest wins, at the rate of the machine, with no queue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers.base import ActionType

from heatmap_values import over_image
from napari_dinov3_sim.core.search import combine
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.answering.answer_job import TargetPlane
from napari_dinov3_sim.session.answering.answers import Answers
from napari_dinov3_sim.session.runner import CancelToken, ThreadRunner
from napari_dinov3_sim.session.worker_messages import Answered, Finished
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore
from patience import PATIENCE, deliver_until

from ..brute_force import PATCH, over_pixels, reference_embeddings, reference_window
from .stepwise_answers import StepwiseAnswers

pytestmark = pytest.mark.slow


@pytest.fixture
def session(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    yield session
    session.close()


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(160, 160)), name="image")


@pytest.fixture
def answering(monkeypatch):
    return StepwiseAnswers(monkeypatch)


def own_map(image, y, x):
    embeddings = reference_embeddings(image.data, *reference_window(image.data))
    return over_pixels(embeddings @ embeddings[y // PATCH, x // PATCH], image.data.shape)


def drag(session, places, meanwhile=lambda number: None):
    """Move the first point as napari does in a drag; return how many questions ever waited."""
    points, waiting = session.queries, []
    for number, place in enumerate(places):
        points.data[0] = place
        points.refresh()
        session._runner.deliver()
        meanwhile(number)
        waiting.append(len(session._runner._tokens))
    points.events.data(
        value=points.data, action=ActionType.CHANGED, data_indices=(0,), vertex_indices=((),)
    )
    return waiting


def test_a_drag_is_answered_at_the_rate_of_the_machine(session, image, answering):
    session.add_query(image, 0, 0)
    session.wait(PATIENCE)
    answering.hold()
    shown = []
    session.answered.connect(lambda: shown.append(over_image(image, session.heatmaps[image])))

    def answer_one_in_ten(number):
        if number % 10 == 9:
            before = len(shown)
            answering.allow(1)
            deliver_until(session, lambda: len(shown) > before)

    places = [(n % 160, (3 * n) % 160) for n in range(200)]
    waiting = drag(session, places, answer_one_in_ten)
    answering.let_go()
    session.wait(PATIENCE)
    # An answer that has arrived and whose job is about to end, the next one, and the objects.
    assert max(waiting) <= 3, "no queue builds up"
    assert answering.begun <= 20 + 2, "the one that is on its way, and the last"
    np.testing.assert_allclose(shown[-1], own_map(image, 199 % 160, 597 % 160), atol=1e-4)
    np.testing.assert_array_equal(over_image(image, session.heatmaps[image]), shown[-1])


def test_moves_faster_than_any_answer_are_skipped_but_the_last_is_not(session, image, answering):
    session.add_query(image, 0, 0)
    session.wait(PATIENCE)
    answering.hold()
    drag(session, [(n % 160, n % 160) for n in range(100)])
    answering.let_go()
    session.wait(PATIENCE)
    assert answering.begun == 2
    np.testing.assert_allclose(
        over_image(image, session.heatmaps[image]), own_map(image, 99, 99), atol=1e-4
    )


def test_with_many_targets_every_one_of_them_answers_the_last_question(
    session, viewer, rng, answering
):
    images = [viewer.add_image(rng.normal(size=(40, 40)), translate=(0, 50 * n)) for n in range(6)]
    session.add_query(images[0], 0, 0)
    session.wait(PATIENCE)
    answering.hold()
    answered = []
    session.answered.connect(lambda: answered.append(1))

    def answer_one_in_twenty(number):
        if number % 20 == 10:
            before = len(answered)
            answering.allow(6)
            deliver_until(session, lambda: len(answered) > before)

    drag(session, [(n % 40, (3 * n) % 40) for n in range(60)], answer_one_in_twenty)
    answering.let_go()
    session.wait(PATIENCE)
    embeddings = [reference_embeddings(i.data, *reference_window(i.data)) for i in images]
    query = embeddings[0][(59 % 40) // PATCH, (177 % 40) // PATCH]
    for image, own in zip(images, embeddings, strict=True):
        np.testing.assert_allclose(
            over_image(image, session.heatmaps[image]),
            over_pixels(own @ query, (40, 40)),
            atol=1e-4,
        )


def test_a_point_dragged_out_of_every_image_takes_its_answer_along(session, image, answering):
    session.add_query(image, 0, 0)
    session.wait(PATIENCE)
    answering.hold()
    drag(session, [(n, n) for n in range(0, 400, 20)])
    answering.let_go()
    session.wait(PATIENCE)
    assert session.heatmaps == {}
    assert "1 point outside" in session.status


# -- what goes wrong ----------------------------------------------------------------------------


def test_an_answer_that_fails_is_told_once_and_not_asked_for_ever(session, image, monkeypatch):
    session.add_query(image, 0, 0)
    session.wait(PATIENCE)
    calls, failures = [], []
    session.failed.connect(failures.append)

    def broken(*arguments):
        calls.append(1)
        raise RuntimeError("no such kernel")

    good = combine.score_classes
    monkeypatch.setattr(combine, "score_classes", broken)
    session.add_query(image, 100, 100)
    with pytest.raises(Exception, match="no such kernel"):
        session.wait(PATIENCE)
    assert len(calls) == 1
    assert len(failures) == 1
    assert session.heatmaps == {}, "the last answer is to another question"
    session.add_query(image, 120, 100)
    with pytest.raises(Exception, match="no such kernel"):
        session.wait(PATIENCE)
    assert len(failures) == 1, "the same sentence is told once"
    monkeypatch.setattr(combine, "score_classes", good)
    session.queries.data = np.array([[30.0, 40.0]])
    session.wait(PATIENCE)
    np.testing.assert_allclose(
        over_image(image, session.heatmaps[image]), own_map(image, 30, 40), atol=1e-4
    )


def test_one_target_that_fails_leaves_the_others_their_answers(session, viewer, rng, monkeypatch):
    images = [
        viewer.add_image(rng.normal(size=(40, 40 + n)), translate=(0, 50 * n)) for n in range(3)
    ]
    score = combine.score_classes

    def broken(classes, state, combination):
        if state.image_shape == (40, 40):
            raise RuntimeError("this one is odd")
        return score(classes, state, combination)

    monkeypatch.setattr(combine, "score_classes", broken)
    session.add_query(images[1], 0, 0)
    with pytest.raises(Exception, match="this one is odd"):
        session.wait(PATIENCE)
    assert set(session.heatmaps) == set(images[1:])
    assert not session.busy


@pytest.fixture
def disk(tmp_path):
    return EmbeddingStore(MemoryStore(0), DiskStore(tmp_path / "store"))


def test_states_that_left_the_disk_are_embedded_again_and_answered(
    viewer, rng, backbone, disk, tmp_path
):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner(), store=disk)
    session.all_planes = True
    stack = viewer.add_image(rng.normal(size=(5, 40, 40)), name="stack")
    viewer.dims.set_current_step(0, 2)
    session.add_query(stack, 0, 0)
    session.wait(PATIENCE)
    assert backbone.calls == 5
    session.queries.data = session.queries.data + np.array([0, 20, 20])
    session.wait(PATIENCE)
    assert backbone.calls == 5, "read from the disk"
    for file in (tmp_path / "store").rglob("*.safetensors"):
        file.unlink()
    session.queries.data = session.queries.data + np.array([0, 15, 15])
    session.wait(PATIENCE)
    assert backbone.calls == 5 + 4, "all but the plane that is seen"
    window = reference_window(stack.data)
    query = reference_embeddings(stack.data[2], *window)[35 // PATCH, 35 // PATCH]
    shown = over_image(stack, session.heatmaps[stack])
    for z in range(5):
        cosine = reference_embeddings(stack.data[z], *window) @ query
        np.testing.assert_allclose(shown[z], over_pixels(cosine, (40, 40)), atol=1e-4)
    session.close()


def test_no_plane_out_of_sight_is_compared_twice_while_others_are_embedded(
    session, viewer, rng, backbone, answering
):
    session.all_planes = True
    stack = viewer.add_image(rng.normal(size=(12, 40, 40)), name="stack")
    viewer.dims.set_current_step(0, 6)
    answering.hold()
    session.add_query(stack, 0, 0)
    deliver_until(session, lambda: backbone.calls == 12)  # before anything is answered
    answering.let_go()
    session.wait(PATIENCE)
    assert answering.begun <= 12 + 1
    assert np.isfinite(over_image(stack, session.heatmaps[stack])).all()


def test_planes_that_wait_for_an_answer_are_not_held_if_the_disk_has_them(
    viewer, rng, backbone, disk, answering
):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner(), store=disk)
    session.all_planes = True
    stack = viewer.add_image(rng.normal(size=(12, 40, 40)), name="stack")
    viewer.dims.set_current_step(0, 6)
    held = []
    session.queried.connect(lambda: held.append(len(session._coordinator.embedder._record.states)))
    answering.hold()
    session.add_query(stack, 0, 0)
    deliver_until(session, lambda: backbone.calls == 12)
    answering.let_go()
    session.wait(PATIENCE)
    assert max(held) <= 2
    assert np.isfinite(over_image(stack, session.heatmaps[stack])).all()
    assert backbone.calls == 12
    session.close()


class Held:
    """A runner whose jobs run when the test says so, and whose messages wait for it."""

    def __init__(self):
        self.jobs = []

    def submit(self, lane, job, receive):
        self.jobs.append((job, receive))
        return CancelToken()


def held_answers(session, targets):
    """Answers of a job that is held, and the messages that have been seen."""
    question, runner, seen = session._coordinator.answers.question, Held(), []
    answers = Answers(runner, session._coordinator.embedder._store, seen.append)
    answers.ask(question, targets, {target.key.layer for target in targets})
    return answers, runner, seen


def planes_to_answer(session):
    """Every plane that is shown, of 32 × 32 pixels."""
    return tuple(
        TargetPlane(plane.key, session._coordinator.embedder.handle(plane.key), (32, 32), True)
        for plane in session._coordinator.targets.resolve().planes.values()
    )


@pytest.fixture
def three(session, viewer, rng):
    """Three images that were asked about."""
    for number in range(3):
        viewer.add_image(rng.normal(size=(32, 32)), translate=(0, 200 * number))
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    return planes_to_answer(session)


def test_an_image_that_comes_before_an_answer_costs_no_heatmap(session, three):
    """The job is begun again for the new image, and the answer of the first is on its way."""
    answers, runner, seen = held_answers(session, three[:1])
    job, receive = runner.jobs.pop()
    sent = []
    job(sent.append, CancelToken())
    answers.ask(answers.question, three, {target.key.layer for target in three})
    for message in sent:
        receive(message)
    job, receive = runner.jobs.pop()
    job(receive, CancelToken())
    shown = [ready.layer for message in seen for ready in message.layers]
    assert {layer.layer_id for layer in shown} == {target.key.layer_id for target in three}


def test_first_answers_come_one_by_one_and_later_ones_together(session, three):
    answers, runner, seen = held_answers(session, three)
    job, receive = runner.jobs.pop()
    job(receive, CancelToken())
    assert [len(message.layers) for message in seen] == [1, 1, 1, 0]
    assert [message.summary is None for message in seen] == [True, True, True, False]
    seen.clear()
    receive(Finished())
    other = replace(answers.question, combination="best")
    answers.ask(other, three, {target.key.layer for target in three})
    job, receive = runner.jobs.pop()
    job(receive, CancelToken())
    (message,) = seen[-1:]
    assert len(message.layers) == len(message.maps) == 3
    assert message.summary is not None
    assert sum(isinstance(one, Answered) for one in seen) == 1
