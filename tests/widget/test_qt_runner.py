"""Delivery by Qt's event loop: on the main thread, in order, a few at a time."""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication

from napari_dinov3_sim.session.worker_messages import Failure, Finished, Progress
from napari_dinov3_sim.widget import qt_runner as module
from napari_dinov3_sim.widget.qt_runner import QtRunner, runner_for_running_application
from patience import PATIENCE, wait_until


@pytest.fixture
def runner(qapp):
    runner = QtRunner()
    yield runner
    runner.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def steps(number):
    def job(post, token):
        for done in range(number):
            post(Progress("step", done, number))

    return job


def test_messages_arrive_in_order_on_the_main_thread(qtbot, runner):
    got = []
    runner.submit("embed", steps(50), lambda m: got.append((m, threading.current_thread())))
    qtbot.waitUntil(lambda: len(got) == 51)
    assert {thread for _, thread in got} == {threading.main_thread()}
    assert [m.done for m, _ in got[:-1]] == list(range(50))
    assert got[-1][0] == Finished()


def test_an_error_in_a_job_arrives_as_a_value(qtbot, runner):
    got = []

    def job(post, token):
        raise ZeroDivisionError("by zero")

    runner.submit("answer", job, got.append)
    qtbot.waitUntil(lambda: len(got) == 2)
    assert isinstance(got[0], Failure)
    assert "ZeroDivisionError" in got[0].message


def test_deliver_waits_without_an_event_loop(runner):
    got = []
    runner.submit("embed", steps(3), got.append)
    wait_until(lambda: len(got) == 4, lambda: runner.deliver(PATIENCE))


def test_the_same_callback_is_called_once_and_later(qtbot, runner):
    calls = []

    class Session:
        def refresh(self):
            calls.append(1)

    session = Session()
    for _ in range(5):
        runner.call_soon(session.refresh)
    assert calls == []
    qtbot.waitUntil(lambda: bool(calls))
    qtbot.let_pass()
    assert calls == [1]


def test_a_callback_that_asks_again_is_called_again(qtbot, runner):
    calls = []

    def again():
        calls.append(1)
        if len(calls) < 3:
            runner.call_soon(again)

    runner.call_soon(again)
    qtbot.waitUntil(lambda: len(calls) == 3)


def test_a_long_queue_lets_qt_go_on_in_between(qtbot, runner, monkeypatch):
    got, turns, clock = [], [], [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def receive(message):
        got.append(message)
        clock[0] += 2 * module.TURN

    original = runner._run_until
    monkeypatch.setattr(runner, "_run_until", lambda d: (turns.append(len(got)), original(d)))
    runner.submit("embed", steps(20), receive)
    qtbot.waitUntil(lambda: len(got) == 21)
    assert len(turns) >= 21


def test_handling_that_runs_the_event_loop_gets_no_message_in_its_middle(qtbot, runner):
    inside, got, sent = [], [], threading.Event()

    def job(post, token):
        steps(5)(post, token)
        sent.set()

    def receive(message):
        inside.append(1)
        assert len(inside) == 1
        assert sent.wait(PATIENCE)
        QApplication.processEvents()
        inside.pop()
        got.append(message)

    runner.submit("embed", job, receive)
    qtbot.waitUntil(lambda: len(got) == 6)
    assert [m.done for m in got[:-1]] == list(range(5))


def test_an_error_while_handling_does_not_stop_what_follows(qtbot, runner):
    got = []

    def receive(message):
        got.append(message)
        if len(got) == 1:
            raise RuntimeError("in a handler")

    with qtbot.captureExceptions() as errors:
        runner.submit("embed", steps(2), receive)
        qtbot.waitUntil(lambda: len(got) == 3)
    assert [str(error) for _, error, _ in errors] == ["in a handler"]


def test_nothing_is_delivered_after_close(qtbot, runner):
    got, gate, ended = [], threading.Event(), threading.Event()

    def job(post, token):
        assert gate.wait(PATIENCE)
        for _ in range(100):
            post(Progress("late", 0, 0))
        ended.set()

    token = runner.submit("embed", job, got.append)
    runner.call_soon(lambda: got.append("called"))
    runner.close()
    gate.set()
    assert ended.wait(PATIENCE)
    qtbot.let_pass()
    assert token.cancelled
    assert got == []


def test_a_worker_survives_the_deletion_of_the_bridge(qtbot, runner):
    gate, ended = threading.Event(), threading.Event()

    def job(post, token):
        assert gate.wait(PATIENCE)
        post(Progress("late", 0, 0))
        ended.set()

    runner.submit("embed", job, lambda message: None)
    runner._bridge.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gate.set()
    assert ended.wait(PATIENCE)


def test_a_closed_runner_takes_no_job(runner):
    runner.close()
    assert not runner.submit("embed", steps(1), lambda message: None).cancelled
    assert not runner.deliver()


@pytest.mark.slow
def test_the_application_does_not_keep_a_runner(qapp):
    runner = QtRunner()
    reference = weakref.ref(runner)
    runner.close()
    del runner
    gc.collect()
    assert reference() is None


def test_quitting_cancels(runner, qapp):
    gate = threading.Event()
    token = runner.submit("embed", lambda post, token: gate.wait(PATIENCE), lambda message: None)
    qapp.aboutToQuit.emit()
    assert token.cancelled
    gate.set()


def test_a_runner_is_found_on_the_main_thread_only(qapp):
    found = []
    thread = threading.Thread(target=lambda: found.append(runner_for_running_application()))
    thread.start()
    thread.join()
    assert found == [None]
    runner = runner_for_running_application()
    assert isinstance(runner, QtRunner)
    runner.close()


def test_there_is_none_without_an_application(monkeypatch):
    monkeypatch.setattr(module.QApplication, "instance", staticmethod(lambda: None))
    assert runner_for_running_application() is None
