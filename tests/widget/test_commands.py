"""The commands of the palette, on a window that has only a dock."""

from __future__ import annotations

import inspect
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import yaml
from npe2 import PluginManifest

import napari_dinov3_sim
from napari_dinov3_sim.widget import commands

from .dock_helpers import squares


class Window:
    """Opens its dock, as napari's window does."""

    def __init__(self, widget):
        self.widget, self.shown = widget, 0

    def add_plugin_dock_widget(self, plugin, name):
        assert (plugin, name) == ("napari-dinov3-sim", "DINOv3 similarity")
        return self, self.widget

    def show(self):
        self.shown += 1

    raise_ = show


class Viewer:
    def __init__(self, dock):
        self.window = Window(dock)


class Asked:
    """A user who cancels every dialog, and remembers what was asked."""

    def __init__(self):
        self.titles = []

    def ask_for_new_file(self, title, name, filters):
        self.titles.append(title)
        return ""

    def ask_for_file(self, title, filters):
        self.titles.append(title)
        return ""


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def viewer(make_dock, viewer_model, asked):
    viewer_model.add_image(squares((1, 2)), name="a")
    dock = make_dock(dialogs=asked)
    dock.session.new_queries()
    return Viewer(dock)


@pytest.mark.parametrize(
    ("command", "state"),
    [
        (commands.flip_sign, "positive"),
        (commands.toggle_all_planes, "all_planes"),
        (commands.toggle_hovering, "hovering"),
        (commands.toggle_outlines, "outlines"),
        (commands.toggle_side_by_side, "side_by_side"),
    ],
)
def test_switches_switch_there_and_back(viewer, command, state):
    session = viewer.window.widget.session
    before = getattr(session, state)
    command(viewer)
    assert getattr(session, state) != before
    command(viewer)
    assert getattr(session, state) == before
    assert viewer.window.shown


def test_classes(viewer):
    session = viewer.window.widget.session
    commands.new_class(viewer)
    assert session.class_name == "class 2"
    commands.next_class(viewer)
    assert session.class_name == "class 1"


def test_undo(qtbot, viewer):
    session = viewer.window.widget.session
    session.queries.add(np.array([20.0, 40.0]))
    qtbot.waitUntil(lambda: session.status != "Click on a structure in an image.")
    commands.undo_query(viewer)
    assert len(session.queries.data) == 0


@pytest.mark.parametrize(
    ("command", "title"),
    [
        (commands.save_csv, "Save peaks"),
        (commands.save_query_file, "Save query"),
        (commands.load_query_file, "Load query"),
    ],
)
def test_files_are_asked_for(viewer, asked, command, title):
    command(viewer)
    assert asked.titles == [title]


@pytest.mark.parametrize(
    "command", [commands.objects_to_labels, commands.peaks_to_points, commands.go_to_best_match]
)
def test_what_needs_a_heatmap_says_so(viewer, command, notified):
    command(viewer)
    assert len(notified) == 1
    assert "click" in notified[0].message


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (commands.match_images, "Matches need two images"),
        (commands.drop_query, "No saved query is loaded"),
        (commands.merge_selected_channels, "0 images selected"),
        (commands.split_channels, "No image is merged"),
    ],
)
def test_what_there_is_nothing_for_says_so(viewer, notified, command, sentence):
    command(viewer)
    assert [sentence in notification.message for notification in notified] == [True]


def test_channels_are_merged_and_split(viewer, viewer_model):
    layers = [viewer_model.add_image(squares()[..., 0], name=name) for name in "rg"]
    viewer_model.layers.selection = set(layers)
    session = viewer.window.widget.session
    commands.merge_selected_channels(viewer)
    assert list(session.merged) == [layers[0]]
    commands.split_channels(viewer)
    assert session.merged == {}


def test_the_palette_has_every_command_and_no_other():
    manifest = Path(napari_dinov3_sim.__file__).parent / "napari.yaml"
    offered = yaml.safe_load(manifest.read_text("utf-8"))["contributions"]["commands"]
    names = [command["python_name"].partition(":") for command in offered]
    there = {name for module, _, name in names if module == commands.__name__}
    written = {
        name
        for name, found in vars(commands).items()
        if inspect.isfunction(found) and found is not commands.open_dock
    }
    assert there == written


def test_colours_need_embeddings(viewer, notified):
    commands.add_pca_colours(viewer)
    assert len(notified) == 1


WORDS = {
    "embed": "embed.embed_button",
    "cancel": "embed.cancel_button",
    "query": "signs.positive_button",
    "box": "signs.box_button",
    "new_class": "signs.new_button",
    "undo": "signs.undo_button",
    "redo": "signs.redo_button",
    "gallery": "results.gallery_button",
    "table": "results.table_button",
    "best_match": "results.best_match",
    "labels": "results.labels_button",
    "automatic_threshold": "results.automatic_button",
    "renew": "state.renew_button",
    "peaks": "result_options.peaks_button",
    "pca": "result_options.colours_button",
    "matches": "matches.button",
    "all_planes": "options.all_planes",
    "merge": "options.merge_button",
    "split": "options.split_button",
    "side_by_side": "navigation.side_by_side",
    "hover": "navigation.hovering",
    "outlines": "outlines",
    "save_query": "files.save_button",
    "load_query": "files.load_button",
    "drop_query": "files.drop_button",
}
"""Which control does what a command does."""


@pytest.mark.slow
@pytest.mark.parametrize(("command", "control"), WORDS.items())
def test_a_command_has_the_word_of_its_control(make_dock, command, control):
    manifest = PluginManifest.from_distribution("napari-dinov3-sim")
    commands = {found.id.partition(".")[2]: found for found in manifest.contributions.commands}
    dock = make_dock()
    word = attrgetter(control)(dock.views).text().strip("▭… ").lower()
    assert commands[command].title.lower().startswith(word)
