"""The command line in this process, on one built-in model that is loaded once."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_dinov3_sim.backbones import ModelIdentity, loading
from napari_dinov3_sim.backbones import identity as identity_module
from napari_dinov3_sim.cli.parser import main
from napari_dinov3_sim.core.errors import BackboneError
from napari_dinov3_sim.core.images import levels


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
        options = ("--out", "out", "--model", "builtin", "--overwrite")
        return cli("similarity", query, "--at", *at, *others, *options)

    return run


@pytest.fixture
def stack(folder, picture):
    """Write a stack as three classes of files, and return it."""
    values = picture(4, 33, 47, dtype=np.uint16)
    values[0] //= 50  # a dark plane, which the window of the stack leaves dark
    np.save("stack.npy", values)
    tifffile.imwrite("plain.tif", values, photometric="minisblack")
    tifffile.imwrite("packed.tif", values, photometric="minisblack", compression="zlib")
    return values


@pytest.fixture
def ome(folder, picture):
    """Write an OME-Zarr of two channels, two planes and two levels, and return the finest."""
    zarr = pytest.importorskip("zarr")
    image = picture(2, 2, 66, 94, dtype=np.uint16) * np.uint16(100)
    root = zarr.open_group("a.zarr", mode="w")
    root.create_array("0", data=image, chunks=(1, 1, 32, 32))
    root.create_array("1", data=image[..., ::2, ::2], chunks=(1, 1, 32, 32))
    classes = (("c", "channel"), ("z", "space"), ("y", "space"), ("x", "space"))
    axes = [{"name": name, "type": class_name} for name, class_name in classes]
    datasets = [{"path": "0"}, {"path": "1"}]
    root.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return image


@pytest.fixture
def coarse(ome, monkeypatch):
    """The second level is embedded."""
    monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", 66 * 94 - 1)
    return ome


@pytest.fixture
def unloadable(backbone, monkeypatch):
    """From when it is called, the model is remembered and fails if anybody loads it."""
    identity = ModelIdentity(
        **{field.name: getattr(backbone, field.name) for field in fields(ModelIdentity)}
    )

    def load(*_, **__):
        raise BackboneError("asked to load")

    def forget():
        monkeypatch.setattr(identity_module, "known_identity", lambda *_: identity)
        monkeypatch.setattr(loading, "load_backbone", load)

    return forget
