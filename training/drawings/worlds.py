"""Random worlds: cells, nuclei, tissue, membranes, smears, threads, particles, abstract tilings.

Sizes are in pixels of a 256 × 256 image and spread over a factor of ten, since nobody knows at
which magnification a user looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.drawings.scenes import Curve, Thing, World

if TYPE_CHECKING:
    from collections.abc import Callable

Draw = np.random.Generator


def log_uniform(rng: Draw, low: float, high: float) -> float:
    """A number between `low` and `high`, with every factor of two equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_world(rng: Draw) -> World:
    """One of the worlds below, drawn by their weights."""
    makers, weights = zip(*WORLDS.items(), strict=True)
    chosen = rng.choice(len(makers), p=np.array(weights) / sum(weights))
    return makers[chosen](rng)


def _crowd(rng: Draw, radius: float, fill: tuple[float, float] = (0.1, 0.6)) -> float:
    """How many bodies of a radius cover a share of the image between the two of `fill`."""
    return float(np.clip(rng.uniform(*fill) * 65536 / (np.pi * radius**2), 1, 160))


def _dots(rng: Draw, number: int, per: float = 8.0) -> Thing:
    return Thing(((1.0, number),), rng.uniform(0.5, 2) * per, rng.uniform(0.05, 0.14), 1.5)


def _mitochondrion(rng: Draw, wall: int, inside: int, size: float, count: float) -> Thing:
    parts = ((1.0, wall), (rng.uniform(0.65, 0.9), inside))
    return Thing(parts, count, size, rng.uniform(1.5, 5), 2, 0.08)


def abstract(rng: Draw) -> World:
    """Regions of any class, walls between them, blobs, shells and dots."""
    tiles = tuple(range(1, 1 + int(rng.integers(1, 4))))
    ground = str(rng.choice(["tiling", "tiling", "patches", "plain"]))
    things = []
    for k in range(int(rng.integers(0 if ground != "plain" else 1, 4))):
        radius = log_uniform(rng, 4, 48)
        shell = rng.random() < 0.4
        parts = ((1 + rng.uniform(0.15, 0.6), 9 + 2 * k),) if shell else ()
        inside: tuple[Thing, ...] = ()
        if radius > 20 and rng.random() < 0.3:
            inside = (_dots(rng, 15),)
        things.append(
            Thing(
                (*parts, (1.0, 8 + 2 * k)),
                _crowd(rng, radius, (0.03, 0.35)),
                radius,
                float(rng.choice([1.1, 2.0, 5.0])),
                int(rng.integers(2, 7)),
                rng.uniform(0, 0.2) * (rng.random() < 0.5),
                inclusions=inside,
                facets=int(rng.integers(3, 8)) if rng.random() < 0.15 else 0,
            )
        )
    wall = rng.uniform(2, 14) if rng.random() < 0.75 else 0.0
    cell = log_uniform(rng, 28, 120)
    return World(
        ground,
        tiles,
        cell,
        wall,
        7,
        rng.uniform(0, 9),
        tuple(things),
        quantile=rng.uniform(0.25, 0.6),
    )


def cells(rng: Draw) -> World:
    """Cells with nucleus, nucleolus and organelles, scattered or side by side."""
    radius = log_uniform(rng, 14, 80)
    organelles = []
    if radius > 22 and rng.random() < 0.7:
        organelles.append(_dots(rng, 5))
    if radius > 30 and rng.random() < 0.5:
        organelles.append(_mitochondrion(rng, 6, 4, rng.uniform(0.08, 0.18), rng.uniform(2, 9)))
    if radius > 26 and rng.random() < 0.4:
        vesicle = ((1.0, 10), (rng.uniform(0.5, 0.8), 11))
        organelles.append(Thing(vesicle, rng.uniform(1, 8), rng.uniform(0.08, 0.2)))
    nucleolus = (Thing(((1.0, 12),), rng.uniform(1, 3), rng.uniform(0.15, 0.3)),)
    nucleus = Thing(
        ((1.0, 3),),
        1.0,
        rng.uniform(0.3, 0.6),
        1.6,
        3,
        0.06,
        inclusions=nucleolus if rng.random() < 0.5 and radius > 24 else (),
    )
    edge = ((1.0, 13), (rng.uniform(0.8, 0.95), 2)) if rng.random() < 0.4 else ((1.0, 2),)
    body = Thing(
        edge,
        _crowd(rng, radius),
        radius,
        rng.uniform(1.1, 4),
        int(rng.integers(2, 6)),
        rng.uniform(0, 0.25),
        inclusions=(*organelles, nucleus),
    )
    rare = ()
    if rng.random() < 0.4:  # rounded, dividing or dying cells
        rare = (Thing(((1.0, 14), (rng.uniform(0.4, 0.8), 15)), rng.uniform(1, 6), 0.5 * radius),)
    return World(
        "plain", (1,), 40, 0, 0, rng.uniform(0, 8), (body, *rare), apart=rng.random() < 0.5
    )


