"""The model to begin with needs no download."""

from __future__ import annotations

import pytest

from napari_dinov3_sim.backbones import BUILTIN, DEFAULT_MODEL, MODELS
from napari_dinov3_sim.backbones.files.locate import first_choice


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def keep(cache, repo, name="model.safetensors"):
    folder = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / "0123abcd"
    folder.mkdir(parents=True)
    (folder / name).touch()


def test_without_weights_it_is_the_built_in_one(cache):
    assert first_choice() == BUILTIN


def test_a_folder_without_weights_does_not_count(cache):
    keep(cache, MODELS[DEFAULT_MODEL].sources[0].repo, "config.json")
    assert first_choice() == BUILTIN


@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json"])
def test_weights_that_are_here_come_first(cache, name):
    large = MODELS["dinov3-vitl16"]
    keep(cache, large.sources[-1].repo, name)
    assert first_choice() == "dinov3-vitl16"
    keep(cache, MODELS[DEFAULT_MODEL].sources[-1].repo)
    assert first_choice() == DEFAULT_MODEL
