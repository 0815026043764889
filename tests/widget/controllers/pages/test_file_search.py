"""The panel that searches a folder or files; a small program takes the place of the search."""

from __future__ import annotations

import shlex
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractButton, QListView, QProgressBar

from napari_dinov3_sim.session.file_search import process, settings
from napari_dinov3_sim.session.file_search.outputs import DEFAULT_OUTPUTS, OUTPUTS
from napari_dinov3_sim.store.query_files import load_query

from ..actions import answer, press, tick

pytestmark = pytest.mark.slow

BEGIN = """
import json, sys, threading

def tell(event, **about):
    print(json.dumps({"event": event, **about}), flush=True)

tell("start", files=3, planes=3)
tell("plane", image="0.npy", plane="0.npy", done=0, planes=3)
tell("done", image="0.npy", stored=False)
tell("plane", image="1.npy", plane="1.npy", done=1, planes=3)
"""
END = 'tell("end", files=3, failed=[], objects={"class 1": 4}, folder="out")\n'
WAIT = "threading.Event().wait()\n"


@pytest.fixture
def dialogs(tmp_path):
    """Answers in the user's place."""
    found = SimpleNamespace(
        folder=str(tmp_path / "scans"), files=[], path="", sure=True, asked=[], opened=[]
    )
    found.ask_for_folder = lambda title: found.folder
    found.ask_for_files = lambda title: found.files
    found.ask_for_new_file = lambda *what: found.path
    found.open_folder = found.opened.append

    def confirm(*question):
        found.asked.append(question)
        return found.sure

    found.confirm = confirm
    return found


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"{number}.npy", np.zeros((32, 32)))
    return folder


@pytest.fixture
def program(monkeypatch):
    """Have another program run in place of the search."""
    commands, real = [], process.subprocess.Popen
    monkeypatch.setattr(settings, "_checked_model", lambda model: model)

    def use(rest):
        def start(command, **options):
            commands.append(command)
            source = textwrap.dedent(BEGIN + rest)
            return real([sys.executable, "-c", source], **options)

        monkeypatch.setattr(process.subprocess, "Popen", start)
        return commands

    return use


@pytest.fixture
def dock(make_dock, pair, dialogs, qtbot):
    dock = make_dock(dialogs=dialogs)
    dock.session.new_queries()
    dock.show()
    return dock


@pytest.fixture
def panel(dock, scans, qtbot):
    """The panel, with three images that are not open."""
    press(qtbot, dock.views.results.folder_button)
    panel = dock.controller.file_search.panel
    assert panel.isVisible()
    press(qtbot, panel.folder_button)
    qtbot.waitUntil(panel.start_button.isEnabled)
    return panel


@pytest.fixture
def asked(qtbot, dock, pair):
    answer(qtbot, dock, pair[0], (40, 20))


def names(panel):
    model = panel.list.model()
    return [model.data(model.index(row, 0)) for row in range(model.rowCount())]


def can(panel):
    buttons = ("start", "resume", "cancel", "matches", "open")
    return {name for name in buttons if getattr(panel, f"{name}_button").isEnabled()}


def test_a_folder_is_looked_into(panel, scans):
    assert panel.count.text() == "3 images in scans"
    assert names(panel) == ["0.npy", "1.npy", "2.npy"]
    assert panel.out.text() == str(scans.parent / "scans results")
    assert panel.outputs == DEFAULT_OUTPUTS
    assert can(panel) == {"start"}


def test_a_folder_without_images_is_told(qtbot, panel, dialogs, tmp_path):
    (tmp_path / "empty").mkdir()
    dialogs.folder = str(tmp_path / "empty")
    press(qtbot, panel.folder_button)
    qtbot.waitUntil(lambda: "folder without images" in panel.message.text())
    assert can(panel) == set()
    assert panel.count.text() == "No images are chosen yet."


def test_files_are_chosen_and_a_dialog_that_is_cancelled_changes_nothing(
    qtbot, panel, dialogs, scans
):
    dialogs.folder = ""
    press(qtbot, panel.folder_button)
    press(qtbot, panel.files_button)
    press(qtbot, panel.out_button)
    assert panel.count.text() == "3 images in scans"
    dialogs.files = [str(scans / "2.npy")]
    press(qtbot, panel.files_button)
    qtbot.waitUntil(lambda: panel.count.text() == "1 image in scans")
    assert names(panel) == ["2.npy"]


def test_nothing_is_searched_before_something_is_asked(qtbot, panel, notified, program):
    commands = program(END)
    press(qtbot, panel.start_button)
    assert "no query to save yet" in notified[-1].message
    assert commands == []


