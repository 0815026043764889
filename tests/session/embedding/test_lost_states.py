"""Embeddings that are gone each time they are needed are not computed for ever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.embedding.embedder import Embedder
from napari_dinov3_sim.session.embedding.plane_states import MAX_TRIES
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.session.worker_messages import PlaneEmbedded
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore
from patience import PATIENCE


class ForgetfulDisk(DiskStore):
    """A disk that gives back nothing of what is put on it."""

    def get(self, *args, **kwargs):
        return None


@pytest.mark.slow
@pytest.mark.parametrize("runner", [InlineRunner, ThreadRunner])
def test_with_a_disk_that_gives_nothing_back_each_question_is_answered(
    viewer, backbone, rng, tmp_path, runner
):
    store = EmbeddingStore(MemoryStore(1), ForgetfulDisk(tmp_path))
    image = viewer.add_image(rng.normal(size=(6, 40, 40)), name="stack")
    session = SimilaritySession(viewer, backbone=backbone, runner=runner(), store=store)
    session.all_planes = True
    for question in range(1, MAX_TRIES + 3):
        session.add_query(image, 5 * question, 5)
        session.wait(PATIENCE)
        assert np.isfinite(over_image(image, session.heatmaps[image])).all()
        assert backbone.calls <= 12 * question
    session.close()


@pytest.mark.parametrize("runner", [InlineRunner, ThreadRunner])
def test_embeddings_of_another_model_are_given_up(viewer, backbone, rng, runner, monkeypatch):
    receive = Embedder._receive

    def changed(self, number, message):
        if isinstance(message, PlaneEmbedded):
            message = replace(message, state=replace(message.state, fingerprint="another"))
        receive(self, number, message)

    monkeypatch.setattr(Embedder, "_receive", changed)
    image = viewer.add_image(rng.normal(size=(40, 40)))
    session = SimilaritySession(viewer, backbone=backbone, runner=runner())
    session.add_query(image, 5, 5)
    with pytest.raises(SimilarityError, match="press Embed"):
        session.wait(PATIENCE)
    assert backbone.calls <= MAX_TRIES
    monkeypatch.undo()
    session.embed()
    session.wait(PATIENCE)
    assert image in session.heatmaps
    session.close()
