"""Stacks, resolution and channels."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage import color, data
from skimage.io import imread

from _shots.desk import Desk, spin
from _shots.pictures import beside, rgb_of, write
from napari_dinov3_sim import load_backbone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from _shots.pictures import Picture

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COLOURS = 200


def stack() -> None:
    """One click on one plane of the sample stack."""
    with Desk("stack") as desk:
        desk.click(desk.session.images[0], (2, 48, 72))
        write("stack", desk.window(), colours=COLOURS)


def coins_in_time() -> NDArray[np.uint16]:
    """Return a series (t, z, y, x) of coins that drift with time and sink through the planes."""
    coins = data.coins().astype(np.uint16) * 100

    def plane(t: int, z: int) -> NDArray[np.uint16]:
        moved = np.roll(coins, (6 * t, 10 * t), (0, 1))[:288, :384].astype(float)
        return (moved * np.exp(-(((z - 3 - t) / 2.5) ** 2)) + 300).astype(np.uint16)

    return np.array([[plane(t, z) for z in range(8)] for t in range(3)])


def volume() -> None:
    """All planes of a 4-D series from one click: another plane and time, and the 3-D view."""
    with Desk(wide=True) as desk:
        image = desk.viewer.add_image(coins_in_time(), scale=(1, 4, 0.5, 0.5), name="coins")
        spin(0.5)
        desk.viewer.dims.set_current_step((0, 1), (0, 3))
        desk.home()
        desk.fade(50)
        desk.press(desk.views.options.all_planes)
        desk.click(image, (0, 3, 126, 102))
        here = desk.images()
        desk.viewer.dims.set_current_step((0, 1), (2, 5))
        desk.settle()
        write("planes", beside(here, desk.images()), width=1100, colours=COLOURS)
        desk.viewer.dims.ndisplay = 3
        spin(1.5)
        desk.viewer.scene.camera.angles = (10, -30, 60)
        image.opacity = 0.4
        spin(1.0)
        write("volume", desk.images(), width=800, colours=COLOURS)


def nuclei() -> tuple[NDArray[np.uint16], tuple[int, int]]:
    """Return a field of bright spots, eight to twelve pixels across, and the middle of one."""
    chance = np.random.default_rng(7)
    field = np.zeros((192, 192))
    y, x = np.mgrid[:192, :192]
    middles = [(12 + 28 * row, 12 + 28 * column) for row in range(7) for column in range(7)]
    for middle in (np.array(m) + chance.integers(-7, 8, 2) for m in middles):
        if chance.random() < 0.55:
            wide, high = chance.uniform(4, 6, 2)
            away = ((y - middle[0]) / high) ** 2 + ((x - middle[1]) / wide) ** 2
            field += chance.uniform(0.6, 1) / (1 + np.exp(8 * np.minimum(away - 1, 9)))
            clicked = middle
    noisy = 400 + 2500 * field + chance.normal(0, 60, field.shape)
    return noisy.clip(0).astype(np.uint16), (int(clicked[0]), int(clicked[1]))


def resolution() -> None:
    """One click on a spot of ten pixels: as it is, shifted, and enlarged four times."""
    field, spot = nuclei()
    seen: list[Picture] = []
    for factor, shifts in ((1.0, 1), (1.0, 4), (4.0, 1)):
        with Desk(wide=True) as desk:
            image = desk.viewer.add_image(field, name="spots")
            desk.home()
            desk.advanced(1)
            options = desk.views.options
            desk.choose(options.factor, factor)
            desk.choose(options.shifts, shifts)
            if not seen:
                seen.append(desk.images())
            desk.click(image, spot)
            seen.append(desk.images())
    write("resolutions", beside(*seen), width=1400, colours=COLOURS)


def recipes() -> None:
    """Let the benchmark draw one click at all resolutions that it measures."""
    sys.path.append(str(BENCHMARKS))
    from bench_resolution import draw

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resolution.png"
        draw(path, load_backbone("builtin", device="cpu"))
        write("resolution", rgb_of(imread(path)))


def stains() -> list[tuple[str, str, Any]]:
    """Return name, colormap and picture of the two stains of a section."""
    parts = color.rgb2hed(data.immunohistochemistry()[:, :256])
    return [("hematoxylin", "cyan", parts[..., 0]), ("DAB", "magenta", parts[..., 2])]


def channels() -> None:
    """Two grayscale layers, searched as one image."""
    with Desk() as desk:
        for name, colormap, picture in stains():
            desk.viewer.add_image(picture, name=name, colormap=colormap, blending="additive")
        desk.home()
        before = desk.images()
        desk.press(desk.views.signs.positive_button)
        desk.click(desk.session.images[1], (200, 100))
        desk.views.images.expandAll()
        spin(0.3)
        write(
            "channels",
            beside(before, desk.images(), desk.parts(desk.views.steps[0])),
            width=880,
            colours=COLOURS,
        )
