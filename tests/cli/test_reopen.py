"""What `embed` wrote is found without the model: by the command line, and in a viewer."""

from __future__ import annotations

from dataclasses import fields, replace

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from PIL import Image
from skimage.io import imread

from heatmap_values import over_image
from napari_dinov3_sim.backbones import ModelIdentity, loading
from napari_dinov3_sim.backbones import identity as identity_module
from napari_dinov3_sim.core.errors import BackboneError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore
from patience import PATIENCE

pytestmark = pytest.mark.slow

MODEL = ("--model", "builtin")


@pytest.fixture
def identity(backbone, monkeypatch):
    """The built-in model is remembered from here on."""
    identity = ModelIdentity(
        **{field.name: getattr(backbone, field.name) for field in fields(ModelIdentity)}
    )
    monkeypatch.setattr(identity_module, "known_identity", lambda *_: identity)
    return identity


@pytest.fixture
def unloadable(identity, monkeypatch):
    """The model is remembered, and fails if anybody loads it."""

    def load(*_, **__):
        raise BackboneError("asked to load")

    monkeypatch.setattr(loading, "load_backbone", load)
    return identity


def test_what_is_done_is_skipped_unloaded(cli, folder, backbone, request):
    cli("embed", "gray.png", "rgb.png", "--out", "store", *MODEL)
    request.getfixturevalue("unloadable")
    report = cli("embed", "gray.png", "rgb.png", "--out", "store", *MODEL, "--json").json
    assert [entry["skipped"] for entry in report["images"]] == [True, True]
    assert report["fingerprint"] == backbone.fingerprint
    failed = cli("embed", "gray.png", "rgba.png", "--out", "store", *MODEL)
    assert (failed.code, "asked to load" in failed.err) == (2, True)


def test_similarity_is_answered_unloaded(cli, folder, request):
    cli("embed", "gray.png", "rgb.png", "--out", "store", *MODEL)
    ask = ("similarity", "gray.png", "rgb.png", "--at", 5, 5, *MODEL)
    loaded = cli(*ask, "--out", "loaded", "--json").json
    request.getfixturevalue("unloadable")
    report = cli(*ask, "--out", "out", "--embeddings", "store", "--json").json
    assert {key: report[key] for key in ("label", "device", "dtype", "fingerprint")} == {
        key: loaded[key] for key in ("label", "device", "dtype", "fingerprint")
    }
    for name in ("gray", "rgb"):
        expected = tifffile.imread(f"loaded/{name}.cosine.tif")
        found = tifffile.imread(f"out/{name}.cosine.tif")
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("command", ["embed", "similarity"])
def test_a_model_that_is_another_one_mixes_nothing(
    cli, folder, backbone, identity, monkeypatch, command
):
    cli("embed", "gray.png", "--out", "store", *MODEL)
    other = replace(backbone, fingerprint="f" * 64)
    monkeypatch.setattr(loading, "load_backbone", lambda *_, **__: other)
    options = ("--out", "store") if command == "embed" else ("--out", "out", "--at", 5, 5)
    if command == "similarity":
        options += ("--embeddings", "store")
    outcome = cli(command, "gray.png", "rgb.png", *options, *MODEL)
    assert outcome.code == 2
    assert "stored embeddings of that model were used; start again." in outcome.err
    assert len(list((folder / "store").iterdir())) == 1


@pytest.fixture
def reopened(tmp_path, identity):
    """Open layers in a session on the folder that `embed` wrote; the model cannot be loaded."""
    sessions = []

    def load(model, report):
        raise BackboneError("asked to load")

    load.known_identity = lambda model: identity

    def open_(add_layers, *, all_planes=False, auto_merge=True):
        viewer = ViewerModel()
        add_layers(viewer)
        store = EmbeddingStore(MemoryStore(), DiskStore(tmp_path / "store"))
        session = SimilaritySession(
            viewer,
            backbone="builtin",
            runner=InlineRunner(),
            store=store,
            load_model=load,
            auto_merge=auto_merge,
        )
        sessions.append(session)
        session.all_planes = all_planes
        session.add_query(session.images[0], 3, 3)
        session.wait(PATIENCE)
        assert session.backbone is None
        return session

    yield open_
    for session in sessions:
        session.close()


