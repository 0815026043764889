"""A model is loaded when it is needed, once, and only if it is what its identity said."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from napari_dinov3_sim.backbones.errors import ModelChangedError
from napari_dinov3_sim.backbones.lazy_model import LazyModel


@dataclass(frozen=True)
class Known:
    fingerprint: str
    name: str = "a model"


def loader(*models):
    left, loaded = list(models), []

    def load():
        loaded.append(left.pop(0))
        return loaded[-1]

    return load, loaded


def test_what_is_remembered_stands_for_the_model():
    load, loaded = loader(Known("1"))
    model = LazyModel(load, identity=Known("1"))
    assert (model.fingerprint, model.identity, loaded) == ("1", Known("1"), [])
    assert model.load() is model.load() is loaded[0]


def test_of_what_nothing_is_remembered_is_loaded_at_once():
    load, loaded = loader(Known("1"))
    model = LazyModel(load)
    assert len(loaded) == 1
    assert model.identity is model.load() is loaded[0]


def test_what_is_loaded_already_is_not_loaded_again():
    load, loaded = loader()
    backbone = Known("1")
    assert LazyModel(load, backbone=backbone).load() is backbone
    assert loaded == []


def test_another_model_under_the_same_name_is_refused_each_time():
    load, _ = loader(Known("2"), Known("2"))
    model = LazyModel(load, identity=Known("1"))
    for _ in range(2):
        with pytest.raises(ModelChangedError, match="Cannot load a model: it is not what it was"):
            model.load()
    assert model.fingerprint == "1"
