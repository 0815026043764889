"""Keys on the query layer: bound, called, given back."""

from __future__ import annotations

import gc
import weakref

import pytest
from napari.layers import Points
from napari.utils.key_bindings import KeymapHandler

from napari_dinov3_sim.widget.controllers.keys import QueryKeys


class Dock:
    """What the keys act on."""

    def __init__(self):
        self.done = []

    def flip(self):
        self.done.append("flip")

    def undo(self):
        self.done.append("undo")


@pytest.fixture
def dock():
    return Dock()


@pytest.fixture
def keys(dock):
    return QueryKeys({"N": ("Flip the sign", dock.flip), "Ctrl-Z": ("Undo", dock.undo)})


@pytest.fixture
def layer():
    return Points(ndim=2)


def press(viewer, layer, key):
    """Press and release a key as napari's canvas does, with this layer active."""
    handler = KeymapHandler()
    handler.keymap_providers = [layer, viewer]
    used = handler.press_key(key)
    handler.release_key(key)
    return used


def test_a_key_acts_on_the_bound_layer_only(keys, dock, layer, viewer_model):
    keys.bind(layer)
    assert press(viewer_model, layer, "N")
    assert press(viewer_model, layer, "Control-Z")
    assert dock.done == ["flip", "undo"]
    assert not press(viewer_model, Points(ndim=2), "N")
    assert keys.bound == ("N", "Ctrl-Z")


def test_released_keys_do_nothing(keys, dock, layer, viewer_model):
    keys.bind(layer)
    keys.release()
    assert not press(viewer_model, layer, "N")
    assert layer.keymap == {}
    assert keys.bound == ()
    keys.release()


def test_keys_follow_to_the_next_layer(keys, dock, layer, viewer_model):
    other = Points(ndim=2)
    keys.bind(layer)
    keys.bind(layer)
    keys.bind(other)
    assert not press(viewer_model, layer, "N")
    assert press(viewer_model, other, "N")
    assert dock.done == ["flip"]


def test_what_the_user_had_bound_comes_back(keys, dock, layer, viewer_model):
    mine = []
    layer.bind_key("N", mine.append)
    keys.bind(layer)
    press(viewer_model, layer, "N")
    assert (dock.done, mine) == (["flip"], [])
    keys.release()
    press(viewer_model, layer, "N")
    assert (dock.done, mine) == (["flip"], [layer])


def test_what_the_user_binds_meanwhile_stays(keys, dock, layer, viewer_model):
    mine = []
    keys.bind(layer)
    layer.bind_key("N", mine.append, overwrite=True)
    keys.release()
    press(viewer_model, layer, "N")
    assert (dock.done, mine) == ([], [layer])


@pytest.mark.parametrize("key", ["Ctrl-C", "Shift-Up"])
def test_keys_of_napari_are_not_taken(dock, layer, key):
    keys = QueryKeys({key: ("Flip the sign", dock.flip)})
    keys.bind(layer)
    assert keys.bound == ()
    assert keys.hint(key) == "Flip the sign"


def test_a_key_given_away_in_the_preferences_is_not_taken(keys, dock, layer, viewer_model):
    done = []
    Points.bind_key("N", done.append)
    try:
        keys.bind(layer)
        press(viewer_model, layer, "N")
    finally:
        Points.bind_key("N", None)
    assert keys.bound == ("Ctrl-Z",)
    assert (dock.done, done) == ([], [layer])


@pytest.mark.slow
def test_bound_keys_keep_no_dock_alive(layer, viewer_model):
    dock = Dock()
    keys = QueryKeys({"N": ("Flip the sign", dock.flip)})
    keys.bind(layer)
    gone = weakref.ref(dock)
    del dock
    gc.collect()
    assert gone() is None
    press(viewer_model, layer, "N")  # and a key without a dock is no error


def test_a_command_that_returns_a_function_is_called_once(layer, viewer_model):
    """Napari takes what a key returns for what its release is to call."""
    done = []

    def command():
        done.append("pressed")
        return lambda: done.append("released")

    QueryKeys({"N": ("", command)}).bind(layer)
    press(viewer_model, layer, "N")
    assert done == ["pressed"]


def test_the_hint_names_the_key_while_it_is_bound(keys, layer):
    assert keys.hint("N") == "Flip the sign"
    keys.bind(layer)
    assert keys.hint("N") == "Flip the sign (N)"
    assert keys.hint("Ctrl-Z").startswith("Undo (")
    keys.release()
    assert keys.hint("N") == "Flip the sign"