def test_a_picture_is_found_in_a_viewer(cli, folder, reopened):
    names = ("gray.png", "rgb.png", "rgba.png")
    assert cli("embed", *names, "--out", "store", *MODEL).code == 0

    def add(viewer):
        for name in names:
            viewer.add_image(imread(name), name=name)

    assert len(reopened(add).heatmaps) == 3


@pytest.mark.parametrize("dtype", ["uint16", ">u2", "float32"])
@pytest.mark.parametrize("shape", [(40, 50), (5, 40, 50), (2, 3, 40, 50)])
def test_every_plane_of_a_tiff_is_found_in_a_viewer(cli, folder, reopened, picture, shape, dtype):
    stack = (picture(*shape) * 100.0).astype(dtype)
    tifffile.imwrite("stack.tif", stack, photometric="minisblack")
    assert cli("embed", "stack.tif", "--out", "store", *MODEL).code == 0

    def add(viewer):
        viewer.add_image(tifffile.imread("stack.tif"))

    assert len(reopened(add).heatmaps) == 1
    session = reopened(add, all_planes=True)
    ((image, heatmap),) = session.heatmaps.items()
    values = over_image(image, heatmap)
    assert values.shape == shape
    assert np.isfinite(values).all()


def test_every_plane_of_every_channel_of_ome_zarr_is_found(cli, folder, reopened, picture):
    zarr = pytest.importorskip("zarr")
    root = zarr.open_group("a.zarr", mode="w")
    image = picture(2, 3, 40, 50).astype("u2") * 100
    root.create_array("0", data=image)
    root.create_array("1", data=image[..., ::2, ::2])
    classes = (("c", "channel"), ("z", "space"), ("y", "space"), ("x", "space"))
    axes = [{"name": name, "type": class_name} for name, class_name in classes]
    datasets = [{"path": "0"}, {"path": "1"}]
    root.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    assert cli("embed", "a.zarr", "--out", "store", *MODEL).code == 0

    def add(viewer):
        levels = [da.from_zarr(f"a.zarr/{level}") for level in (0, 1)]
        viewer.add_image(levels, channel_axis=0, multiscale=True)

    # The command line embeds channels one by one.
    session = reopened(add, all_planes=True, auto_merge=False)
    assert len(session.heatmaps) == 2
    for image, heatmap in session.heatmaps.items():
        values = over_image(image, heatmap)
        assert values.shape == (3, 40, 50)
        assert np.isfinite(values).all()


def test_the_level_of_a_pyramid_that_is_embedded_is_the_one_that_is_found(
    cli, folder, reopened, picture, monkeypatch
):
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr("napari_dinov3_sim.core.images.levels.MAX_LEVEL_PIXELS", 1000)
    root = zarr.open_group("a.zarr", mode="w")
    image = picture(3, 40, 50).astype("u2") * 100
    root.create_array("0", data=image)
    root.create_array("1", data=image[:, ::2, ::2])
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    datasets = [{"path": "0"}, {"path": "1"}]
    root.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    assert cli("embed", "a.zarr", "--out", "store", *MODEL).code == 0

    def add(viewer):
        viewer.add_image([da.from_zarr(f"a.zarr/{level}") for level in (0, 1)], multiscale=True)

    session = reopened(add, all_planes=True)
    assert [plane.level for plane in session._coordinator.targets.resolve().planes.values()] == [1]
    assert len(session.heatmaps) == 1


def test_a_changed_picture_is_not_found(cli, folder, reopened, picture):
    assert cli("embed", "gray.png", "--out", "store", *MODEL).code == 0
    Image.fromarray(picture(50, 70, seed=9)).save("gray.png")
    with pytest.raises(BackboneError, match="asked to load"):
        reopened(lambda viewer: viewer.add_image(imread("gray.png")))
