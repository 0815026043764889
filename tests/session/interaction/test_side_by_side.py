"""Side by side as a session has it: begun, ended, and what happens in between."""

from __future__ import annotations

import pytest

from napari_dinov3_sim.session.layer_metadata import mark_of


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
