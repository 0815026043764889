"""Sessions that save and open projects, on images that lie in files."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

from ..brute_force import PatchProjection

READER = "napari-dinov3-sim"


@pytest.fixture(scope="module", autouse=True)
def _readers_of_napari():
    """A viewer model alone, without a window, has none."""
    from napari.plugins import _initialize_plugins

    _initialize_plugins()


class Told(list):
    """Sentences that a session has said about projects."""

    def hear(self, sentence):
        self.append(str(sentence))

    @property
    def text(self):
        return " ".join(self)


@pytest.fixture
def make_session():
    """Make a session on a viewer of its own; what it tells of projects is in ``told``."""
    made = []

    def make(fingerprint="projection-1", runner=None):
        viewer = ViewerModel()
        session = SimilaritySession(
            viewer, backbone=PatchProjection(fingerprint), runner=runner or InlineRunner()
        )
        session.viewer, session.told = viewer, Told()
        session.project.done.connect(session.told.hear)
        session.noticed.connect(session.told.hear)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.fixture
def folder(tmp_path):
    """A folder with images: grayscale, colour, a stack, and a file of three channels."""
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    (data / "day 1").mkdir(parents=True)
    (data / "day 2").mkdir()
    tifffile.imwrite(data / "day 1" / "a.tif", rng.integers(0, 255, (70, 100), np.uint8))
    tifffile.imwrite(data / "day 2" / "a.tif", rng.integers(0, 255, (64, 80), np.uint8))
    colours = rng.integers(0, 255, (64, 48, 3), np.uint8)
    tifffile.imwrite(data / "colour.tif", colours, photometric="rgb")
    stack = rng.integers(0, 9999, (3, 48, 64)).astype(np.uint16)
    calibrated = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(data / "stack.ome.tif", stack, metadata=calibrated)
    channels = rng.integers(0, 9999, (3, 48, 48)).astype(np.uint16)
    tifffile.imwrite(data / "channels.ome.tif", channels, metadata={"axes": "CYX"})
    return data


def open_file(session, path):
    """Open a file as napari's menu does."""
    return session.viewer.open(str(path), plugin=READER)


def save(session, path, **options):
    session.project.save(path, **options)
    session.wait()
    return path


def reopen(make, path, **options):
    session = make()
    session.project.open(path, **options)
    session.wait()
    return session


def heatmaps(session):
    """All heatmaps, by the name of their image and by class."""
    classes = session.classes
    return {
        (image.name, name): np.asarray(layer.data)
        for name in classes
        for image, layer in session.heatmaps_of(name).items()
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert expected
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=str(key))
