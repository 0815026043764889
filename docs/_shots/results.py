"""Scales and thresholds, objects, peaks, matches, colours, files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from _shots.desk import Desk, pixels_of, spin
from _shots.pictures import beside, write
from napari_dinov3_sim.core.embedding.recipe import Recipe

GLANDS = ((200, 100), (90, 60))
COLOURS = 200
PIXEL = 0.1
"""Millimetres."""
COINS, BETWEEN_COINS = ((45, 105), (45, 158)), (20, 130)


def scale() -> None:
    """One window of cosines for all maps."""
    with Desk("histology_pair", wide=True) as desk:
        desk.advanced(3)
        desk.click(desk.session.images[0], *GLANDS)
        desk.choose(desk.views.style.scaling, "fixed")
        desk.views.style.limits.setValue((0.3, 0.8))
        desk.settle()
        write("scale", beside(desk.images(), desk.parts(desk.views.style)), colours=COLOURS)


def threshold() -> None:
    """The threshold, put with the mouse into the histogram; objects and peaks from there."""
    with Desk("histology_pair", wide=True) as desk:
        desk.click(desk.session.images[0], *GLANDS)
        _put_threshold(desk, desk.session.thresholds[desk.session.class_name] - 0.1)
        desk.views.object_options.min_area.setValue(1000)
        desk.views.result_options.min_distance.setValue(32)
        write("threshold", desk.parts(desk.views.steps[2]))
        desk.press(desk.views.results.labels_button)
        desk.settle()
        _hide(desk, " · ")
        objects = desk.images()
        _hide(desk, "objects")
        desk.advanced(3)
        desk.press(desk.views.result_options.peaks_button)
        desk.settle()
        write("objects", beside(objects, desk.images()), width=1080, colours=96)


def exports() -> None:
    """The files that *Export…* writes, in its menu below the objects."""
    with Desk("histology_pair", wide=True) as desk:
        desk.click(desk.session.images[0], *GLANDS)
        _put_threshold(desk, desk.session.thresholds[desk.session.class_name] - 0.1)
        desk.press(desk.views.results.labels_button)
        desk.settle()
        _hide(desk, " · ")
        menu = desk.views.results.export_button.menu()
        menu.popup(QPoint(0, 0))
        spin(0.5)
        entries = pixels_of(menu)
        menu.close()
        write("exports", beside(desk.images(), entries), width=900, colours=96)


def _put_threshold(desk: Desk, cosine: float) -> None:
    histogram = desk.views.results.histogram
    place = QPoint(round(histogram.position(cosine)), histogram.height() // 2)
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mousePress(histogram, left, none, place)
    QTest.mouseRelease(histogram, left, none, place)
    spin(0.5)


def _hide(desk: Desk, *words: str) -> None:
    for layer in desk.viewer.layers:
        if any(word in layer.name for word in words):
            layer.visible = False
    spin(0.5)


def table() -> None:
    """The objects of one click, as a table with a plot."""
    with Desk("coin_pair", size=(1280, 800)) as desk:
        for image in desk.session.images:  # as if a file had said it
            image.scale, image.translate = (PIXEL, PIXEL), image.translate * PIXEL
            image.units = ("mm", "mm")
        desk.session.recipe, desk.session.min_area = Recipe(factor=2), 200
        desk.home()
        tray = desk.session.images[0]
        desk.click(tray, *COINS)
        desk.press(desk.views.signs.negative_button)
        desk.click(tray, BETWEEN_COINS)
        desk.press(desk.views.results.table_button)
        page = desk.dock.controller.table.view
        spin(60, lambda: page.objects.rows.rowCount() > 0 and page.plot.axes is not None)
        _hide(desk, " · ")
        desk.home()
        write("table", desk.window(), colours=COLOURS)


def matches() -> None:
    """Mutual best matches of two views, in equal colours."""
    with Desk("stereo_pair", wide=True) as desk:
        # The height is no multiple of 16: black borders would match black borders first.
        desk.choose(desk.views.options.padding, "reflect")
        desk.press(desk.views.embed.embed_button)
        desk.settle()
        desk.advanced(3)
        desk.views.matches.count.setValue(100)
        desk.press(desk.views.matches.button)
        desk.settle()
        write("matches", desk.images(), width=1000, colours=COLOURS)


def colours() -> None:
    """The embeddings as colours."""
    with Desk("histology_pair", wide=True) as desk:
        desk.press(desk.views.embed.embed_button)
        desk.settle()
        desk.advanced(3)
        desk.press(desk.views.result_options.colours_button)
        desk.settle()
        write("pca", desk.images(), width=700, colours=COLOURS)


def saved_query() -> None:
    """A query is saved, and searches another image that is opened later."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gland.query.safetensors"
        with Desk("histology_pair") as desk:
            desk.session.class_name = "gland"
            desk.click(desk.session.images[0], *GLANDS)
            desk.session.results.save_query(path)
            desk.settle()
        with Desk("histology_pair") as desk:
            desk.viewer.layers.remove(desk.session.images[0])
            desk.home()
            desk.advanced(2)
            desk.session.results.load_query(path)
            desk.settle()
            dock = desk.parts(desk.views.files, desk.views.combination)
            write("saved", beside(desk.images(), dock), colours=COLOURS)
