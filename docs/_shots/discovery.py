"""Classes without a click, and objects that are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from _shots.desk import Desk, spin
from _shots.pictures import beside, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLOURS = 200
SIDE, RADIUS = 256, 24


def suggestions() -> None:
    """The page of suggested classes, before some are chosen."""
    with Desk("histology_pair", size=(1280, 760)) as desk:
        desk.advanced(2)
        desk.press(desk.views.suggest_button)
        spin(60, lambda: len(desk.session.discovery.suggestions) == 6)
        desk.settle()
        desk.home()
        write("discover", desk.window(), colours=COLOURS)


def drawn(planes: int) -> NDArray[np.uint8]:
    """Return a series in which a striped disc and a bright one cross; the one of tracking.md."""
    y, x = np.mgrid[:SIDE, :SIDE]
    striped, bright = 110 + 120 * (x // 4 % 2), np.full((SIDE, SIDE), 230)
    discs = [(70, 40, 16, striped), (70, 216, -16, bright), (190, 60, 12, bright)]
    stack = np.random.default_rng(0).normal(60, 6, (planes, SIDE, SIDE))
    for plane in range(planes):
        for row, column, right, look in discs:
            inside = np.hypot(y - row, x - column - plane * right) < RADIUS
            stack[plane][inside] = look[inside]
    return stack.clip(0, 255).astype(np.uint8)


def tracking() -> None:
    """Tracks behind two discs that have crossed, before and after."""
    with Desk(wide=True) as desk:
        movie = desk.viewer.add_image(drawn(12), name="movie", axis_labels=("t", "y", "x"))
        spin(0.5)
        desk.viewer.dims.set_current_step(0, 0)
        desk.home()
        desk.press(desk.views.options.all_planes)
        desk.choose(desk.views.combination.combo, "best")
        desk.click(movie, (0, 70, 40), (0, 70, 216))
        desk.press(desk.views.results.labels_button)
        desk.settle()
        desk.advanced(3)
        desk.press(desk.views.result_options.follow.button)
        desk.settle()
        for layer in desk.viewer.layers:
            layer.visible = layer.name in ("movie", "movie tracks", "movie tracked objects")
        pictures = []
        for frame in (2, 5, 11):
            desk.viewer.dims.set_current_step(0, frame)
            spin(0.5)
            pictures.append(desk.images())
        write("tracks", beside(*pictures), width=1100, colours=COLOURS)
