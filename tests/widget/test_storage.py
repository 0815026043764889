"""Embeddings outlive the dock, within a budget, and what goes wrong with the disk is told."""

from __future__ import annotations

import pytest

from napari_dinov3_sim.widget.preferences import Preferences, make_store

from .dock_helpers import Loader, best_patch, squares

pytestmark = pytest.mark.slow


@pytest.fixture
def image(viewer_model):
    return viewer_model.add_image(squares((1, 2)), name="a")


class CountingLoader(Loader):
    """Knows the models it has loaded."""

    def __init__(self):
        super().__init__()
        self.models = []

    def __call__(self, model, report):
        self.models.append(super().__call__(model, report))
        return self.models[-1]


def answer(qtbot, make_dock, image):
    """Open a dock, click, wait, close; return the model with its count of calls."""
    loader = CountingLoader()
    dock = make_dock(loader=loader)
    dock.session.new_queries()
    dock.session.queries.data = [[20, 40]]
    qtbot.waitUntil(lambda: len(dock.session.histograms) == 1 and not dock.session.busy)
    assert best_patch(dock.session.heatmaps[image]) == (1, 2)
    dock.controller.close()
    return loader.models[0]


def test_the_next_dock_reads_what_the_last_one_wrote(qtbot, make_dock, image, cache_folder):
    assert not cache_folder.exists()
    assert answer(qtbot, make_dock, image).calls == 1
    assert [path.name.split("-")[0] for path in cache_folder.iterdir()] == ["a"]
    assert answer(qtbot, make_dock, image).calls == 0


def test_the_folder_of_the_preferences_is_used(
    qtbot, make_dock, image, tmp_path, cache_folder, preferred
):
    preferred.store_folder = str(tmp_path / "mine")
    answer(qtbot, make_dock, image)
    assert len(list((tmp_path / "mine").iterdir())) == 1
    assert not cache_folder.exists()


def test_no_disk_if_none_is_wanted(qtbot, make_dock, image, cache_folder, preferred):
    preferred.disk_gib = 0.0
    answer(qtbot, make_dock, image)
    assert not cache_folder.exists()


def test_a_damaged_file_is_told_and_made_again(qtbot, make_dock, image, cache_folder, notified):
    answer(qtbot, make_dock, image)
    (path,) = cache_folder.iterdir()
    path.write_bytes(path.read_bytes()[:-8])
    assert answer(qtbot, make_dock, image).calls == 1
    assert len(notified) == 1
    assert "is damaged" in notified[0].message


def test_a_folder_that_cannot_be_written_is_told_once(
    qtbot, make_dock, image, cache_folder, notified
):
    cache_folder.parent.mkdir()
    cache_folder.write_text("a file where the folder should be")
    answer(qtbot, make_dock, image)
    assert len(notified) == 1
    assert "nothing is kept on disk" in notified[0].message


def test_budgets_are_those_of_the_preferences(tmp_path):
    store = make_store(Preferences(memory_gib=0.5, disk_gib=2, store_folder="~/x"), print)
    assert (store.budget, store.disk.budget) == (2**29, 2**31)
    assert store.disk.folder.is_absolute()
    assert not store.disk.folder.exists()
