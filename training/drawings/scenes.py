"""Scenes: which class lies at each pixel, and where in its object the pixel lies.

A `World` is what the images of a group have in common: its ground (one class, a tiling with
walls, or patches of smooth noise), things (round bodies of nested parts, with inclusions) and
curves (threads, tubes). Each call of `scene` lays them out anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from training.drawings.fields import smooth_noise, warped_grid

Array = np.ndarray
CLASSES = 16
"""Classes of a world are numbered below this."""


@dataclass(frozen=True)
class Thing:
    """A body: an ellipse with a wavy edge, made of nested parts.

    Attributes
    ----------
    parts : tuple of (float, int)
        Relative outer radius and class of each part, from the outermost to the innermost.
    number : float
        How many lie in 256 × 256 pixels on average, or in one parent if it is an inclusion.
    radius : float
        In pixels; of an inclusion, relative to its parent.
    elongation : float
        Long axis over short axis, at most.
    lobes, waviness : int, float
        The edge bulges so many times, by this share of the radius.
    offset : float
        How far the inner parts lie off the centre, relative to the radius.
    ring : float
        Inclusions lie at this relative radius of the parent; 0 anywhere in it.
    inclusions : tuple of Thing
        Things inside each body.
    facets : int
        Number of straight edges of a crystal; 0 for round bodies.
    """

    parts: tuple[tuple[float, int], ...]
    number: float
    radius: float
    elongation: float = 1.3
    lobes: int = 0
    waviness: float = 0.0
    offset: float = 0.0
    ring: float = 0.0
    inclusions: tuple[Thing, ...] = ()
    facets: int = 0


@dataclass(frozen=True)
class Curve:
    """Threads or tubes: `number` random walks of a `width` in pixels, with a wall if `wall`."""

    number: float
    width: float
    bend: float
    length: float
    inside: int
    wall: float = 0.0
    wall_class: int = 0


@dataclass(frozen=True)
class World:
    """What the images of a group have in common; see the module's docstring.

    `em` is the share of its groups that are always drawn as in electron microscopy.
    """

    ground: str
    tiles: tuple[int, ...]
    cell: float
    wall: float
    wall_class: int
    warp: float
    things: tuple[Thing, ...] = ()
    curves: tuple[Curve, ...] = ()
    apart: bool = False
    quantile: float = 0.4
    em: float = 0.0


@dataclass(eq=False)
class Scene:
    """Class, relative radius in the object (1 at its edge) and direction, for every pixel."""

    classes: Array
    radius: Array
    angle: Array
    rows: Array = field(repr=False)
    columns: Array = field(repr=False)


def scene(rng: np.random.Generator, world: World, size: int) -> Scene:
    """Lay out a `world` in a square of `size` pixels."""
    rows, columns = warped_grid(rng, size, world.warp)
    classes = np.full((size, size), world.tiles[0], np.int8)
    made = Scene(
        classes,
        np.ones((size, size), np.float32),
        np.full((size, size), rng.uniform(0, np.pi), np.float32),
        rows,
        columns,
    )
    zoom = float(np.exp(rng.uniform(-0.22, 0.22)))
    if world.ground == "tiling":
        _tile(rng, world, made, zoom)
    elif world.ground == "patches":
        noise = smooth_noise(rng, size, min(30, world.cell * zoom))
        low, high = np.quantile(noise, [world.quantile, min(0.97, world.quantile + 0.25)])
        classes[noise >= low] = world.tiles[len(world.tiles) // 2]
        classes[noise >= high] = world.tiles[-1]
    area = (size / 256) ** 2
    for curve in world.curves:
        _paint_curves(rng, curve, made, area, zoom)
    for thing in world.things:
        _scatter(rng, thing, made, area, zoom, apart=world.apart)
    return made


def _tile(rng: np.random.Generator, world: World, made: Scene, zoom: float) -> None:
    """Cells around random centres, with walls; each cell has a class of the tiles."""
    size = len(made.classes)
    count = max(4, int((size / (world.cell * zoom)) ** 2 * rng.uniform(0.8, 1.25)))
    centres = rng.uniform(-20, size + 20, (count, 2)).astype(np.float32)
    grid = np.stack([made.rows.ravel(), made.columns.ravel()], 1)
    distance, nearest = cKDTree(centres).query(grid, 2, workers=1)
    cell = nearest[:, 0].reshape(size, size)
    gap = (distance[:, 1] - distance[:, 0]).reshape(size, size)
    made.classes[:] = rng.choice(world.tiles, count)[cell]
    made.angle[:] = rng.uniform(0, np.pi, count)[cell]
    made.radius[:] = np.clip(1 - gap / (2 * world.cell * zoom), 0, 1)
    if world.wall:
        made.classes[gap < world.wall * zoom] = world.wall_class


def _paint_curves(
    rng: np.random.Generator, curve: Curve, made: Scene, area: float, zoom: float
) -> None:
    size = len(made.classes)
    mask = np.ones((size, size), bool)
    heading = np.zeros((size, size), np.float32)
    for _ in range(int(rng.poisson(curve.number * area)) + 1):
        steps = max(4, int(rng.exponential(curve.length)))
        turns = np.cumsum(rng.normal(0, curve.bend, steps)) + rng.uniform(0, 2 * np.pi)
        path = rng.uniform(0, size, (2, 1)) + np.cumsum([np.sin(turns), np.cos(turns)], 1)
        inside = ((path >= 0) & (path < size)).all(0)
        y, x = path[:, inside].astype(int)
        mask[y, x] = False
        heading[y, x] = turns[inside]
    distance, index = ndimage.distance_transform_edt(mask, return_indices=True)
    half = curve.width * zoom / 2
    body = distance < half
    if curve.wall:
        made.classes[distance < half + curve.wall] = curve.wall_class
    made.classes[body] = curve.inside
    made.radius[body] = distance[body] / half
    made.angle[body] = heading[tuple(index)][body] % np.pi


def _scatter(
    rng: np.random.Generator, thing: Thing, made: Scene, area: float, zoom: float, *, apart: bool
) -> None:
    size = len(made.classes)
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(rng.poisson(thing.number * area)) + 1):
        centre = rng.uniform(0, size, 2)
        radius = thing.radius * zoom * rng.uniform(0.75, 1.3)
        if apart and any(
            np.hypot(centre[0] - y, centre[1] - x) < 0.85 * (radius + r) for y, x, r in taken
        ):
            continue
        taken.append((*centre, radius))
        _paint(rng, thing, made, centre=centre, radius=radius)


def _paint(
    rng: np.random.Generator,
    thing: Thing,
    made: Scene,
    *,
    centre: Array,
    radius: float,
    inside: Array | None = None,
) -> None:
    """Paint one body, and what is inside it; `inside` marks the pixels of its parent."""
    size = len(made.classes)
    elongation = rng.uniform(1, thing.elongation)
    reach = int(radius * np.sqrt(elongation) * (1.1 + thing.waviness)) + 14
    top, left = np.maximum(0, centre.astype(int) - reach)
    bottom, right = np.minimum(size, centre.astype(int) + reach + 1)
    if top >= bottom or left >= right:
        return
    box = (slice(top, bottom), slice(left, right))
    turn = rng.uniform(0, np.pi)
    dy, dx = made.rows[box] - centre[0], made.columns[box] - centre[1]
    along = (dy * np.sin(turn) + dx * np.cos(turn)) / np.sqrt(elongation)
    across = (dy * np.cos(turn) - dx * np.sin(turn)) * np.sqrt(elongation)
    relative = np.hypot(along, across) / radius
    bearing = np.arctan2(across, along)
    if thing.facets:
        sector = 2 * np.pi / thing.facets
        relative = relative * np.cos((bearing % sector) - sector / 2) / np.cos(sector / 2)
    if thing.waviness:
        waves = np.cos(thing.lobes * bearing + rng.uniform(0, 6.3))
        waves += 0.5 * np.cos((thing.lobes + 1) * bearing + rng.uniform(0, 6.3))
        relative = relative / (1 + thing.waviness * waves)
    body = relative < thing.parts[0][0]
    if inside is not None:
        body &= inside[box]
    shift = thing.offset * rng.uniform(-1, 1, 2)
    inner = np.hypot(along / radius - shift[0], across / radius - shift[1])
    for k, (outer, number) in enumerate(thing.parts):
        part = body if k == 0 else body & ((inner if thing.offset else relative) < outer)
        made.classes[box][part] = number
        made.radius[box][part] = np.clip(relative[part] / outer, 0, 1)
    made.angle[box][body] = turn
    if thing.inclusions:
        own = np.zeros((size, size), bool)
        own[box] = body
    for child in thing.inclusions:
        for k in range(int(rng.poisson(child.number)) + (child.number >= 1)):
            if thing.ring:
                share = 2 * np.pi * k / max(1.0, child.number) + rng.normal(0, 0.1)
                distance = thing.ring * radius
            else:
                share, distance = rng.uniform(0, 2 * np.pi), radius * 0.75 * np.sqrt(rng.uniform())
            a, b = distance * np.cos(share) * np.sqrt(elongation), distance * np.sin(share)
            b /= np.sqrt(elongation)
            sine, cosine = np.sin(turn), np.cos(turn)
            spot = np.array((a * sine + b * cosine, a * cosine - b * sine)) + centre
            scale = rng.uniform(0.75, 1.3)
            size_here = max(1.5, child.radius * radius * scale)
            _paint(rng, child, made, centre=spot, radius=size_here, inside=own)
