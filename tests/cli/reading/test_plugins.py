"""Which of several reader plugins opens a file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.plugins import utils
from npe2 import DynamicPlugin

from napari_dinov3_sim.cli.reading import plugins
from napari_dinov3_sim.cli.reading.plugins import CURES, NAPARI, OWN, plugin_of, read_by_plugin

GREEDY = ["napari-bioio-reader", "napari-itk-io"]
"""They claim nearly every suffix, as those of that name do."""


@pytest.fixture
def installed(monkeypatch):
    """Return how to have plugins that claim every file, and a preference of napari."""

    def have(*names, preferred=None):
        monkeypatch.setattr(plugins, "_compatible", lambda _path: sorted(names))
        monkeypatch.setattr(utils, "get_preferred_reader", lambda _path: preferred)

    return have


@pytest.fixture
def file(tmp_path):
    def make(name):
        path = tmp_path / name
        if path.suffix == ".tif":
            tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
        else:
            path.write_bytes(bytes(range(256)) * 8)
        return path

    return make


@pytest.mark.parametrize("suffix", [s for s, packages in CURES.items() if "bioio" not in packages])
def test_a_plugin_that_is_made_for_a_format_reads_it(installed, file, suffix):
    named = CURES[suffix]
    installed(*{*GREEDY, "a-plugin", named, NAPARI})
    found, note = plugin_of(file(f"a{suffix}"), None)
    assert found == named
    assert "--reader" in note


def test_a_plugin_that_claims_everything_reads_what_nothing_else_reads(installed, file):
    installed(*GREEDY)
    assert plugin_of(file("a.mrc"), None)[0] == "napari-bioio-reader"
    assert plugin_of(file("a.lif"), None)[0] == "napari-bioio-reader"


def test_a_plugin_that_claims_everything_does_not_take_what_is_read_here(installed, file):
    path = file("a.tif")
    installed(*GREEDY, NAPARI)
    assert plugin_of(path, None) == (OWN, "")
    assert plugin_of(path, "napari-itk-io") == ("napari-itk-io", "")
    installed(*GREEDY, "a-tiff-plugin")
    assert plugin_of(path, None)[0] == "a-tiff-plugin"
    installed(*GREEDY, preferred="napari-itk-io")
    assert plugin_of(path, None) == ("napari-itk-io", "")


IMAGE = np.arange(64).reshape(8, 8)


@pytest.mark.parametrize("entry", [(IMAGE,), (IMAGE, {}), (IMAGE, {}, "image")], ids=len)
def test_a_plugin_may_leave_out_what_sort_a_layer_is(entry, tmp_path):
    """As napari-dv does; napari takes it for an image then."""
    with DynamicPlugin("tuples") as plugin:

        @plugin.contribute.reader(filename_patterns=["*.tuples"])
        def get_reader(path):
            return lambda _path: [entry]

        (found,) = read_by_plugin(tmp_path / "a.tuples", "tuples")
    assert (found.levels[0] == IMAGE).all()
