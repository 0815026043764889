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
    assert lines(images) == ["r + g + b"]
    merged = images.topLevelItem(0)
    assert [merged.child(row).text(0) for row in range(3)] == ["r", "g", "b"]
    options.split_button.click()
    assert lines(images) == ["b", "g", "r"]
    options.split_button.click()
    assert "No image is merged" in notified[-1].message


def test_a_merged_image_is_split_from_its_line(make_dock, viewer_model):
    layers = [viewer_model.add_image(squares()[..., 0], name=name) for name in "rg"]
    dock = make_dock()
    dock.session.merge_channels(layers)
    images = dock.views.images
    assert lines(images) == ["r + g"]
    images.menu_of(images.topLevelItem(0)).actions()[0].trigger()
    assert dock.session.merged == {}
    assert lines(images) == ["g", "r"]
    assert not images.menu_of(images.topLevelItem(0)).actions()[0].isEnabled()


def lines(images):
    return [images.topLevelItem(row).text(0) for row in range(images.topLevelItemCount())]


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
