"""Saving and opening projects from the dock: paths and answers come from the dialogs."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtCore import Qt

from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.widget import project_reader

from ..dock_helpers import squares

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _readers_of_napari():
    """A viewer model alone, without a window, has none."""
    # Without napari's commands, which stay for as long as the process: others register them.
    PluginManager.instance().discover()


class Answers:
    """A user who knows all answers; questions are remembered."""

    def __init__(self, path, answer=True, folder=""):
        self.path, self.answer, self.folder = str(path), answer, str(folder)
        self.asked = []

    def ask_for_new_file(self, title, name, filters):
        self.asked.append((title, name))
        return self.path

    def ask_for_file(self, title, filters):
        self.asked.append((title, filters))
        return self.path

    def ask_for_folder(self, title):
        self.asked.append((title, ""))
        return self.folder

    def ask(self, title, question, yes, no=""):
        self.asked.append((title, question))
        return self.answer


@pytest.fixture
def files(tmp_path):
    """Two images in files."""
    (tmp_path / "data").mkdir()
    for name, place in (("a", (1, 2)), ("b", (4, 3))):
        tifffile.imwrite(tmp_path / "data" / f"{name}.tif", squares(place), photometric="rgb")
    return tmp_path / "data"


@pytest.fixture
def searched(make_dock, viewer_model, files, qtbot, tmp_path):
    """A dock with two images from files and a heatmap over each."""
    answers = Answers(tmp_path / "p.dinov3sim.zip")
    dock = make_dock(dialogs=answers)
    for name in ("a", "b"):
        layer = viewer_model.open(str(files / f"{name}.tif"), plugin="napari-dinov3-sim")[0]
        layer.translate = (0, 100 * (name == "b"))
    dock.session.add_query(dock.session.images[0], 40, 24)
    dock.show()
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    return dock, answers


def finished(qtbot, dock, start):
    """Start something, and wait for the sentence that says that it is done."""
    said = []
    dock.session.project.done.connect(said.append)
    start()
    qtbot.waitUntil(lambda: bool(said))
    dock.session.project.done.disconnect(said.append)


def press(qtbot, dock, button):
    """Open the choices of the first step, and click on a button there."""
    dock.views.steps[0].open()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def save(qtbot, dock, path):
    finished(qtbot, dock, lambda: press(qtbot, dock, dock.views.project.save_button))
    assert path.exists()


def open_in(qtbot, dock):
    finished(qtbot, dock, lambda: press(qtbot, dock, dock.views.project.open_button))


@pytest.fixture
def another(make_dock, qtbot):
    """A dock on an empty viewer."""

    def make(answers):
        dock = make_dock(ViewerModel(), dialogs=answers)
        dock.show()
        return dock

    return make


def heatmaps(dock):
    return {image.name: np.asarray(layer.data) for image, layer in dock.session.heatmaps.items()}


def test_clicked_through(searched, another, qtbot, tmp_path, notified):
    dock, answers = searched
    dock.session.recipe = Recipe(padding="reflect")
    dock.session.all_planes, dock.session.min_area = True, 40
    dock.session.combination, dock.session.smooth = "mean", True
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    path = tmp_path / "p.dinov3sim.zip"
    save(qtbot, dock, path)
    assert answers.asked == [("Save project", "project.dinov3sim.zip")]
    assert notified[-1].message == "2 images saved to p.dinov3sim.zip."
    other = another(Answers(path))
    open_in(qtbot, other)
    assert [title for title, _ in other.controller.project._dialogs.asked] == ["Open project"]
    qtbot.waitUntil(lambda: len(other.session.heatmaps) == 2)
    found, expected = heatmaps(other), heatmaps(dock)
    for name in ("a", "b"):
        np.testing.assert_array_equal(found[name], expected[name])
    views = other.views
    assert views.options.padding.currentData() == "reflect"
    assert views.options.all_planes.isChecked()
    assert views.object_options.min_area.value() == 40
    assert views.combination.combo.currentData() == "mean"
    assert views.style.smooth.isChecked()
    assert other.session.queries.mode == "add"


@pytest.mark.parametrize(("answer", "count"), [(True, 1), (False, 0), (None, None)])
def test_images_without_a_file_are_offered(
    make_dock, another, viewer_model, qtbot, tmp_path, answer, count
):
    path = tmp_path / "p.dinov3sim.zip"
    answers = Answers(path, answer)
    dock = make_dock(dialogs=answers)
    viewer_model.add_image(squares((1, 2)), name="made")
    dock.controller.project.save()
    qtbot.waitUntil(lambda: len(answers.asked) == 2)
    assert answers.asked[1][1].startswith("made\n\nThis is in no file.")
    if count is None:
        assert not path.exists()
        assert not dock.session.project.pending
        return
    qtbot.waitUntil(path.exists)
    other = another(Answers(path))
    open_in(qtbot, other)
    assert len(other.session.images) == count


@pytest.mark.parametrize("answer", [True, False, None])
def test_images_that_moved_are_asked_for(searched, another, qtbot, files, tmp_path, answer):
    dock, _ = searched
    path = tmp_path / "p.dinov3sim.zip"
    save(qtbot, dock, path)
    files.rename(tmp_path / "moved")
    answers = Answers(path, answer, tmp_path)
    other = another(answers)
    if answer is None:
        other.controller.project.open()
        qtbot.waitUntil(lambda: len(answers.asked) == 2)
        assert not other.session.project.pending
    else:
        open_in(qtbot, other)
    assert "2 images not found" in answers.asked[1][1]
    assert len(other.session.images) == (2 if answer else 0)


def test_it_is_asked_before_a_project_is_added(searched, qtbot, tmp_path):
    dock, answers = searched
    save(qtbot, dock, tmp_path / "p.dinov3sim.zip")
    answers.answer = None
    dock.controller.project.open()
    assert "There are layers in the viewer. They stay" in answers.asked[-1][1]
    assert not dock.session.project.pending
    assert len(dock.session.images) == 2
    answers.answer = True
    open_in(qtbot, dock)
    assert len(dock.session.images) == 4


def test_a_damaged_project_is_told_in_one_sentence(another, qtbot, tmp_path, notified):
    path = tmp_path / "p.dinov3sim.zip"
    path.write_bytes(b"PK\3\4")
    dock = another(Answers(path))
    dock.controller.project.open()
    qtbot.waitUntil(lambda: bool(notified))
    assert len(notified) == 1
    assert "choose a file that was saved as a project" in notified[0].message


def test_nothing_open_is_told(another, tmp_path, notified):
    another(Answers(tmp_path / "p.dinov3sim.zip")).controller.project.save()
    assert "open one first" in notified[0].message


def test_a_project_that_is_dropped_is_opened(searched, another, qtbot, tmp_path, monkeypatch):
    dock, _ = searched
    path = tmp_path / "p.dinov3sim.zip"
    save(qtbot, dock, path)
    other = another(Answers(path))
    assert project_reader.get_project_reader(str(path)) is None  # no window
    monkeypatch.setattr("napari.current_viewer", lambda: other)
    monkeypatch.setattr(project_reader, "open_dock", lambda dock: dock)
    assert project_reader.get_project_reader([str(path)]) is None
    read = project_reader.get_project_reader(str(path))
    assert read(str(path)) == [(None,)]
    qtbot.waitUntil(lambda: len(other.session.images) == 2)
