"""Old releases of other libraries, imitated: each difference is met, and the new way is taken."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import huggingface_hub
import huggingface_hub.utils
import napari.settings
import numpy as np
import pytest
from huggingface_hub import errors
from napari.components import ViewerModel
from napari.components.camera import Camera
from napari.components.grid import GridCanvas

from imports import SOURCES, module_name
from napari_dinov3_sim import versions

URL = "https://hub.invalid/a/b/resolve/main/c"


@pytest.fixture
def before_1_0(monkeypatch):
    # The package loads these when asked for, and needs the name that is taken away to do so.
    assert callable(huggingface_hub.get_hf_file_metadata)
    assert callable(huggingface_hub.utils.get_session)
    monkeypatch.delattr(errors, "RemoteEntryNotFoundError", raising=False)


@pytest.fixture
def from_1_0(monkeypatch):
    new = type("RemoteEntryNotFoundError", (errors.EntryNotFoundError,), {})
    monkeypatch.setattr(errors, "RemoteEntryNotFoundError", new, raising=False)


def test_an_old_hub_is_asked_once_without_its_own_function(before_1_0, monkeypatch):
    asked, answers = [], []

    def head(url, **options):
        asked.append((url, options["timeout"], "user-agent" in options["headers"]))
        return "the answer"

    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: SimpleNamespace(head=head))
    monkeypatch.setattr("huggingface_hub.utils.hf_raise_for_status", answers.append)
    versions.ask_hub(URL, 3.0)
    assert asked == [(URL, 3.0, True)]
    assert answers == ["the answer"]


def test_a_new_hub_is_asked_by_its_own_function(from_1_0, monkeypatch):
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "get_hf_file_metadata", lambda url, timeout: asked.append((url, timeout))
    )
    versions.ask_hub(URL, 3.0)
    assert asked == [(URL, 3.0)]


def test_what_is_raised_without_a_network(monkeypatch):
    class Any(Exception): ...  # as of httpx: those of a connection derive from it, too

    monkeypatch.setattr(errors, "HfHubHTTPError", type("OfTheHub", (Any, OSError), {}))
    assert versions.network_errors() == (Any, ConnectionError, TimeoutError)


def test_what_is_raised_without_a_network_before_1_0(monkeypatch):
    class Any(OSError): ...

    class Status(Any): ...  # that of a connection stands beside it

    Status.__module__ = "requests.exceptions"
    monkeypatch.setattr(errors, "HfHubHTTPError", type("OfTheHub", (Status,), {}))
    assert versions.network_errors() == (Any, ConnectionError, TimeoutError)


def module_of_bars():
    return sys.modules["huggingface_hub.utils.tqdm"]


@pytest.mark.parametrize("fails", [False, True])
def test_the_bar_of_an_old_download_is_lent(monkeypatch, fails):
    used, own = [], module_of_bars().tqdm

    def download(repo, filename):
        used.append(module_of_bars().tqdm)
        if fails:
            raise ConnectionError
        return f"{repo}/{filename}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    if fails:
        with pytest.raises(ConnectionError):
            versions.download_with_bar("a/b", "c", dict)
    else:
        assert versions.download_with_bar("a/b", "c", dict) == "a/b/c"
    assert used == [dict]
    assert module_of_bars().tqdm is own


def test_the_bar_of_a_new_download_is_given(monkeypatch):
    def download(repo, filename, *, tqdm_class):
        assert module_of_bars().tqdm is not tqdm_class
        return f"{repo}/{filename} with {tqdm_class.__name__}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert versions.download_with_bar("a/b", "c", dict) == "a/b/c with dict"


def test_napari_without_preferences_of_plugins(monkeypatch):
    monkeypatch.delattr(napari.settings, "get_plugin_settings", raising=False)
    assert versions.plugin_preferences("any") is None


def test_napari_with_preferences_of_plugins(monkeypatch):
    monkeypatch.setattr(
        napari.settings, "get_plugin_settings", lambda plugin: f"of {plugin}", raising=False
    )
    assert versions.plugin_preferences("any") == "of any"


# --- where napari keeps its camera and its grid ------------------------------------------------


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    for name in ("first", "second"):
        viewer.add_image(np.zeros((4, 4)), name=name)
    grid = versions.grid_of(viewer)
    grid.stride, grid.shape, grid.enabled = 1, (1, 2), True
    return viewer


def test_camera_and_grid_of_this_napari(viewer):
    assert isinstance(versions.camera_of(viewer), Camera)
    assert isinstance(versions.grid_of(viewer), GridCanvas)
    assert list(versions.layers_in_viewbox(viewer, (0, 1))) == [1]


def test_camera_and_grid_of_an_older_napari():
    old = SimpleNamespace(camera="the camera", grid="the grid")
    assert versions.camera_of(old) == "the camera"
    assert versions.grid_of(old) == "the grid"


def test_camera_and_grid_of_a_newer_napari():
    scene, canvas = SimpleNamespace(camera="the camera"), SimpleNamespace(grid="the grid")
    new = SimpleNamespace(scene=scene, canvas=canvas)
    assert versions.camera_of(new) == "the camera"
    assert versions.grid_of(new) == "the grid"


def test_an_older_grid_is_told_how_many_layers_there_are():
    asked = []

    def contents_at(position, nlayers):
        asked.append((position, nlayers))
        return (2,)

    grid = SimpleNamespace(contents_at=contents_at)
    old = SimpleNamespace(grid=grid, layers=["a", "b", "c"])
    assert versions.layers_in_viewbox(old, (1, 0)) == (2,)
    assert asked == [((1, 0), 3)]


class OldViewer:
    """A viewer of napari 0.7: it fits the view to all layers."""

    def __init__(self, viewer):
        self.layers, self.dims, self._viewer = viewer.layers, viewer.dims, viewer
        self.camera = versions.camera_of(viewer)

    def fit_to_view(self, *, margin=0.05):
        self._viewer.fit_to_view(margin=margin)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_an_older_view_is_fitted_to_some_layers(order):
    viewer = ViewerModel()
    near = viewer.add_image(np.zeros((4, 20, 30)), scale=(1, 2, 2))
    viewer.dims.order = order
    viewer.fit_to_view()
    camera = versions.camera_of(viewer)
    alone = camera.center, camera.zoom
    viewer.add_image(np.zeros((40, 200, 300)), translate=(50, 500, 700), scale=(1, 2, 2))
    versions.fit_to_layers(OldViewer(viewer), [near])
    assert camera.center == pytest.approx(alone[0])
    assert 0.4 * alone[1] < camera.zoom <= alone[1] * (1 + 1e-9)


def test_a_view_is_fitted_to_some_layers():
    asked = []
    new = SimpleNamespace(fit_to_view=lambda *, layers=None: asked.append(layers))
    versions.fit_to_layers(new, ["a", "b"])
    assert asked == [["a", "b"]]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.stem != "versions"], ids=module_name)
def test_nobody_else_asks_napari_for_them(path):
    """The tests would not notice it with an old napari: they have these attributes made there."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"viewer\.(scene|canvas|camera|grid)\b", text)
