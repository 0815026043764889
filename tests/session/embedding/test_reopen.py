"""Embeddings on disk are found before the model is loaded, and never mixed with others."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from napari.components import ViewerModel

from heatmap_values import over_image
from napari_dinov3_sim.backbones import ModelIdentity
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import BackboneError, SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore
from patience import PATIENCE

from ..brute_force import PatchProjection, reference_embeddings, reference_map, reference_window

pytestmark = pytest.mark.slow


class Loader:
    """Loads a `PatchProjection`, and remembers it as `identity` says."""

    def __init__(self, identity="projection-1", fingerprint="projection-1", sign=1.0, error=None):
        self.identity, self.error = identity, error
        self.backbone = PatchProjection(fingerprint, sign)
        self.loaded = 0

    def __call__(self, model, report):
        self.loaded += 1
        if self.error is not None:
            raise self.error
        return self.backbone

    def known_identity(self, model):
        if self.identity is None:
            return None
        facts = ("cpu", "float32", self.identity, False, "none")
        return ModelIdentity(model, "Projection", 16, 12, *facts)


@pytest.fixture
def open_session(tmp_path):
    """Open a session as after a restart: what is there is on disk, or in the images."""
    sessions = []

    def open_(images, loader, runner=InlineRunner):
        viewer = ViewerModel()
        for number, pixels in enumerate(images):
            viewer.add_image(pixels, translate=(0, 200 * number), name=f"image {number}")
        store = EmbeddingStore(MemoryStore(), DiskStore(tmp_path / "store"))
        session = SimilaritySession(
            viewer, backbone="projection", runner=runner(), store=store, load_model=loader
        )
        sessions.append(session)
        return session

    yield open_
    for session in sessions:
        session.close()


@pytest.fixture
def pixels(rng):
    return [rng.normal(size=(70, 90)) for _ in range(3)]


def embed(session):
    session.embed()
    session.wait(PATIENCE)


def check_heatmaps(session, images, sign=1.0):
    """Every heatmap compares the first patch of the first image."""
    by_hand = partial(reference_embeddings, sign=sign)
    first = images[0].data
    query = by_hand(first, *reference_window(first))[0, 0]
    assert set(session.heatmaps) == set(images)
    for image in images:
        embeddings = by_hand(image.data, *reference_window(image.data))
        expected = reference_map(query, embeddings, image.data.shape)
        np.testing.assert_allclose(over_image(image, session.heatmaps[image]), expected, atol=1e-5)


@pytest.mark.parametrize("runner", [InlineRunner, ThreadRunner])
def test_a_click_is_answered_without_the_model(open_session, pixels, runner):
    embed(open_session(pixels, Loader()))
    loader = Loader(error=BackboneError("asked to load"))
    session = open_session(pixels, loader, runner)
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    check_heatmaps(session, session.images)
    assert (loader.loaded, session.backbone) == (0, None)


def test_the_patch_is_outlined_without_the_model(open_session, pixels):
    embed(open_session(pixels, Loader()))
    session = open_session(pixels, Loader(error=BackboneError("asked to load")))
    session.add_query(session.images[0], 20, 0)
    session.wait(PATIENCE)
    plane = next(iter(session._coordinator.targets.resolve().planes.values()))
    assert session._coordinator.scene.grid(plane).patch_size == 16
    assert np.ptp(session._coordinator.scene.outline(plane, 20, 0), axis=0).tolist() == [16, 16]


def test_only_what_is_new_loads_the_model_and_is_embedded(open_session, pixels):
    embed(open_session(pixels[:2], Loader()))
    loader = Loader()
    session = open_session(pixels, loader)
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    check_heatmaps(session, session.images)
    assert (loader.loaded, loader.backbone.calls) == (1, 1)
    assert session.backbone is loader.backbone


def test_a_recipe_that_is_not_on_disk_is_embedded_and_the_former_is_found(open_session, pixels):
    embed(open_session(pixels, Loader()))
    loader = Loader()
    session = open_session(pixels, loader)
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    session.recipe = Recipe(factor=2)
    session.wait(PATIENCE)
    assert loader.backbone.calls == 3
    session.recipe = Recipe()
    session.wait(PATIENCE)
    assert loader.backbone.calls == 3
    check_heatmaps(session, session.images)


@pytest.mark.parametrize("runner", [InlineRunner, ThreadRunner])
def test_another_model_than_the_card_told_starts_over(open_session, pixels, runner):
    """Two images are found by the identity; the third loads the model, which is another one."""
    embed(open_session(pixels[:2], Loader()))
    loader = Loader(fingerprint="projection-2", sign=-1.0)
    session = open_session(pixels, loader, runner)
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    assert (loader.loaded, loader.backbone.calls) == (1, 3)
    check_heatmaps(session, session.images, sign=-1.0)
    for plane in session._coordinator.targets.resolve().planes.values():
        assert session._coordinator.embedder.handle(plane.key).state.fingerprint == "projection-2"


def test_what_was_asked_for_without_a_click_starts_over_too(open_session, pixels):
    embed(open_session(pixels[:2], Loader()))
    loader = Loader(fingerprint="projection-2")
    session = open_session(pixels, loader)
    embed(session)
    assert loader.backbone.calls == 3
    planes = session._coordinator.targets.resolve().planes.values()
    states = [session._coordinator.embedder.handle(plane.key).state for plane in planes]
    assert [state.fingerprint for state in states] == ["projection-2"] * 3


def test_a_card_of_a_model_that_embedded_nothing_changes_nothing(open_session, pixels):
    loader = Loader(identity="projection-0")
    session = open_session(pixels, loader)
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    check_heatmaps(session, session.images)
    assert (loader.loaded, loader.backbone.calls) == (1, 3)


def test_what_is_found_stays_where_the_model_cannot_be_loaded(open_session, pixels):
    embed(open_session(pixels[:2], Loader()))
    loader = Loader(error=BackboneError("The weights are gone."))
    session = open_session(pixels, loader)
    session.add_query(session.images[0], 0, 0)
    with pytest.raises(SimilarityError, match="weights are gone"):
        session.wait(PATIENCE)
    check_heatmaps(session, session.images[:2])
    loader.error = None
    session.set_model("projection")
    session.wait(PATIENCE)
    check_heatmaps(session, session.images)


def test_choosing_the_model_that_is_known_keeps_its_answers(open_session, pixels):
    embed(open_session(pixels, Loader()))
    session = open_session(pixels, Loader(error=BackboneError("asked to load")))
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    changed = []
    session.model_changed.connect(lambda: changed.append(session.model))
    session.set_model("projection")
    assert changed == []
    check_heatmaps(session, session.images)


def test_pressing_embed_reads_again_what_was_found(open_session, pixels):
    """Pixels that were changed in place are not those that are on disk."""
    embed(open_session(pixels, Loader()))
    loader = Loader()
    session = open_session(pixels, loader, ThreadRunner)
    session.add_query(session.images[0], 0, 0)
    session.wait(PATIENCE)
    session.images[1].data[:] = session.images[1].data[::-1].copy()
    embed(session)
    assert (loader.loaded, loader.backbone.calls) == (1, 1)
    check_heatmaps(session, session.images)


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from napari.components import ViewerModel
from napari_dinov3_sim.backbones.background_import import is_imported
from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.embedding import model_loading
from napari_dinov3_sim.session.runner import ThreadRunner
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore

model_loading.LULL = 3600.0  # a slow machine must not pass for a lull
viewer, runner = ViewerModel(), ThreadRunner()
store = EmbeddingStore(MemoryStore(), DiskStore(Path(sys.argv[1])))
session = SimilaritySession(
    viewer, backbone="builtin", runner=runner, store=store, load_model=ModelLoader("cpu")
)
def told(what):
    print(what, "torch" in sys.modules, "transformers" in sys.modules)

session.wait()
told("started")
image = viewer.add_image(np.random.default_rng(0).integers(0, 255, (80, 90), np.uint8))
session.wait()
told("opened")
session.add_query(image, 30, 40)
session.wait()
told(f"answered {float(session.heatmaps[image].data.max()):.4f}")
model_loading.LULL = 0.0
viewer.add_image(np.zeros((20, 20)))
while not is_imported():
    runner.deliver(0.05)
told("idle")
session.close()
"""


def run_program(folder):
    """Open an image and click on it in a fresh interpreter whose cache is in the folder."""
    command = [sys.executable, "-c", PROGRAM, str(folder / "store")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=PATIENCE
    )
    return [line.rsplit(" ", 2) for line in done.stdout.splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="the cache is elsewhere")
def test_what_is_on_disk_is_answered_without_torch_which_comes_in_the_lull_after(tmp_path):
    first, second = run_program(tmp_path), run_program(tmp_path)
    assert first == [
        ["started", "False", "False"],
        ["opened", "False", "False"],
        ["answered 1.0000", "True", "True"],
        ["idle", "True", "True"],
    ]
    assert second == [
        ["started", "False", "False"],
        ["opened", "False", "False"],
        ["answered 1.0000", "False", "False"],
        ["idle", "True", "True"],
    ]
