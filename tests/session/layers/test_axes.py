"""Layers over an image that gets other axes, or axes that look like colours."""

from __future__ import annotations

import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner

pytestmark = pytest.mark.slow

SHAPES = [(64, 64), (3, 64, 64), (2, 3, 64, 64)]


@pytest.fixture(params=[InlineRunner, ThreadRunner])
def session(request, viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=request.param())
    yield session
    session.close()


@pytest.mark.parametrize("old", SHAPES)
@pytest.mark.parametrize("new", SHAPES)
@pytest.mark.parametrize("side_by_side", [False, True])
def test_all_that_lies_over_an_image_follows_its_axes(
    session, viewer, rng, old, new, side_by_side
):
    image = viewer.add_image(rng.random(old), name="a")
    other = viewer.add_image(rng.random((64, 64)), name="b", translate=(0, 80))
    session.add_query(image, 20, 20)
    session.add_query(image, 40, 40, class_name="second")
    session.wait()
    session.results.labels(0.5)
    session.results.peaks()
    session.results.colours()
    session.side_by_side = side_by_side
    session.wait()
    image.data = rng.random(new)
    session.wait()
    viewer.dims.set_point(0, 1)
    session.add_query(other, 9, 9)
    session.wait()
    session.results.labels(0.5)
    session.results.peaks()
    session.results.colours()
    session.wait()
    for class_name in ("class 1", "second"):
        for target, layer in session.heatmaps_of(class_name).items():
            assert over_image(target, layer).shape == target.data.shape
    assert {target.name for target in session.heatmaps} == {"a", "b"}
    outlined = {layer.name for layer in viewer.layers if layer.name.endswith("outlines")}
    assert {"a · outlines", "b · outlines"} >= outlined >= {"b · outlines"}
    for layer in viewer.layers:
        over = layer.metadata.get("napari_dinov3_sim", {})
        if isinstance(over, dict) and over.get("image") == image.unique_id:
            assert layer.ndim in (image.ndim, len(old))


@pytest.mark.parametrize("shape", [(40, 50, 3), (40, 50, 4), (2, 40, 50, 3), (9, 50, 4)])
def test_a_last_axis_of_three_or_four_is_no_colour(session, viewer, rng, shape):
    image = viewer.add_image(rng.random(shape), rgb=False, name="grey")
    other = viewer.add_image(rng.random((64, 64)), name="other")
    session.add_query(other, 9, 9)
    session.add_query(other, 40, 40, class_name="second")
    session.wait()
    session.results.labels(0.2)
    session.results.peaks()
    session.results.colours()
    session.wait()
    for class_name in ("class 1", "second"):
        heatmap = session.heatmaps_of(class_name)[image]
        assert (heatmap.rgb, over_image(image, heatmap).shape) == (False, shape)
    assert session.class_maps[image].data.shape == shape
    assert np.isfinite(over_image(image, session.heatmaps[image])).any()