def test_it_is_searched_and_the_results_are_at_hand(
    qtbot, panel, asked, dock, dialogs, program, notified, scans
):
    commands = program(END)
    tick(qtbot, panel.checks["peaks"])
    press(qtbot, panel.start_button)
    assert can(panel) == {"cancel"}
    assert not any(check.isEnabled() for check in panel.checks.values())
    qtbot.waitUntil(lambda: can(panel) == {"start", "matches", "open"})
    out = scans.parent / "scans results"
    said = f"3 images are searched: 4 objects of class 1. The results are in {out}."
    assert panel.message.text() == said
    assert said in [notification.message for notification in notified]
    assert panel.bar.value() == panel.bar.maximum()
    (command,) = commands
    level = dock.session.thresholds["class 1"]
    assert f"--threshold=class 1={level!r}" in command
    assert "--peaks" not in command
    query = load_query(command[command.index("search") + 1])
    assert [one.name for one in query.classes] == ["class 1"]
    press(qtbot, panel.open_button)
    assert dialogs.opened == [str(out)]


def test_one_that_is_cancelled_can_be_resumed(qtbot, panel, asked, program):
    program(WAIT)
    press(qtbot, panel.start_button)
    qtbot.waitUntil(lambda: "1 of 3 images done" in panel.message.text())
    assert panel.message.text().endswith("Now: 1.npy")
    assert panel.bar.value() == round(panel.bar.maximum() / 3)
    press(qtbot, panel.cancel_button)
    qtbot.waitUntil(lambda: "resume" in can(panel))
    assert "Stopped: 1 of 3 images done." in panel.message.text()
    commands = program(END)
    press(qtbot, panel.resume_button)
    qtbot.waitUntil(lambda: can(panel) == {"start", "matches", "open"})
    assert len(commands) == 2
    assert commands[0] == commands[1]


def test_no_image_is_named_when_all_are_done(qtbot, panel, asked, program):
    """Until the process ends, the last one would seem to be searched still."""
    program('[tell("done", image=f"{n}.npy", stored=False) for n in (1, 2)]\n' + WAIT)
    press(qtbot, panel.start_button)
    qtbot.waitUntil(lambda: panel.message.text() == "3 of 3 images done.")
    press(qtbot, panel.cancel_button)
    qtbot.waitUntil(lambda: not panel.cancel_button.isEnabled())


def test_an_earlier_search_is_found_in_its_folder(qtbot, panel, asked, program, dialogs, scans):
    program(WAIT)
    press(qtbot, panel.start_button)
    qtbot.waitUntil(lambda: "1 of 3 images done" in panel.message.text())
    press(qtbot, panel.cancel_button)
    qtbot.waitUntil(lambda: "resume" in can(panel))
    dialogs.folder = str(scans)
    press(qtbot, panel.folder_button)
    qtbot.waitUntil(lambda: panel.out.text().endswith("scans results 2"))
    assert "resume" not in can(panel)
    dialogs.folder = str(scans.parent / "scans results")
    press(qtbot, panel.out_button)
    assert "resume" in can(panel)


def test_results_are_replaced_only_by_somebody_who_is_asked(qtbot, panel, asked, program, dialogs):
    commands = program(END)
    press(qtbot, panel.start_button)
    qtbot.waitUntil(lambda: "open" in can(panel))
    dialogs.sure = False
    press(qtbot, panel.start_button)
    assert "holds the results of an earlier search" in dialogs.asked[0][1]
    assert len(commands) == 1
    dialogs.sure = True
    press(qtbot, panel.start_button)
    qtbot.waitUntil(lambda: len(commands) == 2 and "open" in can(panel))


def test_what_goes_wrong_is_said(qtbot, panel, asked, program, dialogs, scans, notified):
    program(END)
    dialogs.folder = str(scans)
    press(qtbot, panel.out_button)
    press(qtbot, panel.start_button)
    qtbot.waitUntil(lambda: "is where the images are" in panel.message.text())
    assert "is where the images are" in notified[-1].message
    assert can(panel) == {"start"}


def test_the_dock_takes_its_search_with_it(qtbot, panel, asked, dock, program, monkeypatch):
    children, start = [], process._Child.__init__

    def note(self, command):
        start(self, command)
        children.append(self._process)

    monkeypatch.setattr(process._Child, "__init__", note)
    program(WAIT)
    press(qtbot, panel.start_button)
    qtbot.waitUntil(lambda: "1 of 3 images done" in panel.message.text())
    dock.controller.close()
    qtbot.waitUntil(lambda: children[0].returncode is not None)
    assert dock.controller.file_search.panel is None


