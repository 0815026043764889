"""What a job has done is not done again, and what it has not done is not forgotten."""

from __future__ import annotations

from types import SimpleNamespace

from napari_dinov3_sim.session.embedding.embed_job import PlaneQueue

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
