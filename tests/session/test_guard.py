"""One part of a refresh that fails stops no other, is told once, and recovers."""

from __future__ import annotations

import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.interaction.interaction import Interaction
from napari_dinov3_sim.session.layers.empty_points import EmptyPoints
from napari_dinov3_sim.session.layers.heatmaps import HeatmapLayers
from napari_dinov3_sim.session.layers.outlines import OutlineLayers
from napari_dinov3_sim.session.layers.overlays import Overlays
from napari_dinov3_sim.session.query.points import QueryPoints
from napari_dinov3_sim.session.query.regions import ShapeRegions
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE

from .brute_force import PatchProjection

pytestmark = [pytest.mark.guarded, pytest.mark.slow]

PARTS = [
    (OutlineLayers, "apply"),
    (Overlays, "apply"),
    (EmptyPoints, "update"),
    (QueryPoints, "draw"),
    (QueryPoints, "raise_to_top"),
    (HeatmapLayers, "rescale"),
    (ShapeRegions, "picks"),
]


def broken(*args, **kwargs):
    raise RuntimeError("it fell off")


@pytest.fixture(params=[InlineRunner, ThreadRunner])
def session(request, viewer):
    session = SimilaritySession(viewer, backbone=PatchProjection(), runner=request.param())
    session.failures = []
    session.failed.connect(session.failures.append)
    yield session
    session.close()


@pytest.mark.parametrize(("of", "part"), PARTS, ids=lambda part: getattr(part, "__name__", part))
def test_the_others_go_on_and_it_recovers(session, viewer, rng, monkeypatch, of, part):
    first, second = (viewer.add_image(rng.normal(size=(40, 40)), name=name) for name in "ab")
    triangle = [[4, 4], [30, 4], [4, 30]]
    drawn = viewer.add_shapes([triangle], shape_type="polygon", name="drawn")
    session.regions.add(drawn)
    session.wait()
    with monkeypatch.context() as patch:
        patch.setattr(of, part, broken)
        for place in (5, 20, 35):
            drawn.translate = (place / 1000, 0)  # else the regions are not asked again
            session.add_query(first, place, place, class_name=f"class at {place}")
            with pytest.raises(SimilarityError, match="it fell off"):
                session.wait()
        assert set(session.heatmaps) == {first, second}
        assert over_image(first, session.heatmaps_of("class at 35")[first])[35, 35] > 0.999
        assert "3 points" in session.status
    assert len(session.failures) == 1, "it is told once"
    assert "Please report" in session.failures[0].message
    viewer.dims.events.point()
    session.queries.add((35, 5))
    session.wait()
    assert len(session.failures) == 1
    assert {layer.name for layer in viewer.layers} >= {"a · outlines", "drawn"}
    assert "4 points and 1 region" in session.status


def test_a_refresh_that_cannot_be_begun_leaves_what_there_is(session, viewer, rng, monkeypatch):
    image = viewer.add_image(rng.normal(size=(40, 40)))
    session.add_query(image, 5, 5)
    session.wait()
    with monkeypatch.context() as patch:
        patch.setattr(QueryPoints, "locate", broken)
        session.queries.add((20, 20))
        with pytest.raises(SimilarityError, match=r"open failed with RuntimeError: it fell off"):
            session.wait(PATIENCE)
        assert set(session.heatmaps) == {image}
    session.queries.add((30, 30))
    session.wait()
    assert "3 points" in session.status


def test_side_by_side_that_fails_is_told_and_left(session, viewer, rng, monkeypatch):
    images = [viewer.add_image(rng.normal(size=(40, 40))) for _ in range(2)]
    session.add_query(images[0], 5, 5)
    session.wait()
    monkeypatch.setattr(Interaction, "arrange", broken)
    session.side_by_side = True
    with pytest.raises(SimilarityError, match="Side by side failed"):
        session.wait()
    session.side_by_side = False
    session.add_query(images[1], 5, 5)
    session.wait()
    assert set(session.heatmaps) == set(images)


def test_a_result_that_cannot_be_shown_is_told(session, viewer, rng, monkeypatch):
    from napari_dinov3_sim.session.results.result_layers import ResultLayers

    images = [viewer.add_image(rng.normal(size=(40, 40)), name=name) for name in "ab"]
    session.add_query(images[0], 5, 5)
    session.wait()
    show = ResultLayers.show_colours

    def show_second(self, found):
        return broken() if found.layer.layer_id == images[0].unique_id else show(self, found)

    monkeypatch.setattr(ResultLayers, "show_colours", show_second)
    session.results.colours()
    with pytest.raises(SimilarityError, match="it fell off"):
        session.wait(PATIENCE)
    assert not session.results.pending
    assert "b colours" in {layer.name.replace(" ·", "") for layer in viewer.layers}