def test_the_window_can_be_closed_while_it_is_searched(qtbot, panel, asked, dock, program):
    program(WAIT)
    press(qtbot, panel.start_button)
    panel.close()
    assert dock.session.file_search.state.is_running
    press(qtbot, dock.views.results.folder_button)
    assert dock.controller.file_search.panel is panel
    assert can(panel) == {"cancel"}


@pytest.fixture
def empty_panel(dock, qtbot):
    """The panel, in which nothing is chosen."""
    press(qtbot, dock.views.results.folder_button)
    return dock.controller.file_search.panel


def test_images_that_are_open_from_no_file_have_no_command(
    qtbot, empty_panel, asked, program, notified
):
    program(END)
    press(qtbot, empty_panel.command_button)
    assert "opened from a file" in notified[-1].message


def test_command_and_script_are_copied(
    qtbot, empty_panel, asked, dock, program, dialogs, tmp_path, pair, monkeypatch, clipboard
):
    program(END)
    panel = empty_panel
    source = SimpleNamespace(path=str(tmp_path / "a.tif"), reader_plugin="napari-dinov3-sim")
    monkeypatch.setattr(type(pair[0]), "source", source)
    clipboard.setText("before")
    press(qtbot, panel.command_button)
    assert clipboard.text() == "before"
    dialogs.path = str(tmp_path / "a.query.safetensors")
    press(qtbot, panel.command_button)
    assert clipboard.text().startswith(f"napari-dinov3-sim search {dialogs.path} {source.path}")
    press(qtbot, panel.script_button)
    assert f"QUERY = {dialogs.path!r}" in clipboard.text()
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    assert load_query(dialogs.path).classes[0].name == "class 1"


def test_command_and_script_are_about_the_chosen_files(
    qtbot, panel, asked, dock, program, dialogs, tmp_path, scans, notified, clipboard
):
    """Though the open images are of no file."""
    program(END)
    tick(qtbot, panel.checks["peaks"])
    dialogs.path = str(tmp_path / "a b.query.safetensors")
    press(qtbot, panel.command_button)
    assert "on the clipboard" in notified[-1].message
    words = shlex.split(clipboard.text())
    out = scans.parent / "scans results"
    start = ["napari-dinov3-sim", "search", dialogs.path, str(scans), "--out", str(out)]
    assert words[: len(start)] == start
    level = dock.session.thresholds["class 1"]
    assert f"--threshold=class 1={level!r}" in words
    assert "--peaks" not in words
    press(qtbot, panel.script_button)
    ran = {"__name__": "looked at"}
    exec(compile(clipboard.text(), "script", "exec"), ran)
    assert (ran["QUERY"], ran["IMAGES"]) == (dialogs.path, [str(scans)])
    assert [*start[1:3], *ran["IMAGES"], "--out", ran["RESULTS"], *ran["OPTIONS"]] == words[1:]


def test_the_query_is_saved_once_until_it_changes(
    qtbot, panel, asked, dock, program, dialogs, tmp_path, pair, clipboard
):
    program(END)
    questions = []

    def ask(*what):
        questions.append(what)
        return str(tmp_path / f"{len(questions)}.query.safetensors")

    dialogs.ask_for_new_file = ask
    press(qtbot, panel.command_button)
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    dock.session.threshold = 0.25
    press(qtbot, panel.script_button)
    press(qtbot, panel.command_button)
    assert len(questions) == 1
    assert "=0.25" in clipboard.text()
    assert "1.query.safetensors" in clipboard.text()
    answer(qtbot, dock, pair[0], (10, 50))
    press(qtbot, panel.command_button)
    assert len(questions) == 2
    assert "2.query.safetensors" in clipboard.text()
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    (tmp_path / "2.query.safetensors").unlink()
    press(qtbot, panel.command_button)
    assert len(questions) == 3
    qtbot.waitUntil(lambda: not dock.session.results.pending)


def test_it_says_that_merged_channels_are_searched_one_by_one(qtbot, dock, viewer_model):
    for number, colour in enumerate(("red", "green")):
        pixels = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
        viewer_model.add_image(pixels, name=f"c{number}", colormap=colour)
    qtbot.waitUntil(lambda: bool(dock.session.merged))
    press(qtbot, dock.views.results.folder_button)
    assert "searched one by one" in dock.controller.file_search.panel.message.text()


def test_every_control_says_what_it_does(panel):
    controls = [*panel.findChildren(QAbstractButton), panel.list, panel.bar]
    assert {type(panel.list), type(panel.bar)} == {QListView, QProgressBar}
    assert all(control.toolTip() for control in controls)
    names = [control.accessibleName() or control.text() for control in controls]
    assert all(names)
    assert len(set(names)) == len(names)
    assert [*panel.checks] == [output.name for output in OUTPUTS]
    assert panel.sizeHint().height() < 600
