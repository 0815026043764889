"""Whatever napari can open as an image is searched, or refused with a reason."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from napari.components import ViewerModel

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import PointError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.embedding import plane_reader as pixels_module
from napari_dinov3_sim.session.images import targets as targets_module
from napari_dinov3_sim.session.images.planes import refusal
from napari_dinov3_sim.session.runner import InlineRunner
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore
from patience import PATIENCE

from ..brute_force import PatchProjection

pytestmark = pytest.mark.slow

GOOD = {
    "bool": np.eye(40, dtype=bool),
    "uint8": np.arange(1600, dtype=np.uint8).reshape(40, 40),
    "int16": np.arange(-800, 800, dtype=np.int16).reshape(40, 40),
    "uint32": np.arange(1600, dtype=np.uint32).reshape(40, 40) * 2**20,
    "int64": np.arange(1600, dtype=np.int64).reshape(40, 40) * 2**50,
    "float16": np.linspace(-1, 1, 1600, dtype=np.float16).reshape(40, 40),
    "huge": np.linspace(-1e300, 1e300, 1600).reshape(40, 40),
    "tiny": np.linspace(-1e-300, 1e-300, 1600).reshape(40, 40),
    "constant": np.full((40, 40), 3.0),
    "one pixel": np.array([[5.0]]),
    "one row": np.arange(50.0)[np.newaxis],
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_every_real_image_is_searched(session, viewer, data):
    limits = (0, 1) if data.dtype == bool else None
    image = viewer.add_image(data, contrast_limits=limits)
    session.add_query(image, 0, 0)
    heatmap = over_image(image, session.heatmaps[image])
    assert heatmap.shape == data.shape
    assert np.isfinite(heatmap).all()
    assert heatmap[0, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_where_they_are(session, viewer, rng, value):
    data = rng.normal(size=(64, 64))
    data[:16, :16] = value
    image = viewer.add_image(data, contrast_limits=(-1, 1))
    session.add_query(image, 40, 40)
    assert np.isfinite(over_image(image, session.heatmaps[image])).all()


def test_rgb_and_rgba_are_searched(session, viewer, rng):
    rgb = rng.integers(0, 255, (40, 50, 3)).astype(np.uint8)
    rgba = np.dstack([rgb, np.full((40, 50), 255, np.uint8)])
    first = viewer.add_image(rgb, rgb=True)
    second = viewer.add_image(rgba, rgb=True, translate=(0, 100))
    session.add_query(first, 10, 10)
    one, two = (over_image(layer, session.heatmaps[layer]) for layer in (first, second))
    assert one.shape == (40, 50)
    np.testing.assert_allclose(one, two, atol=1e-6)


class LayerLike(SimpleNamespace):
    """Stands in for what napari 0.9 refuses to make a layer of, and other versions may not."""

    def __init__(self, data, **kwargs):
        super().__init__(data=data, name="odd", multiscale=False, rgb=False, **kwargs)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.full((40, 40), 1j), "odd: A complex image has no single brightness; take its magn"),
        (np.zeros((3, 0, 40)), "odd: The image has no pixels"),
        (np.array([["a"]]), "odd: Pixels of dtype <U1 are not numbers; convert the image"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_the_reason(data, reason):
    assert refusal(LayerLike(data)).startswith(reason)
    assert refusal(LayerLike(np.zeros((4, 4)))) is None


def test_a_refused_image_cannot_be_ticked_and_harms_no_other(session, viewer, rng, monkeypatch):
    good = viewer.add_image(rng.normal(size=(40, 40)), name="good")
    monkeypatch.setattr(targets_module, "refusal", lambda layer: f"{layer.name}: no.")
    bad = viewer.add_image(rng.normal(size=(40, 40)), name="bad", translate=(0, 100))
    assert session.refusal(bad) == "bad: no."
    session.set_target(bad, True)
    assert session.targets == [good]
    with pytest.raises(PointError, match="bad shows no plane that is searched"):
        session.add_query(bad, 1, 1)
    session.add_query(good, 1, 1)
    assert set(session.heatmaps) == {good}
    monkeypatch.undo()
    bad.data = rng.normal(size=(40, 40))
    assert set(session.heatmaps) == {good, bad}


def test_a_noisy_empty_plane_is_not_stretched_to_full_contrast(session, viewer, rng):
    stack = rng.normal(100, 1, size=(3, 64, 64))
    stack[1] += 1000 * rng.random((64, 64))
    image = viewer.add_image(stack)
    session.add_query(image, 5, 5)
    ((window,),) = session._coordinator.embedder._record.windows.values()
    assert window.low < 110
    assert window.high > 900


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=hnp.arrays(
        st.sampled_from([np.bool_, np.uint8, np.int32, np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=20),
    )
)
def test_no_array_breaks_a_session(data):
    viewer = ViewerModel()
    session = SimilaritySession(viewer, backbone=_backbone(), runner=InlineRunner())
    image = viewer.add_image(data, contrast_limits=(0, 1), rgb=False)
    session.add_query(image, 0, 0)
    session.wait(PATIENCE)
    heatmap = over_image(image, session.heatmaps[image])
    assert heatmap.shape == data.shape
    planes = np.isfinite(heatmap).all((-2, -1))
    assert planes.sum() == 1
    assert np.isnan(heatmap).all((-2, -1)).sum() == planes.size - 1
    session.close()


def _backbone():
    from ..brute_force import PatchProjection

    return PatchProjection()


def test_pixels_that_change_while_a_large_image_is_embedded_leave_nothing_behind(
    viewer, rng, tmp_path, monkeypatch
):
    """Neither an embedding nor tiles of the other pixels, under the digest of the first ones."""
    monkeypatch.setattr(pixels_module, "COPIED", 0)
    data = rng.normal(size=(100, 100))

    class Writing(PatchProjection):
        def embed_patches(self, pixel_values):
            data[:] = 0.0 if self.calls else data
            return super().embed_patches(pixel_values)

    disk = DiskStore(tmp_path)
    recipe = Recipe(Tiling(48, 16))
    session = SimilaritySession(
        viewer,
        backbone=Writing(),
        runner=InlineRunner(),
        store=EmbeddingStore(MemoryStore(), disk),
        recipe=recipe,
    )
    told = []
    session.failed.connect(told.append)
    session.add_query(viewer.add_image(data, contrast_limits=(-1, 1), name="live"), 5, 5)
    assert [f.message.split(";")[0] for f in told] == [
        "The pixels of live changed while they were embedded"
    ]
    assert session.heatmaps == {}
    assert list(tmp_path.rglob("*.safetensors")) == []
    session.close()


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((40, 50), np.nan),
        np.full((40, 50), 7, np.uint16),
        np.full((40, 50, 3), 255, np.uint8),
        np.zeros((3, 40, 50)),
    ],
    ids=["nan", "constant", "colour", "stack"],
)
def test_an_image_without_contrast_is_embedded_and_told_of_once(viewer, session, rng, pixels):
    told = []
    session.noticed.connect(told.append)
    lively = viewer.add_image(rng.normal(size=(3, 40, 50)), name="lively")
    viewer.add_image(np.stack([np.zeros((40, 50)), lively.data[0]]), name="half empty")
    viewer.dims.set_current_step(0, 0)
    empty = viewer.add_image(pixels, name="empty")
    session.add_query(lively, 5, 5)
    assert told == ["empty has no contrast: every patch looks the same."]
    assert empty in session.heatmaps
    session.embed()
    session.add_query(empty, 20, 20)
    assert len(told) == 1
    empty.data = np.zeros_like(pixels)
    assert len(told) == 2


NOWHERE = [(np.nan, 0), (0, np.inf)]
"""Translations that napari takes. With a scale, rotation or affine like that it cannot measure
its own layers any more."""


@pytest.mark.parametrize("place", NOWHERE, ids=str)
@pytest.mark.parametrize("sort", ["image", "points", "shapes", "labels"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # napari's own, when it measures the layer
def test_what_lies_nowhere_is_passed_over(session, viewer, rng, place, sort):
    good = viewer.add_image(rng.normal(size=(60, 60)), name="good")
    other = viewer.add_image(rng.normal(size=(60, 60)), name="other", translate=(0, 70))
    session.add_query(good, 5, 5)
    triangle = [[4, 4], [30, 4], [4, 30]]
    labels = np.zeros((60, 60), int)
    labels[5:20, 5:20] = 1
    layers = {
        "image": other,
        "points": session.queries,
        "shapes": viewer.add_shapes([triangle], shape_type="polygon"),
        "labels": viewer.add_labels(labels),
    }
    session.regions.add(layers["shapes"])
    session.regions.add(layers["labels"])
    layers[sort].translate = place
    if sort == "image":
        with pytest.raises(PointError, match="finite"):
            session.add_query(other, 5, 5)
    session.add_query(good, 40, 40)
    session.go_to_best_match()
    session.side_by_side = True
    session.side_by_side = False
    session.wait()
    assert good in session.heatmaps
    if sort == "image":
        np.testing.assert_array_equal(np.isfinite(over_image(good, session.heatmaps[good])), True)
