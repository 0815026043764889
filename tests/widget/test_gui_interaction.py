"""A real mouse in a real viewer: dragging, hovering, looking for matches, side by side."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from heatmap_values import over_image
from napari_dinov3_sim import SimilaritySession

from .dock_helpers import (
    PATCH,
    Loader,
    best_patch,
    canvas_of,
    canvas_position,
    drawn,
    place_of,
    squares,
)

pytestmark = pytest.mark.gui


@pytest.fixture
def pair(make_napari_viewer, qtbot):
    """A viewer with two images beside each other, a session, and one answered point."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    session = SimilaritySession(viewer, backbone="tiny", load_model=Loader())
    left = viewer.add_image(squares((1, 1)), name="left")
    right = viewer.add_image(squares((3, 2)), translate=(0, 200), name="right")
    qtbot.waitUntil(lambda: session.queries is not None)
    session.add_query(left, 8, 8)
    qtbot.waitUntil(lambda: len(session.heatmaps) == 2 and not session.busy)
    viewer.reset_view()
    drawn(qtbot, viewer)
    yield viewer, session, left, right
    session.close()


def settled(qtbot, session):
    """Wait for what was just done: it is noticed in the next turn of the event loop."""
    qtbot.let_pass()
    qtbot.waitUntil(lambda: not session.busy)


def test_heatmaps_follow_a_point_while_it_is_dragged(pair, qtbot):
    viewer, session, left, right = pair
    session.queries.mode = "select"
    session.queries.selected_data = set()
    settled(qtbot, session)
    canvas, seen = canvas_of(viewer), []
    # Without a move before: that would be the screen's own, and come late, and drag back.
    start = place_of(qtbot, viewer, left, (8, 8))
    session.answered.connect(lambda: seen.append(over_image(right, session.heatmaps[right])))
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    for place in (20, 40, 24):  # in another patch each
        before = len(seen)
        qtbot.mouseMove(canvas, canvas_position(viewer, left, (place, place)))
        # Not only when the button is released.
        qtbot.waitUntil(
            lambda before=before, place=place: (
                len(seen) > before and np.abs(session.queries.data[0] - place).max() <= 1
            )
        )
    qtbot.mouseRelease(
        canvas, Qt.MouseButton.LeftButton, pos=canvas_position(viewer, left, (24, 24))
    )
    settled(qtbot, session)
    qtbot.waitUntil(lambda: best_patch(session.heatmaps[right]) == (3, 2))
    assert len(session.queries.data) == 1
    assert session.undo()
    settled(qtbot, session)
    np.testing.assert_allclose(session.queries.data[0], (8, 8), atol=1)


def test_hovering_shows_the_map_of_the_patch_under_the_mouse(pair, qtbot):
    viewer, session, left, right = pair
    points = session.queries.data.copy()
    session.hovering = True

    def follows():
        for pixel in ((1 * PATCH + 4, 1 * PATCH + 8), (1 * PATCH + 5, 1 * PATCH + 9)):
            qtbot.mouseMove(canvas_of(viewer), canvas_position(viewer, left, pixel))
        return best_patch(session.heatmaps[right]) == (3, 2)

    qtbot.waitUntil(follows)
    np.testing.assert_array_equal(session.queries.data, points)
    session.hovering = False
    qtbot.waitUntil(lambda: not session.busy and best_patch(session.heatmaps[left]) != (1, 1))


def test_the_score_under_the_mouse_is_in_the_status_bar(pair, qtbot):
    viewer, session, left, _ = pair

    def score_is_shown():
        for pixel in ((4, 4), (8, 8)):
            qtbot.mouseMove(canvas_of(viewer), canvas_position(viewer, left, pixel))
        # napari's own thread would say this; its test fixture keeps it from running.
        viewer.status = {**session.queries.get_status((8, 8)), "coordinates": " [8, 8]"}
        return viewer.status["coordinates"] == " [8, 8]  similarity 1.00"

    qtbot.waitUntil(score_is_shown)
    assert viewer.status["layer_name"] == session.queries.name


def test_the_patch_that_was_clicked_is_outlined_and_the_best_match_is_gone_to(pair, qtbot):
    viewer, session, left, right = pair
    (outline,) = [layer for layer in viewer.layers if layer.name == "left · outlines"]
    np.testing.assert_allclose(outline.data[:, 0].min(0), (-0.5, -0.5))
    np.testing.assert_allclose(outline.data[:, 0].max(0), (PATCH - 0.5, PATCH - 0.5))
    session.add_query(left, 1 * PATCH + 3, 1 * PATCH + 3)
    session.queries.selected_data = {0}
    session.queries.remove_selected()
    settled(qtbot, session)
    assert session.go_to_best_match()
    centre = right.world_to_data(viewer.scene.camera.center[-2:])
    assert (centre // PATCH).astype(int).tolist() == [3, 2]


def test_side_by_side_takes_clicks_in_every_viewbox_and_leaves_no_trace(pair, qtbot):
    viewer, session, *_ = pair
    before = [(layer.name, tuple(layer.translate), layer.visible) for layer in viewer.layers]
    camera = viewer.scene.camera.center
    session.side_by_side = True
    drawn(qtbot, viewer)
    assert viewer.canvas.grid.enabled
    assert viewer.canvas.grid.shape == (1, 2)
    session.side_by_side = False
    drawn(qtbot, viewer)
    after = [(layer.name, tuple(layer.translate), layer.visible) for layer in viewer.layers]
    assert after == before
    assert viewer.scene.camera.center == camera
    assert not viewer.canvas.grid.enabled
