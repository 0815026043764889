"""What a job has done is not done again, and what it has not done is not forgotten."""

from __future__ import annotations

from types import SimpleNamespace

from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.session.embedding.embed_job import PlaneQueue
from napari_dinov3_sim.session.embedding.embedder import Embedder
from napari_dinov3_sim.session.runner import CancelToken
from napari_dinov3_sim.session.worker_messages import Failure
from napari_dinov3_sim.store import EmbeddingStore, MemoryStore

A, B, C = (SimpleNamespace(key=name) for name in "abc")


def test_a_running_job_takes_other_planes():
    queue = PlaneQueue([A, B])
    assert queue.take() is A
    assert queue.replace([A, C]) == ()
    assert (queue.take(), queue.take()) == (C, None)


def test_another_job_gets_what_a_finished_one_cannot_take_and_not_what_it_has_done():
    """Its message may be on the way: embedding it once more would read all its pixels again."""
    queue = PlaneQueue([A, B])
    assert (queue.take(), queue.take(), queue.take()) == (A, B, None)
    queue.release("a")  # its message came; it may have been lost since
    assert queue.replace([B]) == ()
    assert queue.replace([A, B, C]) == (A, C)


def test_another_job_gets_what_a_stray_one_leaves():
    queue = PlaneQueue([A, B, C])
    assert (queue.take(), queue.take()) == (A, B)
    assert queue.replace([A, C]) == (C,)


def test_what_an_earlier_job_has_done_stays_done_until_its_message_comes():
    queue = PlaneQueue([A, B])
    assert (queue.take(), queue.take(), queue.take()) == (A, B, None)
    queue.release("a")
    following = PlaneQueue(queue.replace([A, B, C]), queue.done)
    assert following.replace([B, C, A]) == ()
    assert (following.take(), following.take(), following.take()) == (C, A, None)
    following.release("b")
    assert following.replace([B]) == (B,)


def test_what_is_being_embedded_or_has_failed_is_not_done():
    queue = PlaneQueue([A, B, C])
    queue.take()
    queue.fail("a")
    assert (queue.take(), queue.take()) == (B, C)
    assert queue.done == {"b"}


def test_what_failed_is_tried_again_by_another_job():
    """The message of the failure is not read once the job is not the present one."""
    queue = PlaneQueue([A])
    queue.take()
    queue.fail("a")
    assert queue.take() is None
    assert queue.replace([A]) == (), "the message is on the way"
    assert queue.replace([A, B]) == (A, B)


def test_what_failed_and_was_told_can_be_asked_for_again():
    queue = PlaneQueue([A, B])
    queue.take()
    queue.fail("a")
    queue.take()
    queue.release("a")
    assert queue.replace([B, A]) == ()
    assert (queue.take(), queue.take()) == (A, None)


class Hand:
    """A runner whose jobs the test does."""

    def __init__(self):
        self.jobs = []

    def submit(self, lane, job, receive):
        if lane == "embed":
            self.jobs.append((job.queue, receive))
        return CancelToken()


def test_a_late_message_of_a_failure_does_not_release_the_plane_of_the_next_job():
    hand = Hand()
    store = EmbeddingStore(MemoryStore(1), None)
    embedder = Embedder(hand, lambda *_: None, store, Recipe(), lambda message: None)
    embedder.set_model("any")
    embedder.request([A])
    queue, receive = hand.jobs[0]
    queue.take()
    queue.fail("a")
    assert queue.take() is None
    embedder.request([A, B])
    following, _ = hand.jobs[1]
    assert following.take() is A
    receive(Failure("plane", "It cannot be read.", "a"))
    embedder.request([A, B])
    assert (following.take(), following.take()) == (B, None)
