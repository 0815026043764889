"""The manifest: valid, true, and the same at both places."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Layer
from npe2 import PluginManifest

import napari_dinov3_sim
from napari_dinov3_sim import sample_data
from napari_dinov3_sim.backbones import MODELS
from napari_dinov3_sim.widget.preferences import AUTO, DEVICES, Preferences

INSIDE = Path(napari_dinov3_sim.__file__).parent / "napari.yaml"
TOP = Path(__file__).parents[1] / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(INSIDE)


COMMANDS = PluginManifest.from_file(INSIDE).contributions.commands
SAMPLES = PluginManifest.from_file(INSIDE).contributions.sample_data


@pytest.mark.skipif(not TOP.exists(), reason="not in a checkout")
def test_the_two_read_equal():
    text = TOP.read_text(encoding="utf-8")
    if not TOP.is_symlink():  # git on Windows makes a file of a link, which says where it leads
        text = (TOP.parent / text).read_text(encoding="utf-8")
    assert text == INSIDE.read_text(encoding="utf-8")


def test_it_is_valid_with_its_imports(manifest):
    manifest.validate_imports()


def test_napari_finds_it_by_the_entry_point(manifest):
    found = PluginManifest.from_distribution("napari-dinov3-sim")
    assert found.name == manifest.name
    assert found.contributions == manifest.contributions


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.id)
def test_a_command_leads_to_something_to_call(command):
    module, _, name = command.python_name.partition(":")
    found = getattr(import_module(module), name)
    assert callable(found)
    assert inspect.getdoc(found)
    # napari takes "package:file" of a command for the name of an icon on the internet.
    assert command.icon is None


def test_the_menus_are_open_to_plugins(manifest):
    from napari._app_model.constants._menus import MenuId

    open_to_plugins = {menu.value for menu in MenuId.contributables()}
    assert set(manifest.contributions.menus) <= open_to_plugins
    known = {command.id for command in manifest.contributions.commands}
    used = {item.command for items in manifest.contributions.menus.values() for item in items}
    assert used <= known


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.key)
def test_a_sample_is_a_list_of_layers(sample):
    make = getattr(sample_data, f"make_{sample.key}")
    try:
        layers = make()
    except OSError as error:
        pytest.skip(f"the picture is not on this computer: {error}")
    for data in layers:
        layer = Layer.create(*data)
        assert np.asarray(layer.data).size
        assert layer.name != "Image"


def test_every_sample_is_offered(manifest):
    offered = {sample.key for sample in manifest.contributions.sample_data}
    made = {name.removeprefix("make_") for name in vars(sample_data) if name.startswith("make_")}
    assert offered == made


def test_preferences_offer_what_there_is(manifest):
    properties = manifest.contributions.configurations["start"].properties
    assert properties["model"].enum == [AUTO, *MODELS]
    assert properties["model"].default == Preferences().model
    assert properties["device"].enum == list(DEVICES)
    assert properties["device"].default == Preferences().device
    for name in ("memory_gib", "disk_gib", "store_folder"):
        assert properties[name].default == getattr(Preferences(), name)


def test_the_icon_is_in_the_package(manifest):
    package, _, name = manifest.icon.partition(":")
    path = Path(napari_dinov3_sim.__file__).parent.parent.joinpath(*package.split("."), name)
    assert path.read_text(encoding="utf-8").startswith("<svg")
