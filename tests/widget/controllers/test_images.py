"""Recipe, stacks and merged channels are chosen in the dock."""

from __future__ import annotations

from ..dock_helpers import squares
from .actions import tick


def test_resolution_shifts_and_padding_change_the_recipe(dock):
    options = dock.views.options
    for combo, value in ((options.factor, 2.0), (options.shifts, 2), (options.padding, "reflect")):
        combo.setCurrentIndex(combo.findData(value))
        combo.activated.emit(combo.currentIndex())
    recipe = dock.session.recipe
    assert (recipe.factor, recipe.shifts, recipe.padding) == (2.0, 2, "reflect")


def test_all_planes_of_stacks(qtbot, dock):
    tick(qtbot, dock.views.options.all_planes)
    assert dock.session.all_planes
    dock.controller.images.toggle_all_planes()
    assert not dock.views.options.all_planes.isChecked()


def test_selected_layers_become_one_image_and_come_apart(qtbot, make_dock, viewer_model, notified):
    layers = [viewer_model.add_image(squares()[..., 0], name=name) for name in "rgb"]
    dock = make_dock()
    options, images = dock.views.options, dock.views.images
    viewer_model.layers.selection = {layers[0]}
    options.merge_button.click()
    assert "1 image selected" in notified[-1].message
    viewer_model.layers.selection = set(layers)
    options.merge_button.click()
    assert "r + g + b" in [images.item(row).text() for row in range(images.count())]
    options.split_button.click()
    assert [images.item(row).text() for row in range(images.count())] == ["b", "g", "r"]
    options.split_button.click()
    assert "No image is merged" in notified[-1].message


def test_the_only_merged_image_is_split_whatever_is_selected(make_dock, viewer_model, notified):
    layers = [viewer_model.add_image(squares()[..., 0], name=name) for name in "rgbc"]
    dock = make_dock()
    options, session = dock.views.options, dock.session
    session.merge_channels(layers[:2])
    session.new_queries()
    assert list(viewer_model.layers.selection) == [session.queries]
    options.split_button.click()
    assert session.merged == {}
    assert notified == []
    session.merge_channels(layers[:2])
    session.merge_channels(layers[2:])
    options.split_button.click()
    assert len(session.merged) == 2
    assert "No merged image is selected" in notified[-1].message
    viewer_model.layers.selection = {layers[3]}
    options.split_button.click()
    assert list(session.merged) == [layers[0]]
