"""Side by side: which viewbox shows what, and that nothing is left of it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_dinov3_sim.session.interaction.side_by_side import SideBySide
from napari_dinov3_sim.versions import layers_in_viewbox

pytestmark = pytest.mark.slow


@pytest.fixture
def queries(viewer):
    """The viewer's query layer, over three images with heatmaps and a layer of the user's."""
    for index, heatmaps in enumerate((2, 1, 0)):
        viewer.add_image(np.zeros((8, 8)), name=f"image {index}", translate=(index, 0))
        for number in range(heatmaps):
            viewer.add_image(np.zeros((8, 8)), name=f"heat {index} {number}")
    viewer.add_labels(np.zeros((8, 8), int), name="labels")
    layer = viewer.add_points(ndim=2, name="query", opacity=0.8, border_color="cyan")
    layer.mode = "add"
    return layer


@pytest.fixture
def groups(viewer, queries):
    return [[la for la in viewer.layers if la.name.split()[1:2] == [str(i)]] for i in range(3)]


def where(layer):
    return layer.data, layer.scale, layer.translate, layer.affine.affine_matrix


def state(viewer):
    """All that must be the same afterwards."""
    names = ("name", "visible", "opacity", "mode", "editable")
    layers = [
        [*(getattr(layer, name) for name in names), *map(np.ndarray.tolist, where(layer))]
        for layer in viewer.layers
    ]
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    shown = (grid.enabled, grid.stride, grid.shape, grid.spacing, camera.center, camera.zoom)
    return layers, shown, viewer.layers.selection.active, set(viewer.layers.selection)


def contents(viewer, *viewbox):
    """Names of the layers that napari draws in a viewbox."""
    found = [viewer.layers[index] for index in layers_in_viewbox(viewer, viewbox)]
    return [layer.name for layer in found if layer.visible]


def test_each_viewbox_has_an_image_its_heatmaps_and_its_points(viewer, queries, groups):
    SideBySide(viewer, queries).arrange(groups)
    assert viewer.canvas.grid.shape == (2, 2)
    points = "query: points"
    assert contents(viewer, 0, 0) == ["image 0", "heat 0 0", "heat 0 1", points]
    assert contents(viewer, 0, 1) == ["image 1", "heat 1 0", f"{points} [1]"]
    assert contents(viewer, 1, 0) == ["image 2", f"{points} [2]"]
    # Transparent, on top, and the one that is clicked in all of them.
    assert contents(viewer, 1, 1) == ["query"]
    assert viewer.layers[-1] == queries
    assert (queries.opacity, queries.visible, queries.mode) == (0, True, "add")
    assert viewer.layers.selection.active == queries
    assert not viewer.layers["labels"].visible


def test_no_viewbox_is_left_over_for_the_query_layer_alone(viewer, queries, groups):
    SideBySide(viewer, queries).arrange(groups[:2])
    assert viewer.canvas.grid.shape == (1, 2)
    assert contents(viewer, 0, 0)[-1] == "query"


def test_everything_is_as_it_was_afterwards(viewer, queries, groups):
    queries.add([[1, 1], [2, 2]])
    viewer.layers["heat 0 1"].visible = False
    viewer.layers.selection = {viewer.layers["image 1"], queries}
    viewer.canvas.grid.stride = 3
    viewer.scene.camera.zoom, viewer.scene.camera.center = 7, (1, 2)
    before = state(viewer)
    side = SideBySide(viewer, queries)
    side.arrange([groups[2], groups[0], groups[1]])
    side.show_points([0, 1])
    assert state(viewer) != before
    side.leave()
    assert state(viewer) == before
    assert (side.active, side.made) == (False, [])
    side.leave()


def test_napari_s_own_button_ends_it(viewer, queries, groups):
    before, ended = state(viewer), []
    side = SideBySide(viewer, queries, lambda: ended.append(True))
    side.arrange(groups)
    viewer.canvas.grid.enabled = False
    assert (ended, side.active) == ([True], False)
    assert state(viewer) == before


def test_a_grid_of_the_user_comes_back_unless_it_was_just_switched_off(viewer, queries, groups):
    viewer.canvas.grid.enabled = True
    side = SideBySide(viewer, queries)
    side.arrange(groups)
    side.leave()
    assert viewer.canvas.grid.enabled
    side.arrange(groups)
    viewer.canvas.grid.enabled = False
    assert not viewer.canvas.grid.enabled


def test_no_groups_end_it(viewer, queries, groups):
    before = state(viewer)
    side = SideBySide(viewer, queries)
    side.arrange([])
    side.arrange(groups)
    side.arrange([])
    assert state(viewer) == before


def test_the_group_of_a_viewbox(viewer, queries, groups):
    side = SideBySide(viewer, queries)
    assert side.group_at((0, 0)) is None
    side.arrange(groups)
    boxes = [(0, 0), (0, 1), (1, 0), (1, 1), None]
    assert [side.group_at(box) for box in boxes] == [0, 1, 2, None, None]
    viewer.layers["image 0"].visible = False
    assert side.group_at((0, 0)) == 0


def test_points_are_drawn_where_they_belong_and_as_they_look(viewer, queries, groups):
    side = SideBySide(viewer, queries)
    side.arrange(groups)
    queries.add([[1, 1], [2, 2], [3, 3]])
    queries.symbol = ["disc", "cross", "disc"]
    queries.border_color = np.eye(3, 4) + np.eye(4)[3]
    side.show_points([1, 1, None])
    shown = [mirror.data.tolist() for mirror in side.made[:3]]
    assert shown == [[[3, 3]], [[1, 1], [2, 2], [3, 3]], [[3, 3]]]
    np.testing.assert_array_equal(side.made[1].border_color, queries.border_color)
    assert list(side.made[1].symbol) == list(queries.symbol)
    queries.data = [[5, 5]]
    side.show_points([0])
    assert [len(mirror.data) for mirror in side.made[:3]] == [1, 0, 0]


def test_mirrors_lie_where_the_query_layer_lies(viewer, queries, groups):
    queries.scale, queries.translate = (2, 3), (5, 5)
    side = SideBySide(viewer, queries)
    side.arrange(groups)
    queries.add([1, 1])
    side.show_points([0])
    assert tuple(side.made[0].data_to_world(side.made[0].data[0])) == (7, 8)
    queries.scale = (4, 4)
    side.show_points([0])
    assert tuple(side.made[0].data_to_world(side.made[0].data[0])) == (9, 9)


def test_a_new_heatmap_joins_its_image_and_stays_there(viewer, queries, groups):
    side = SideBySide(viewer, queries)
    side.arrange(groups)
    new = Image(np.zeros((8, 8)), name="heat 1 1")
    viewer.layers.insert(viewer.layers.index(groups[1][-1]) + 1, new)
    viewer.layers.selection.active = queries
    groups[1].append(new)
    side.arrange(groups)
    assert contents(viewer, 0, 1) == ["image 1", "heat 1 0", "heat 1 1", "query: points [1]"]
    assert contents(viewer, 0, 0)[:3] == ["image 0", "heat 0 0", "heat 0 1"]
    side.leave()
    names = [layer.name for layer in viewer.layers]
    assert names[names.index("heat 1 0") + 1] == "heat 1 1"
    assert names[-1] == "query"


def test_a_hidden_layer_that_becomes_a_target_is_shown(viewer, queries, groups):
    side = SideBySide(viewer, queries)
    side.arrange(groups[:2])
    assert not groups[2][0].visible
    side.arrange(groups)
    assert groups[2][0].visible
    side.arrange(groups[1:])
    assert not groups[0][0].visible
    assert len(side.made) == 3  # two mirrors, and room for one heatmap
    side.leave()
    assert all(layer.visible for layer in viewer.layers)


def test_layers_that_leave_meanwhile_stay_away(viewer, queries, groups):
    side = SideBySide(viewer, queries)
    side.arrange(groups)
    viewer.layers.remove(groups[0][0])
    viewer.layers.remove(side.made[0])
    viewer.layers.remove("labels")
    side.arrange([groups[0][1:], *groups[1:]])
    assert side.group_at((0, 0)) == 0
    side.leave()
    names = ["heat 0 0", "heat 0 1", "image 1", "heat 1 0", "image 2", "query"]
    assert [layer.name for layer in viewer.layers] == names


def test_nothing_happens_when_nothing_has_changed(viewer, queries, groups):
    side = SideBySide(viewer, queries)
    side.arrange(groups)
    viewer.scene.camera.zoom = 3
    events = []
    viewer.layers.events.connect(lambda event: events.append(event.type))
    viewer.canvas.grid.events.connect(lambda event: events.append(event.type))
    side.arrange(groups)
    assert (events, viewer.scene.camera.zoom) == ([], 3)
    groups[1][0].visible = groups[1][1].visible = False
    side.arrange(groups)
    assert not side.made[1].visible


def test_without_its_query_layer_it_ends(viewer, queries, groups):
    side = SideBySide(viewer, queries)
    side.arrange(groups)
    viewer.layers.remove(queries)
    side.arrange(groups)
    assert (side.active, queries.opacity) == (False, 0.8)
    assert "query: points" not in viewer.layers