def nuclei(rng: Draw) -> World:
    """Crowded nuclei, two types of them, and debris."""
    radius = log_uniform(rng, 4, 34)
    nucleoli = (_dots(rng, 5, 3),) if radius > 12 and rng.random() < 0.4 else ()
    first = Thing(
        ((1.0, 2),),
        _crowd(rng, radius, (0.08, 0.5)),
        radius,
        rng.uniform(1.2, 2.5),
        3,
        rng.uniform(0, 0.12),
        inclusions=nucleoli,
    )
    things = [first]
    if rng.random() < 0.6:
        other = radius * rng.uniform(0.4, 1.4)
        things.append(
            Thing(
                ((1.0, 3),),
                _crowd(rng, other, (0.03, 0.2)),
                other,
                rng.uniform(1.1, 4),
                int(rng.integers(2, 6)),
                rng.uniform(0, 0.3),
            )
        )
    if rng.random() < 0.4:
        things.append(Thing(((1.0, 4),), rng.uniform(5, 40), rng.uniform(1.5, 4)))
    ground = "patches" if rng.random() < 0.3 else "plain"
    return World(
        ground,
        (1, 6) if ground == "patches" else (1,),
        26,
        0,
        0,
        rng.uniform(0, 4),
        tuple(things),
        apart=rng.random() < 0.4,
    )


def glands(rng: Draw) -> World:
    """Rings of cells around a lumen, in fibrous tissue with nuclei of its own."""
    radius = log_uniform(rng, 26, 80)
    size = rng.uniform(0.07, 0.16)
    same = rng.random() < 0.4
    lumen = rng.uniform(0.3, 0.6)
    ring = Thing(((1.0, 3),), np.pi * 0.75 / size, size, 1.6, ring=(lumen + 1) / 2)
    gland = Thing(
        ((1.0, 4), (lumen, 5)),
        _crowd(rng, radius, (0.25, 0.7)),
        radius,
        rng.uniform(1.1, 2.5),
        int(rng.integers(2, 7)),
        rng.uniform(0, 0.18),
        inclusions=(ring,),
    )
    small = radius * size * rng.uniform(0.6, 1)
    stroma = Thing(
        ((1.0, 3 if same else 6),),
        _crowd(rng, small, (0.03, 0.2)),
        max(2, small),
        rng.uniform(1.5, 6),
    )
    fibres = ()
    if rng.random() < 0.5:
        fibres = (Curve(rng.uniform(4, 25), rng.uniform(2, 8), 0.04, 200, 7),)
    return World(
        "plain",
        (1,),
        40,
        0,
        0,
        rng.uniform(2, 9),
        (stroma, gland),
        fibres,
        apart=rng.random() < 0.8,
    )


def membranes(rng: Draw) -> World:
    """Cells side by side in electron microscopy: thin walls, mitochondria, vesicles, axons."""
    cell = log_uniform(rng, 24, 110)
    size = cell * rng.uniform(0.12, 0.35)
    things = [_mitochondrion(rng, 4, 3, max(4, size), _crowd(rng, max(4, size), (0.02, 0.2)))]
    if rng.random() < 0.5:
        small = rng.uniform(2, 6)
        things.append(
            Thing(((1.0, 5), (0.6, 6)), min(160, _crowd(rng, small, (0.02, 0.1))), small)
        )
    if rng.random() < 0.5:  # axons with myelin
        axon = rng.uniform(10, 60)
        myelin = rng.uniform(0.6, 0.88)
        inside = (_mitochondrion(rng, 4, 3, rng.uniform(0.12, 0.25), 1.5),)
        things.insert(
            0,
            Thing(
                ((1.0, 8), (myelin, 9)),
                _crowd(rng, axon, (0.1, 0.6)),
                axon,
                rng.uniform(1.1, 2.2),
                3,
                0.1,
                inclusions=inside if rng.random() < 0.5 else (),
            ),
        )
    if rng.random() < 0.4:
        nucleus = rng.uniform(30, 70)
        things.append(
            Thing(
                ((1.0, 10), (0.94, 11)),
                rng.uniform(0.4, 1.5),
                nucleus,
                1.5,
                4,
                0.1,
                inclusions=(_dots(rng, 12, 5),),
            )
        )
    if rng.random() < 0.4:  # thick dark pieces at walls: synapses, junctions
        things.append(Thing(((1.0, 13),), rng.uniform(3, 20), rng.uniform(3, 8), 5))
    tiles = (1, 2) if rng.random() < 0.4 else (1,)
    return World(
        "tiling",
        tiles,
        cell,
        rng.uniform(1.5, 9),
        7,
        rng.uniform(3, 10),
        tuple(things),
        apart=True,
        em=0.6,
    )


