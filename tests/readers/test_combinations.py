"""The window, the command line and Python give the embeddings of the pixels that were written."""

from __future__ import annotations

import npe2
import numpy as np
import pytest
from napari.layers import Layer
from npe2 import PluginManager

from napari_dinov3_sim.backbones import load_backbone
from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.images.scanning import stack_window
from napari_dinov3_sim.core.images.sources import ArraySource

from .combinations import combinations

pytestmark = pytest.mark.slow

EVERY = list(combinations())
CLOSE = 0.9999


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("builtin", device="cpu")


@pytest.fixture(scope="module")
def embed(backbone):
    """Return a function from a plane and its window to embeddings; what is known is not made."""
    known = {}

    def run(source, window):
        pixels = source.read(slice(None), slice(None))
        key = pixels.tobytes(), pixels.shape, pixels.dtype.str, window
        if key not in known:
            known[key] = create_patch_image_state(source, backbone, window=window)
        return known[key].embeddings_normalized

    return run


def sources_of(data, rgb, name="image"):
    """Return the planes of an array, and the window of them all."""
    shape = data.shape[:-1] if rgb else data.shape

    def plane(at):
        return ArraySource(data, (*at, slice(None), slice(None)), rgb, name)

    positions = list(np.ndindex(*shape[:-2]))
    window = stack_window(plane, shape[:-2]) if shape[:-2] else None
    return [(plane(at), window) for at in positions]


def of_window(path):
    manager = PluginManager.instance()
    manager.discover()
    readers = {reader.plugin_name for reader in manager.iter_compatible_readers([str(path)])}
    own = "napari-dinov3-sim"
    found = []
    for entry in npe2.read(
        [str(path)], plugin_name=own if own in readers else "napari", stack=False
    ):
        layer = Layer.create(*entry)
        data = layer.data[0] if layer.multiscale else layer.data
        found += sources_of(data, layer.rgb)
    return found


def of_command_line(file):
    return [
        (layer.plane(at), layer.window() if layer.leading else None)
        for layer in file.layers
        for at in layer.positions()
    ]


def test_there_are_enough_of_them():
    assert len(EVERY) >= 120
    assert len({str(one) for one in EVERY}) == len(EVERY)


@pytest.mark.parametrize("combination", EVERY, ids=str)
def test_the_same_pixels_and_embeddings_everywhere(tmp_path, embed, combination):
    path, truth = combination.write(tmp_path)
    with OpenFile(path) as file:
        ways = {"window": of_window(path), "command line": of_command_line(file)}
        for way, found in ways.items():
            assert len(found) == len(truth), way
            for (source, window), plane in zip(found, truth, strict=True):  # noqa: B007
                pixels = source.read(slice(None), slice(None))
                assert pixels.dtype == plane.dtype, way
                np.testing.assert_array_equal(pixels, plane, err_msg=way)
            # Of the last plane: the pixels and the window of the others decide theirs.
            expected = embed(ArraySource(plane, channels_last=plane.ndim == 3), window)
            assert (embed(source, window) * expected).sum(-1).min() >= CLOSE, way
    windows = [[window for _, window in found] for found in ways.values()]
    assert windows[0] == windows[1]
