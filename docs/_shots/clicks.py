"""First clicks, live heatmaps, classes and signs, regions, navigation."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from _shots.desk import Desk, spin
from _shots.pictures import beside, write
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.widget.views.query import NAME

GLAND = (200, 100)
COINS = ((51, 101), (117, 150), (51, 331))
COLOURS = 200


def first_click() -> None:
    """Click once in the left field, and write the whole window."""
    with Desk("histology_pair") as desk:
        desk.click(desk.session.images[0], GLAND)
        write("dock", desk.window(), colours=COLOURS)


def across_views(name: str, sample: str, pixel: tuple[int, int]) -> None:
    """Open a sample, click once, and write the images."""
    with Desk(sample, wide=True) as desk:
        desk.click(desk.session.images[0], pixel)
        write(name, desk.images(), colours=COLOURS)


def offer() -> None:
    """Write the dock after a model could not be had."""
    with Desk("coin_pair", model="no-such-model") as desk:
        desk.press(desk.views.embed.embed_button)
        spin(60, lambda: not desk.views.offer.isHidden())
        spin(1.0)
        write("offer", desk.parts(desk.dock))


def drag() -> None:
    """Drag the point over the left tray with the button held down: three moments of it."""
    with Desk("coin_pair", wide=True) as desk:
        top = desk.session.images[0]
        desk.fade(50)
        desk.click(top, (51, 44))
        desk.session.queries.mode = "select"
        QTest.mouseMove(desk.canvas, desk.at(top, (51, 44)))
        QTest.mousePress(desk.canvas, Qt.MouseButton.LeftButton, pos=desk.at(top, (51, 44)))
        seen = []
        for target in COINS:
            _drag_to(desk, top, target)
            seen.append(desk.images(desk.at(top, target)))
        end = desk.at(top, COINS[-1])
        QTest.mouseRelease(desk.canvas, Qt.MouseButton.LeftButton, pos=end)
        write("drag", beside(*seen, columns=1), width=760, colours=COLOURS)


def _drag_to(desk: Desk, layer: Any, target: tuple[int, int]) -> None:
    start = layer.world_to_data(desk.session.queries.data[0])
    for part in np.linspace(0, 1, 8)[1:]:
        pixel = start + part * (np.array(target) - start)
        QTest.mouseMove(desk.canvas, desk.at(layer, pixel))
        spin(0.12)
    spin(0.5)


def hover() -> None:
    """Show the map of what is under the mouse, without a point."""
    with Desk("coin_pair", wide=True) as desk:
        desk.fade(50)
        desk.press(desk.views.embed.embed_button)
        desk.settle()
        desk.press(desk.views.navigation.hovering)
        mouse = desk.point_at(desk.session.images[0], COINS[0])
        desk.settle()
        scene = desk.images(mouse)
        write(
            "hover",
            beside(scene, desk.parts(desk.views.navigation), columns=1),
            width=800,
            colours=COLOURS,
        )


def classes() -> None:
    """Two classes, each with a negative point; their heatmaps, and the class map."""
    with Desk("histology_pair") as desk:
        left = desk.session.images[0]
        desk.click(left, GLAND, (90, 60))
        desk.press(desk.views.signs.negative_button)
        desk.click(left, (330, 220))
        desk.press(desk.views.signs.new_button)
        desk.press(desk.views.signs.positive_button)
        desk.click(left, (330, 220), (430, 230))
        desk.press(desk.views.signs.negative_button)
        desk.click(left, (140, 128))
        desk.press(desk.views.signs.positive_button)
        _rename(desk, DEFAULT_CLASS, "gland")
        _rename(desk, "class 2", "stroma")
        desk.settle()
        write("classes", desk.window(), colours=COLOURS)
        desk.advanced(3)
        desk.press(desk.views.style.class_maps)
        spin(1.0)
        write("class-maps", desk.images(), width=800, colours=COLOURS)


def _rename(desk: Desk, old: str, new: str) -> None:
    """Type a new name into the list of classes."""
    rows = desk.views.classes
    for item in map(rows.topLevelItem, range(rows.topLevelItemCount())):
        if item.text(NAME) == old:
            item.setText(NAME, new)
            return
    raise ValueError(f"There is no class {old!r}.")


def combinations() -> None:
    """The same points, combined as a mean, by the best, and as a contrast."""
    with Desk("histology_pair", wide=True) as desk:
        left = desk.session.images[0]
        desk.advanced(2)
        desk.click(left, GLAND, (90, 60))
        desk.session.positive = False
        desk.click(left, (330, 220))
        seen = []
        for combination in ("mean", "best", "contrast"):
            desk.choose(desk.views.combination.combo, combination)
            desk.settle()
            seen.append(desk.images())
        write("combinations", beside(*seen), width=1200, colours=128)
        write("combination-choice", desk.parts(desk.views.combination))


def regions() -> None:
    """A polygon as a query; then the labels of a Labels layer, each of them a class."""
    with Desk("histology_pair") as desk:
        left = desk.session.images[0]
        desk.advanced(2)
        polygon = np.array([(170, 80), (180, 125), (225, 135), (245, 105), (215, 75)])
        shapes = desk.viewer.add_shapes(
            polygon, shape_type="polygon", face_color="#00000000", edge_color="cyan", edge_width=3
        )
        _use(desk, shapes)
        write(
            "region",
            beside(desk.images(), desk.parts(desk.views.regions), columns=1),
            colours=COLOURS,
        )
        desk.viewer.layers.remove(shapes)
        labels = np.zeros(left.data.shape[:2], np.uint8)
        labels[165:240, 80:130], labels[310:350, 190:240] = 1, 2
        _use(desk, desk.viewer.add_labels(labels, opacity=0.6))
        desk.advanced(3)
        desk.press(desk.views.style.class_maps)
        spin(0.6)
        write("labels", desk.images(), width=800, colours=COLOURS)


def _use(desk: Desk, layer: Any) -> None:
    """Choose a layer in the row of regions and add it."""
    row = desk.views.regions
    spin(0.3)
    row.opened.emit()
    desk.choose(row.combo, layer.name)
    desk.press(row.add_button)
    desk.settle()


def looking() -> None:
    """The outlined patch, the score in the status bar, and the best match."""
    with Desk("histology_pair", wide=True) as desk:
        left, right = desk.session.images
        desk.click(left, GLAND)
        desk.viewer.scene.camera.zoom *= 2
        desk.press(desk.views.results.best_match)
        desk.settle()
        middle = right.world_to_data(desk.viewer.scene.camera.center[-2:])
        mouse = desk.point_at(right, middle + 10)
        spin(1.0)
        scene = desk.scene(mouse)[200:620]
        bar = desk.parts(desk.viewer.window._qt_window.statusBar())[:, : scene.shape[1]]
        write("best-match", beside(scene, bar, columns=1, gap=0), colours=COLOURS)


def side_by_side() -> None:
    """Images that lie on top of each other, next to each other."""
    with Desk("histology_pair") as desk:
        left, right = desk.session.images
        right.translate = (0, 0)
        desk.home()
        desk.press(desk.views.navigation.side_by_side)
        spin(1.0)
        desk.session.add_query(left, GLAND[1], GLAND[0])
        desk.settle()
        write("side-by-side", desk.window(), colours=COLOURS)