def smear(rng: Draw) -> World:
    """Blood: discs, cells with lobed nuclei, platelets."""
    radius = log_uniform(rng, 9, 45)
    disc = Thing(((1.0, 2),), _crowd(rng, radius, (0.15, 0.7)), radius, 1.25, 3, 0.05)
    lobes = Thing(((1.0, 4),), rng.uniform(1, 3.5), rng.uniform(0.3, 0.6), 1.6, 3, 0.15)
    white = Thing(
        ((1.0, 3),),
        rng.uniform(0.7, 5),
        radius * rng.uniform(1.2, 2.2),
        1.2,
        4,
        0.06,
        inclusions=(*((_dots(rng, 6, 12),) if rng.random() < 0.4 else ()), lobes),
    )
    platelets = Thing(((1.0, 5),), rng.uniform(2, 15), radius * rng.uniform(0.2, 0.4), 1.4, 5, 0.2)
    return World(
        "plain",
        (1,),
        40,
        0,
        0,
        rng.uniform(0, 3),
        (disc, platelets, white),
        apart=rng.random() < 0.6,
    )


def threads(rng: Draw) -> World:
    """Fibres, tubes, worms and rods of one or two sorts, with particles between."""
    curves = []
    for k in range(int(rng.integers(1, 3))):
        width = log_uniform(rng, 2.5, 26)
        length = float(rng.choice([width * 3, 60, 250]))
        count = float(np.clip(rng.uniform(0.06, 0.4) * 65536 / (width * length), 2, 60))
        wall = rng.uniform(1.5, 5) if rng.random() < 0.35 and width > 6 else 0.0
        curves.append(
            Curve(count, width, log_uniform(rng, 0.01, 0.15), length, 2 + k, wall, 4 + k)
        )
    things = []
    if rng.random() < 0.6:
        radius = log_uniform(rng, 4, 24)
        things.append(Thing(((1.0, 6),), _crowd(rng, radius, (0.03, 0.2)), radius, 1.5, 4, 0.1))
    return World(
        str(rng.choice(["plain", "plain", "patches"])),
        (1, 7),
        26,
        0,
        0,
        rng.uniform(0, 4),
        tuple(things),
        tuple(curves),
    )


def particles(rng: Draw) -> World:
    """Crystals, grains, colonies, precipitates, bubbles."""
    things = []
    for k in range(int(rng.integers(1, 4))):
        radius = log_uniform(rng, 4, 50)
        parts = ((1.0, 2 + k),)
        if rng.random() < 0.35:
            parts = ((1.0, 8 + k), (rng.uniform(0.6, 0.92), 2 + k))
        things.append(
            Thing(
                parts,
                _crowd(rng, radius, (0.05, 0.45)),
                radius,
                rng.uniform(1.05, 3),
                5,
                rng.uniform(0, 0.15),
                facets=int(rng.integers(3, 9)) * int(rng.random() < 0.5),
            )
        )
    ground = str(rng.choice(["plain", "patches", "tiling"]))
    cracks = ()
    if rng.random() < 0.25:
        cracks = (Curve(rng.uniform(1, 5), rng.uniform(2, 8), 0.25, 250, 12),)
    return World(
        ground,
        (1, 13) if ground != "plain" else (1,),
        log_uniform(rng, 24, 110),
        rng.uniform(1, 5),
        14,
        rng.uniform(0, 6),
        tuple(things),
        cracks,
        apart=rng.random() < 0.5,
    )


WORLDS: dict[Callable[[Draw], World], float] = {
    abstract: 0.3,
    cells: 0.13,
    nuclei: 0.11,
    glands: 0.09,
    membranes: 0.24,
    smear: 0.07,
    threads: 0.07,
    particles: 0.09,
}
