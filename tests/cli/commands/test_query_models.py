"""The model of a saved query, and files that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tifffile import imread

from napari_dinov3_sim.backbones import OfflineError, loading
from napari_dinov3_sim.core.state import LOW_PRECISION
from napari_dinov3_sim.store.query_files import load_query, save_query

pytestmark = pytest.mark.slow

QUERY = "a.query.safetensors"


@pytest.fixture
def saved(cli, folder):
    """Write a query of the built-in model, and return a function that changes it."""
    options = ("--out", "out", "--model", "builtin", "--save-query", QUERY)
    assert cli("similarity", "gray.png", "--at", 5, 5, *options).code == 0

    def change(**changes):
        save_query(replace(load_query(QUERY), **changes), QUERY)

    return change


@pytest.fixture
def ask(cli):
    def run(*options, query=QUERY):
        return cli("search", query, "rgb.png", "--out", "found", *options)

    return run


@pytest.fixture
def loaded(monkeypatch):
    """List the models that are loaded."""
    names, real = [], loading.load_backbone

    def load(model, **options):
        names.append(model)
        return real(model, **options)

    monkeypatch.setattr(loading, "load_backbone", load)
    return names


def test_without_an_option_it_is_the_model_of_the_query(saved, ask):
    assert ask("--json").json["model"] == "builtin"


def test_another_name_is_refused_before_anything_is_loaded(saved, ask, loaded, folder):
    line = ask("--model", "dinov3-vits16").refusal
    assert f"{QUERY} was made with the model builtin, and --model chooses dinov3-vits16" in line
    assert "leave --model out" in line
    assert loaded == []
    assert not (folder / "found").exists()


def test_an_alias_of_the_model_is_no_other_name(saved, ask, monkeypatch, backbone):
    saved(model="dinov3-vits16")
    monkeypatch.setattr(loading, "load_backbone", lambda *_args, **_options: backbone)
    assert ask("--model", "facebook/dinov3-vits16-pretrain-lvd1689m").code == 0


def test_other_weights_are_told_with_the_model_of_the_query(saved, ask):
    saved(fingerprint="other", model="my-weights")
    line = ask("--model", "builtin").refusal
    assert "made with the model my-weights, and --model builtin has other weights" in line
    assert "give the weights of my-weights with it" in line


def test_other_weights_of_the_same_name(saved, ask):
    saved(fingerprint="other")
    line = ask().refusal
    assert "made with the model builtin, and what has this name here has other weights" in line
    assert "give the weights of the query with --model" in line


def test_a_query_of_the_same_weights_in_another_arithmetic_is_answered(saved, ask):
    """A query that a GPU made is answered here, with embeddings of the arithmetic of here."""
    assert ask("--json").code == 0
    maps = sorted(Path("found").glob("*.cosine.tif"))
    before = [imread(path) for path in maps]
    saved(fingerprint=load_query(QUERY).fingerprint + LOW_PRECISION)
    assert ask("--overwrite", "--json").code == 0
    assert maps
    assert all(np.array_equal(imread(p), b) for p, b in zip(maps, before, strict=True))


def test_a_model_that_is_not_found_by_its_name(saved, ask):
    saved(model="my-weights")
    line = ask().refusal
    assert f"{QUERY} was made with the model my-weights" in line
    assert "give its weights file or folder with --model." in line


def test_the_built_in_model_is_no_cure_for_a_query_of_another(saved, ask, monkeypatch):
    def refuse(model, **_options):
        raise OfflineError(model, "the hub does not answer", "connect, or load `builtin`")

    saved(model="dinov3-vits16")
    monkeypatch.setattr(loading, "load_backbone", refuse)
    line = ask().refusal
    assert "made with the model dinov3-vits16, which cannot be loaded" in line
    assert "(the hub does not answer); connect, or give its weights file" in line
    assert "builtin" not in line


def test_a_device_that_is_not_here_is_told_as_it_is(saved, ask):
    saved(model="dinov3-vits16")
    line = ask("--device", "tpu").refusal
    assert "tpu" in line
    assert "--model" not in line


# --- files that are no query --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gray.png", "stack.npy", "a.TIF"])
def test_a_picture_in_the_place_of_a_query(ask, folder, name):
    np.save("stack.npy", np.zeros((5, 32, 32)))
    (folder / "a.TIF").write_bytes((folder / "gray.png").read_bytes())
    line = ask(query=name).refusal
    assert f"{name} is a picture, not a saved query" in line
    assert f"`napari-dinov3-sim similarity {name} --at X Y`" in line
    assert not (folder / "found").exists()


def test_other_files_that_are_no_query(ask, folder):
    (folder / "notes.txt").write_text("Dear diary")
    save_file({"fc.weight": torch.zeros(3, 3)}, folder / "w.safetensors")
    assert "gone does not exist" in ask(query="gone").refusal
    assert "gone.tif does not exist" in ask(query="gone.tif").refusal
    assert "notes.txt cannot be read as a saved query" in ask(query="notes.txt").refusal
    assert "w.safetensors is no saved query of this version" in ask(query="w.safetensors").refusal


# -- asked again ----------------------------------------------------------------------------------


def test_a_query_of_other_weights_is_asked_again_from_its_pictures(saved, ask, folder):
    saved(fingerprint="other", model="my-weights")
    told = ask("--ask-again", "--model", "builtin", "--json")
    assert told.code == 0
    assert told.json["model"] == "builtin"
    assert list((folder / "found").glob("*.tif"))
    assert load_query(QUERY).fingerprint == "other"


def test_a_query_without_pictures_cannot_be_asked_again(saved, ask):
    classes = load_query(QUERY).classes
    saved(classes=tuple(replace(one, thumbnails=()) for one in classes))
    assert "holds no pictures of what was clicked" in ask("--ask-again").refusal
