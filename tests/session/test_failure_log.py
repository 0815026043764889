"""What goes wrong is told once, however many images it concerns, and again when asked for anew."""

from __future__ import annotations

import pytest

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.images.planes import LayerAxes, PlaneKey
from napari_dinov3_sim.session.runner import InlineRunner
from napari_dinov3_sim.session.status import FailureLog
from napari_dinov3_sim.session.worker_messages import Failure

from .brute_force import PatchProjection


class Broken(PatchProjection):
    def embed_patches(self, pixel_values):
        raise RuntimeError("no such kernel")


@pytest.fixture
def broken(viewer):
    session = SimilaritySession(viewer, backbone=Broken(), runner=InlineRunner())
    yield session
    session.close()


@pytest.fixture
def told(broken):
    failures = []
    broken.failed.connect(failures.append)
    return failures


def test_a_model_that_fails_with_every_image_is_told_once(broken, told, viewer, rng):
    images = [viewer.add_image(rng.normal(size=(40, 40))) for _ in range(3)]
    broken.embed()
    assert [failure.message.split(":")[0] for failure in told] == ["RuntimeError"]
    broken.embed()
    assert len(told) == 2, "it was asked for again"
    images[0].data = images[0].data + 1
    broken.add_query(images[0], 5, 5)
    assert len(told) == 3, "these pixels have not been told of"


def test_a_new_image_that_fails_as_others_did_is_told_of(broken, told, viewer, rng):
    first = viewer.add_image(rng.normal(size=(40, 40)))
    broken.add_query(first, 5, 5)
    assert len(told) == 1
    viewer.add_image(rng.normal(size=(40, 40)))
    assert len(told) == 2


def failure(message, layer=1, version=1):
    return Failure("plane", message, PlaneKey(LayerAxes(layer, version, (0, 1)), ()))


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ([failure("one")], 1),
        ([failure("one", layer=2)], 1),
        ([failure("one", version=2)], 2),
        ([failure("one", layer=2), failure("one", layer=2, version=3)], 2),
        ([failure("two")], 2),
        ([Failure("internal", "one"), Failure("internal", "one")], 1),
    ],
)
def test_what_counts_as_told(others, count):
    told = []
    failures = FailureLog(told.append)
    for one in (failure("one"), *others):
        failures.add(one)
    assert len(told) == count
    failures.reset()
    failures.add(failure("one"))
    assert len(told) == count + 1
