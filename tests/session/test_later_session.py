"""A session that is opened on a viewer where an earlier one was closed."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from napari.utils import Colormap

from heatmap_values import over_image
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

pytestmark = pytest.mark.slow


@pytest.fixture
def later(viewer, backbone):
    """Open another session, to be called when the first one is closed."""
    sessions = []

    def open_():
        sessions.append(SimilaritySession(viewer, backbone=backbone, runner=InlineRunner()))
        return sessions[-1]

    yield open_
    for session in sessions:
        session.close()


@pytest.fixture
def image(viewer, session, rng):
    image = viewer.add_image(rng.normal(size=(40, 40)), name="image")
    session.add_query(image, 3, 3)
    return image


def test_a_heatmap_follows_an_image_that_moved_while_nobody_looked(session, image, later):
    heatmap = session.heatmaps[image]
    session.close()
    image.translate = (0, -4)
    assert later().heatmaps[image] is heatmap
    corner = image.data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(heatmap.data_to_world((-0.5, -0.5)), corner)
    over_image(image, heatmap)  # which looks at the other corners, too


@pytest.fixture
def other(viewer, session, image, rng):
    """An image that nothing was clicked in, and so may be hidden when a session begins."""
    return viewer.add_image(rng.normal(size=(40, 40)), name="other", translate=(0, 50))


def test_a_heatmap_that_was_hidden_with_its_image_is_shown_with_it(session, other, later):
    heatmap = session.heatmaps[other]
    other.visible = False
    session.close()
    later()
    assert not heatmap.visible
    other.visible = True
    assert heatmap.visible


@pytest.mark.parametrize("visible", [True, False])
def test_a_heatmap_is_shown_as_its_image_is_by_now(session, other, later, visible):
    heatmap = session.heatmaps[other]
    other.visible = not visible
    session.close()
    other.visible = visible
    later()
    assert heatmap.visible == visible


def test_a_heatmap_that_the_user_hid_stays_hidden(session, image, later):
    heatmap = session.heatmaps[image]
    heatmap.visible = False
    session.close()
    later()
    image.visible = False
    image.visible = True
    assert not heatmap.visible


def test_a_look_that_only_napari_knows_does_not_stop_the_controls(session, image, later):
    heatmap = session.heatmaps[image]
    session.style(opacity=0.4)
    session.close()
    with suppress(ValueError):  # older versions of napari have no such blending
        heatmap.blending = "multiplicative"
    heatmap.colormap = Colormap([[0, 0, 0, 0], [1, 0, 1, 1]], name="of a script")
    second = later()
    assert second.heatmap_style.opacity == 0.4
    second.heatmap_style.check()
    second.style(opacity=0.6)
    assert heatmap.opacity == 0.6
