"""Sections of tissue as the electron microscope shows them: neurites, glia, organelles, synapses.

Other than in the worlds of `worlds.py`, each class has the look that it has in stained sections,
only varied: membranes are thin and dark, mitochondria have a dark rim and cristae, synapses are
dark places at a membrane beside vesicles. What differs between two groups is what differs between
two laboratories: contrast, magnification, section, stain. So a class can be known by its look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from training.drawings.fields import smooth_noise, warped_grid
from training.drawings.looks import SUBSTANCES, Look
from training.drawings.scenes import Curve, Scene, Thing, paint, paint_curves

Array = np.ndarray
Draw = np.random.Generator

(
    CYTOPLASM,
    GLIA,
    MEMBRANE,
    MATRIX,
    RIM,
    VESICLE_WALL,
    VESICLE,
    DENSITY,
    NUCLEUS,
    CHROMATIN,
    ENVELOPE,
    MYELIN,
    AXON,
    OUTSIDE,
    RETICULUM_WALL,
    RETICULUM,
    DROPLET,
) = range(17)
"""Parts that are drawn; a mitochondrion is made of matrix and rim, and so on."""

CLASS_OF = np.array([0, 1, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 9, 10, 10, 11], np.int8)
"""The class of each part."""

WIDENED = {MEMBRANE: 2.5, VESICLE_WALL: 3.0, DENSITY: 4.0}
"""By how many pixels, at scale 1, an annotator would draw thin and small parts too large."""


@dataclass(frozen=True)
class Tissue:
    """What the images of a group have in common.

    Attributes
    ----------
    scale : float
        Magnification: a membrane is about three times so many pixels thick.
    cell : float
        Mean distance of neighbouring cells, in pixels.
    spread : float
        How unequal the cells are.
    warp : float
        How far borders are displaced, in pixels.
    glia, outside : float
        Shares of the cells that are glia, or empty resin.
    mitochondria, vesicles, synapses, droplets : float
        In 256 × 256 pixels at scale 1.
    elongation : float
        Of mitochondria, at most.
    nuclei, axons, reticulum : float
        In 256 × 256 pixels.
    """

    scale: float
    cell: float
    spread: float
    warp: float
    glia: float
    outside: float
    mitochondria: float
    vesicles: float
    synapses: float
    droplets: float
    elongation: float
    nuclei: float
    axons: float
    reticulum: float


def random_tissue(rng: Draw) -> Tissue:
    """Tissue of some region, at some magnification."""
    scale = float(np.exp(rng.uniform(np.log(0.45), np.log(1.9))))

    def sometimes(share: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < share else 0.0

    return Tissue(
        scale,
        cell=scale * float(np.exp(rng.uniform(np.log(28), np.log(170)))),
        spread=rng.uniform(0, 1.2),
        warp=rng.uniform(1, 9) * scale,
        glia=sometimes(0.6, 0.05, 0.35),
        outside=sometimes(0.25, 0.02, 0.2),
        mitochondria=sometimes(0.9, 4, 22),
        vesicles=sometimes(0.7, 6, 90),
        synapses=sometimes(0.6, 2, 14),
        droplets=sometimes(0.2, 1, 6),
        elongation=rng.uniform(1.3, 5),
        nuclei=sometimes(0.25, 0.2, 1.0),
        axons=sometimes(0.25, 0.5, 5),
        reticulum=sometimes(0.5, 1, 8),
    )


def tissue_looks(rng: Draw) -> list[Look]:
    """The look of each part: dark where stain lies, each group with a stain of its own."""
    cytoplasm = rng.uniform(0.15, 0.45)
    membrane = min(1.0, cytoplasm + rng.uniform(0.25, 0.55))
    fine = rng.uniform(0.8, 2.5)

    def look(amount: float, grain: float = 0.03, size: float = 0.0, **more: float) -> Look:
        dark = float(np.clip(amount, 0.02, 1))
        return Look((dark,) * SUBSTANCES, grain, size or fine, **more)

    ribosomes = rng.uniform(0.1, 0.35) if rng.random() < 0.6 else 0.0
    glycogen = rng.uniform(0.1, 0.4) if rng.random() < 0.4 else 0.0
    matrix = cytoplasm + rng.uniform(0.02, 0.4)
    cristae = rng.choice([-1.0, 1.0]) * rng.uniform(0.02, 0.22)
    core = rng.uniform(0.1, 0.5) if rng.random() < 0.25 else rng.uniform(-0.2, 0.02)
    looks = [look(0)] * len(CLASS_OF)
    looks[CYTOPLASM] = look(
        cytoplasm, rng.uniform(0.01, 0.1), speckles=ribosomes, speckle_size=rng.uniform(0.7, 1.6)
    )
    looks[GLIA] = look(
        cytoplasm + rng.choice([-1.0, 1.0]) * rng.uniform(0.04, 0.22),
        rng.uniform(0.01, 0.12),
        rng.uniform(0.8, 5),
        speckles=glycogen,
        speckle_size=rng.uniform(1, 2.5),
    )
    looks[MEMBRANE] = looks[RIM] = looks[VESICLE_WALL] = looks[ENVELOPE] = look(membrane)
    looks[RETICULUM_WALL] = look(membrane - 0.05)
    looks[MATRIX] = look(
        matrix,
        rng.uniform(0.02, 0.14),
        rng.uniform(0.8, 4),
        stripes=float(cristae),
        period=rng.uniform(4, 9),
    )
    looks[VESICLE] = look(cytoplasm + core)
    looks[DENSITY] = look(membrane + rng.uniform(0.05, 0.3), 0.05)
    nucleus = cytoplasm + rng.uniform(-0.12, 0.12)
    looks[NUCLEUS] = look(nucleus, rng.uniform(0.02, 0.12), rng.uniform(1, 3))
    looks[CHROMATIN] = look(nucleus + rng.uniform(0.1, 0.35), 0.08, rng.uniform(1, 4))
    looks[MYELIN] = look(membrane, stripes=rng.uniform(0, 0.25), period=rng.uniform(2.5, 6))
    looks[AXON] = look(cytoplasm - rng.uniform(0, 0.1), rng.uniform(0.01, 0.08))
    looks[OUTSIDE] = look(rng.uniform(0.02, 0.12), 0.01)
    looks[RETICULUM] = look(cytoplasm - rng.uniform(0, 0.15))
    looks[DROPLET] = look(rng.choice([rng.uniform(0.75, 1), rng.uniform(0.02, 0.15)]))
    return looks


def tissue_scene(rng: Draw, tissue: Tissue, size: int) -> Scene:
    """Lay out a section of `tissue` in a square of `size` pixels; classes are parts."""
    rows, columns = warped_grid(rng, size, tissue.warp)
    made = Scene(
        np.full((size, size), CYTOPLASM, np.int8),
        np.ones((size, size), np.float32),
        np.full((size, size), rng.uniform(0, np.pi), np.float32),
        rows,
        columns,
    )
    zoom = float(np.exp(rng.uniform(-0.2, 0.2)))
    scale, area = tissue.scale * zoom, (size / 256) ** 2
    _cells(rng, tissue, made, zoom)
    _things(rng, tissue.nuclei * area, _nucleus(rng, scale), made)
    _things(rng, tissue.axons * area, _axon(rng, scale), made)
    if tissue.reticulum:
        _reticulum(rng, tissue, made, area, scale)
    dense = area / tissue.scale
    _things(rng, tissue.mitochondria * dense, _mitochondrion(rng, tissue, scale), made)
    _things(rng, tissue.droplets * dense, Thing(((1.0, DROPLET),), 0, 6 * scale, 1.5), made)
    _things(rng, tissue.vesicles * dense, _vesicle(rng, scale), made)
    _synapses(rng, tissue.synapses * dense, scale, made)
    return made


def annotated_classes(made: Scene, scale: float) -> Array:
    """The class of each pixel as an annotator would draw it; int8.

    A membrane of three pixels fills no patch; drawn as people draw it, it does.
    """
    classes = CLASS_OF[made.classes]
    for part, by in WIDENED.items():
        distance = ndimage.distance_transform_edt(made.classes != part)
        near = distance <= max(1.5, by * scale)
        near &= np.isin(made.classes, (CYTOPLASM, GLIA, AXON, OUTSIDE, VESICLE))
        if part == DENSITY:
            near |= (distance <= max(1.5, by * scale)) & (made.classes == MEMBRANE)
        classes[near] = CLASS_OF[part]
    return classes


def _cells(rng: Draw, tissue: Tissue, made: Scene, zoom: float) -> None:
    """Cells of unequal size with a membrane around each; some are glia, some are no cells."""
    size, cell = len(made.classes), tissue.cell * zoom
    count = max(3, int(((size + 40) / cell) ** 2))
    crowding = np.exp(tissue.spread * smooth_noise(rng, size, 50))
    places = rng.choice(size * size, count, p=(crowding / crowding.sum()).ravel())
    centres = np.stack(np.divmod(places, size), 1) * ((size + 40) / size) - 20.0
    centres += rng.uniform(-0.5, 0.5, centres.shape)
    grid = np.stack([made.rows.ravel(), made.columns.ravel()], 1)
    distance, nearest = cKDTree(centres).query(grid, 2, workers=1)
    apart = np.linalg.norm(centres[nearest[:, 1]] - centres[nearest[:, 0]], axis=1)
    to_border = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * np.maximum(apart, 1e-6))
    owner, to_border = (a.reshape(size, size) for a in (nearest[:, 0], to_border))
    sorts = rng.choice(
        [CYTOPLASM, GLIA, OUTSIDE],
        count,
        p=[1 - tissue.glia - tissue.outside, tissue.glia, tissue.outside],
    )
    made.classes[:] = sorts[owner]
    made.angle[:] = rng.uniform(0, np.pi, count)[owner]
    thickness = rng.uniform(2, 4.5) * tissue.scale * zoom
    made.classes[to_border < max(0.7, thickness / 2)] = MEMBRANE


def _nucleus(rng: Draw, scale: float) -> Thing:
    blotch = Thing(((1.0, CHROMATIN),), rng.uniform(4, 16), rng.uniform(0.08, 0.25), 2, 4, 0.3)
    parts = ((1.0, ENVELOPE), (0.95, NUCLEUS))
    return Thing(parts, 0, rng.uniform(40, 110) * scale, 1.6, 4, 0.1, inclusions=(blotch,))


def _axon(rng: Draw, scale: float) -> Thing:
    inside = rng.uniform(0.6, 0.88)
    parts = ((1.0, MYELIN), (inside, AXON))
    return Thing(parts, 0, rng.uniform(15, 60) * scale, 2, 3, 0.1)


def _mitochondrion(rng: Draw, tissue: Tissue, scale: float) -> Thing:
    radius = rng.uniform(9, 24) * scale
    rim = 1 - min(0.4, max(1.2, 2.2 * scale) / radius)
    return Thing(((1.0, RIM), (rim, MATRIX)), 0, radius, tissue.elongation, 2, 0.08)


def _vesicle(rng: Draw, scale: float) -> Thing:
    radius = max(1.8, rng.uniform(2.5, 6) * scale)
    return Thing(((1.0, VESICLE_WALL), (0.6, VESICLE)), 0, radius, 1.2)


def _things(rng: Draw, number: float, thing: Thing, made: Scene) -> None:
    """Scatter bodies over cells; each stays within the cytoplasm that is there."""
    if not number:
        return
    inside = np.isin(made.classes, (CYTOPLASM, GLIA, AXON))
    if thing.parts[0][1] in (MYELIN, ENVELOPE):  # these are cells, or fill one
        inside = made.classes != OUTSIDE
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(rng.poisson(number))):
        centre = rng.uniform(0, len(inside), 2)
        radius = thing.radius * rng.uniform(0.7, 1.35)
        near = (np.hypot(centre[0] - y, centre[1] - x) < 0.9 * (radius + r) for y, x, r in taken)
        if not inside[tuple(centre.astype(int))] or any(near):
            continue
        taken.append((*centre, radius))
        paint(rng, thing, made, centre=centre, radius=radius, inside=inside)


def _reticulum(rng: Draw, tissue: Tissue, made: Scene, area: float, scale: float) -> None:
    before = made.classes.copy()
    width = max(2.0, 3 * scale)
    wall = max(1.0, 1.5 * scale)
    curve = Curve(tissue.reticulum, width, 0.06, 60, RETICULUM, wall, RETICULUM_WALL)
    paint_curves(rng, curve, made, area, 1.0)
    outside = before != CYTOPLASM
    made.classes[outside] = before[outside]


def _synapses(rng: Draw, number: float, scale: float, made: Scene) -> None:
    """Dark places at membranes, with vesicles on one side of them."""
    rows, columns = np.nonzero(made.classes == MEMBRANE)
    if not number or not len(rows):
        return
    cytoplasm = made.classes == CYTOPLASM
    at_membrane = ndimage.binary_dilation(made.classes == MEMBRANE, iterations=int(2 + 3 * scale))
    for k in rng.integers(len(rows), size=int(rng.poisson(number))):
        centre = np.array((rows[k], columns[k]), float)
        dense = Thing(((1.0, DENSITY),), 0, 1, 2.5, 3, 0.15)
        radius = max(2.5, rng.uniform(4, 9) * scale)
        paint(rng, dense, made, centre=centre, radius=radius, inside=at_membrane)
        side = rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.integers(4, 22))):
            away = rng.uniform(6, 30) * scale
            turn = side + rng.normal(0, 0.6)
            spot = centre + away * np.array((np.sin(turn), np.cos(turn)))
            vesicle = _vesicle(rng, 0.75 * scale)
            paint(rng, vesicle, made, centre=spot, radius=vesicle.radius, inside=cytoplasm)
