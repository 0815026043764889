"""Side by side as a session has it: begun, ended, and what happens in between."""

from __future__ import annotations

import pytest

from napari_dinov3_sim.session.interaction.side_by_side import ViewerState
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.versions import layers_in_viewbox

pytestmark = pytest.mark.slow


def mirrors(viewer):
    return [layer for layer in viewer.layers if mark_of(layer, "mirror")]


@pytest.fixture
def image(viewer, session, rng):
    return viewer.add_image(rng.normal(size=(40, 40)), name="flat")


def test_nothing_is_left_after_the_button_of_napari(session, viewer, image):
    session.add_query(image, 3, 3)
    before = list(viewer.layers)
    session.side_by_side = True
    assert len(mirrors(viewer)) == 1
    viewer.canvas.grid.enabled = False
    assert list(viewer.layers) == before
    assert not session.side_by_side
    assert session.queries.opacity == 1


def test_flat_images_beside_a_stack_that_is_not_searched(session, viewer, image, rng):
    stack = viewer.add_image(rng.normal(size=(3, 20, 20)), name="stack")
    session.set_target(stack, False)
    session.side_by_side = True
    assert len(mirrors(viewer)) == 1
    assert (image.visible, stack.visible) == (True, False)


def test_it_goes_on_with_the_points_layer_that_is_made_in_place_of_another(session, viewer, image):
    session.add_query(image, 3, 3)
    session.side_by_side = True
    viewer.layers.remove(session.queries)
    assert not mirrors(viewer)
    session.new_queries()
    assert session.side_by_side
    assert len(mirrors(viewer)) == 1
    assert session.queries.opacity == 0
    session.side_by_side = False
    assert not mirrors(viewer)
    assert session.queries.opacity == 1


def test_an_empty_points_layer_is_replaced_for_a_stack_meanwhile(session, viewer, image, rng):
    session.side_by_side = True
    viewer.add_image(rng.normal(size=(3, 20, 20)), name="stack")
    assert session.queries.ndim == 3
    assert len(mirrors(viewer)) == 2
    session.side_by_side = False
    assert not mirrors(viewer)


def test_results_stay_visible_in_the_viewbox_of_their_image(session, viewer, image, rng):
    other = viewer.add_image(rng.normal(size=(40, 40)), name="other", translate=(0, 50))
    session.add_query(image, 3, 3)
    session.results.labels()
    session.side_by_side = True
    session.results.peaks()
    for column, shown in enumerate((image, other)):
        found = layers_in_viewbox(viewer, (0, column))
        layers = [viewer.layers[index] for index in found]
        names = {layer.name for layer in layers if layer.visible}
        assert {f"{shown.name} objects", f"{shown.name} peaks"} <= names
    session.side_by_side = False
    assert viewer.layers["flat objects"].visible


def test_home_fits_what_is_side_by_side_and_the_view_comes_back(session, viewer, image, rng):
    far = viewer.add_image(rng.normal(size=(40, 40)), name="far", translate=(900, 900))
    session.set_target(far, False)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 11, 12), 3.5
    session.side_by_side = True
    camera = viewer.scene.camera
    fitted = camera.center, camera.zoom
    assert fitted[0] == pytest.approx((0, 19.5, 19.5))
    camera.zoom = 9
    viewer.reset_view()
    assert (camera.center, camera.zoom) == fitted
    session.side_by_side = False
    assert (camera.center, camera.zoom) == ((0, 11, 12), 3.5)
    viewer.reset_view()
    assert camera.center[1] > 400


def test_contours_and_outlines_are_seen_side_by_side(session, viewer, image):
    session.add_query(image, 3, 3)
    session.threshold = 0.3
    session.side_by_side = True
    roles = {role for role in ("contour", "outline") for la in viewer.layers if mark_of(la, role)}
    assert roles == {"contour", "outline"}
    for layer in viewer.layers:
        if mark_of(layer, "contour") or mark_of(layer, "outline"):
            assert layer.visible


def test_a_point_whose_image_shows_no_plane_is_drawn_nowhere(session, viewer, image, rng):
    session.add_query(image, 3, 3)  # the points have two axes, and are seen on every plane
    short = viewer.add_image(rng.normal(size=(2, 40, 40)), name="short", translate=(0, 0, 50))
    viewer.add_image(rng.normal(size=(6, 40, 40)), name="long", translate=(0, 0, 100))
    viewer.dims.set_point(0, 1)
    session.add_query(short, 20, 20)
    session.side_by_side = True
    for z, drawn in ((1, [0, 1, 1]), (4, [0, 1]), (0, [0, 1, 1])):
        viewer.dims.set_point(0, z)
        shown = (len(mirror.data) for mirror in mirrors(viewer) if mirror.visible)
        assert sorted(shown) == drawn


def test_layers_that_are_linked_are_shown_together_or_not_at_all(viewer):
    one, other = pair = [viewer.add_points([[1, 1]], name=name) for name in ("a", "b")]
    viewer.layers.link_layers(pair, ("visible",))
    state = ViewerState.of(viewer, viewer.add_points(name="queries"))
    for kept in ([one], [other], pair, [other], [one], [], pair):
        state.hide_all_but([layer.unique_id for layer in kept], viewer)
        assert [layer.visible for layer in pair] == [kept == pair] * 2
