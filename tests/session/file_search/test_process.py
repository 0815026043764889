"""The process of a search: heard, ended, never left behind; here with small programs for it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.file_search import process
from napari_dinov3_sim.session.file_search.file_search import FileSearch
from napari_dinov3_sim.session.file_search.record import SearchFolder, SearchRecord, write_list
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE, wait_until

BEGIN = """
import json, signal, sys, threading

def tell(event, **about):
    print(json.dumps({"event": event, **about}), flush=True)

tell("start", files=2, planes=2)
tell("plane", image="0.npy", plane="0.npy", done=0, planes=2)
"""

END = """
tell("done", image="0.npy", stored=False)
tell("end", files=2, failed=[], objects={"cell": 3}, folder="out")
"""

WAIT = """
with open("ready", "w") as file:
    pass
threading.Event().wait()
"""


@pytest.fixture
def session(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    yield session
    session.close()
    for thread in threading.enumerate():
        if thread.name.startswith("napari-dinov3-sim"):
            thread.join(PATIENCE)


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A folder that holds a search of two images which was stopped."""
    monkeypatch.chdir(tmp_path)
    np.save("0.npy", np.zeros((8, 8)))
    folder = SearchFolder(tmp_path / "out")
    write_list([tmp_path / "0.npy", tmp_path / "1.npy"], folder)
    SearchRecord(("--option",), 2).write(folder)
    return folder.path


@pytest.fixture
def program(monkeypatch):
    """Have another program run in place of the search; return what it is started with."""
    commands, processes = [], []
    real = process.subprocess.Popen

    def use(*parts):
        source = textwrap.dedent("".join((BEGIN, *parts)))

        def start(command, **options):
            commands.append(command)
            processes.append(real([sys.executable, "-c", source], **options))
            return processes[-1]

        monkeypatch.setattr(process.subprocess, "Popen", start)
        return commands, processes

    return use


def test_it_is_heard_until_its_end(session, out, program):
    commands, (processes) = program(END)
    states = []
    session.file_search.changed.connect(states.append)
    session.file_search.resume(out)
    session.wait(PATIENCE)
    assert states[0].phase == "starting"
    assert states[-1].sentence == "2 images are searched: 3 objects of cell."
    assert states[-1].folder == out
    assert processes[0].returncode == 0
    (command,) = commands
    assert command[:5] == [sys.executable, "-P", "-X", "utf8", "-m"]
    assert command[5:7] == ["napari_dinov3_sim", "search"]
    assert command[-1] == "--option"
    assert all(Path(word).is_absolute() for word in command if str(out) in word)
    assert session.file_search.record(out).finished


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("", "Its process ended with code 2."),
        ("print('Segmentation', file=sys.stderr)\n", "Segmentation"),
        (
            "print('napari-dinov3-sim: note: x', file=sys.stderr)\n"
            "print('napari-dinov3-sim: error: out cannot be written (No space left on device); "
            "free some space or choose another folder with --out.', file=sys.stderr)\n",
            "out cannot be written (No space left on device); free some space or choose another "
            "folder.",
        ),
    ],
    ids=["nothing", "anything", "an error"],
)
def test_one_that_ends_too_early_is_told(session, out, program, says, message):
    program(says, "sys.exit(2)")
    session.file_search.resume(out)
    with pytest.raises(SimilarityError) as error:
        session.wait(PATIENCE)
    assert str(error.value) == message
    state = session.file_search.state
    assert (state.phase, state.sentence, state.current) == ("failed", message, "0.npy")
    assert not session.file_search.record(out).finished


def test_what_is_no_event_is_passed_over(session, out, program):
    noise = r"""
    sys.stdout.buffer.write(b"caf\xe9 \xff\n[1, 2]\n{\"event\": \"done\"}\n{\"event\": 3}\n\n")
    sys.stdout.flush()
    sys.stderr.write("x" * 10**6 + "\n")
    """
    program(textwrap.dedent(noise), END)
    session.file_search.resume(out)
    session.wait(PATIENCE)
    assert session.file_search.state.objects == {"cell": 3}


def is_over(processes):
    """Whether a process has ended and was waited for, so that none is left behind."""
    return processes[0].returncode is not None


@pytest.mark.parametrize("stubborn", [False, True])
def test_cancelling_ends_it(session, out, program, monkeypatch, stubborn):
    monkeypatch.setattr(process, "PATIENCE", 0.3)
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    ignore += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    _, processes = program(ignore * stubborn, WAIT)
    phases = []
    session.file_search.changed.connect(lambda state: phases.append(state.phase))
    session.file_search.resume(out)
    wait_until((out.parent / "ready").exists)
    session.file_search.cancel()
    session.wait(PATIENCE)
    assert is_over(processes)
    assert (phases[-2:], session.busy) == (["stopping", "stopped"], False)
    assert "Resume goes on with the rest" in session.file_search.state.sentence


def test_closing_the_session_ends_it(session, out, program):
    _, processes = program(WAIT)
    session.file_search.resume(out)
    wait_until((out.parent / "ready").exists)
    session.close()
    for thread in threading.enumerate():
        if thread.name.startswith("napari-dinov3-sim"):
            thread.join(PATIENCE)
    assert is_over(processes)


def test_only_one_runs_at_a_time(session, out, program):
    program(WAIT)
    session.file_search.resume(out)
    with pytest.raises(SimilarityError, match="runs already"):
        session.file_search.resume(out)
    session.file_search.cancel()
    session.wait(PATIENCE)


def test_there_must_be_something_to_resume(session, tmp_path):
    session.file_search.resume(tmp_path / "nothing")
    with pytest.raises(SimilarityError, match="holds no search that could go on"):
        session.wait(PATIENCE)
    assert not (tmp_path / "nothing").exists()


def test_a_program_that_cannot_be_started_is_told(session, out, monkeypatch):
    monkeypatch.setattr(process.sys, "executable", str(out / "no python"))
    session.file_search.resume(out)
    with pytest.raises(SimilarityError, match="no python"):
        session.wait(PATIENCE)


def test_how_far_it_is_is_told_a_few_times_a_second(session, out, program):
    """Thousands of lines must not keep the window busy."""
    many = """
    for number in range(5000):
        tell("plane", image=f"{number}.npy", plane="x", done=number, planes=5000)
    """
    program(textwrap.dedent(many), END)
    states = []
    session.file_search.changed.connect(states.append)
    start = time.monotonic()
    session.file_search.resume(out)
    session.wait(PATIENCE)
    assert len(states) <= 4 + (time.monotonic() - start) / process.EVERY


def test_what_is_said_after_another_search_began_is_stale(session, out, program):
    program(END)
    session.file_search.resume(out)
    session.file_search.close()
    states = []
    session.file_search.changed.connect(states.append)
    session.wait(PATIENCE)
    assert states == []
    assert isinstance(session.file_search, FileSearch)


def test_what_it_says_is_utf8_whatever_the_computer_writes_in(tmp_path):
    """As on Windows, whose pipes have a code page; here with a locale that knows ASCII only."""
    folder = SearchFolder(tmp_path / "Ergebnisse für später")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment.pop("PYTHONIOENCODING", None)
    done = subprocess.run(
        process.search_command(folder, []), env=environment, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert str(folder.query) in done.stderr.decode("utf-8")
