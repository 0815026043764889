"""The command line in this process, on one built-in model that is loaded once."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from napari_dinov3_sim.backbones import loading
from napari_dinov3_sim.cli import main


@pytest.fixture(scope="session")
def backbone():
    return loading.load_backbone("builtin", device="cpu")


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch, backbone):
    """Everything but the weights of the built-in model is loaded for real."""
    real = loading.load_backbone

    def load(model, **options):
        return backbone if model == "builtin" else real(model, **options)

    monkeypatch.setattr(loading, "load_backbone", load)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def refusal(self):
        """The one line of a user's mistake."""
        assert self.code == 2, self
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("napari-dinov3-sim: error: ")
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def cli(capsys):
    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def picture():
    """Make an image array that is not constant."""

    def make(*shape, dtype=np.uint8, seed=0):
        values = np.random.default_rng(seed).random(shape) * 200
        return values.astype(dtype)

    return make


@pytest.fixture
def folder(tmp_path, monkeypatch, picture):
    """Return the current folder, with a grayscale, an RGB and an RGBA image in it."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(50, 70)).save("gray.png")
    Image.fromarray(picture(40, 64, 3, seed=1)).save("rgb.png")
    Image.fromarray(picture(33, 47, 4, seed=2)).save("rgba.png")
    return tmp_path


@pytest.fixture
def search(cli, folder):
    """Click into an image with the built-in model; results go to ``out``."""

    def run(query, *others, at=(5, 5)):
        options = ("--out", "out", "--model", "builtin")
        return cli("similarity", query, "--at", *at, *others, *options)

    return run
