"""Looks: how much of each substance a class holds, and its texture.

A look is the same in all images of a group. Look-alikes are made on purpose: classes that differ
in texture only, or in shape only, so that the model can't rely on brightness alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.drawings.fields import fibrous_noise, smooth_noise
from training.drawings.scenes import CLASSES, Scene

Array = np.ndarray
SUBSTANCES = 3


@dataclass(frozen=True)
class Look:
    """One class.

    Attributes
    ----------
    amounts : tuple of float
        Of each substance, 0 to 1.
    grain, grain_size : float
        Strength and width (pixels) of its noise texture.
    stripes, period : float
        Strength and period (pixels) of stripes along the object.
    fibres, fibre_length : float
        Strength and length (pixels) of a fibrous texture along the object.
    speckles, speckle_size : float
        Strength and size of spots, dark or bright by the sign.
    doming : float
        How much its objects are brighter in the middle than at the edge.
    """

    amounts: tuple[float, ...]
    grain: float = 0.0
    grain_size: float = 2.0
    stripes: float = 0.0
    period: float = 6.0
    fibres: float = 0.0
    fibre_length: float = 5.0
    speckles: float = 0.0
    speckle_size: float = 2.0
    doming: float = 0.0


def random_looks(rng: np.random.Generator) -> list[Look]:
    """One look per class; some are look-alikes of others."""
    spread = rng.uniform(0.25, 0.5)
    middle = rng.uniform(0.25, 0.75, SUBSTANCES)
    looks = [_random_look(rng, middle, spread) for _ in range(CLASSES)]
    for _ in range(int(rng.integers(0, 4))):
        first, second = rng.choice(CLASSES, 2, replace=False)
        kept = looks[second] if rng.random() < 0.7 else _random_look(rng, middle, spread)
        looks[second] = replace(kept, amounts=looks[first].amounts)
    return looks


def _random_look(rng: np.random.Generator, middle: Array, spread: float) -> Look:
    amounts = np.clip(middle + rng.uniform(-spread, spread, SUBSTANCES) * 1.3, 0.02, 0.98)

    def sometimes(share: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < share else 0.0

    return Look(
        tuple(amounts),
        sometimes(0.7, 0.01, 0.16),
        float(np.exp(rng.uniform(np.log(0.7), np.log(7)))),
        sometimes(0.2, 0.05, 0.2),
        float(rng.uniform(3, 12)),
        sometimes(0.15, 0.04, 0.16),
        float(rng.uniform(3, 9)),
        sometimes(0.2, -0.35, 0.35),
        float(rng.uniform(0.8, 3)),
        sometimes(0.4, -0.35, 0.35),
    )


def substances(rng: np.random.Generator, made: Scene, looks: list[Look]) -> Array:
    """Amount of each substance at every pixel of a scene; shape (size, size, 3)."""
    size = len(made.classes)
    amounts = np.zeros((size, size, SUBSTANCES), np.float32)
    waves = 2 * smooth_noise(rng, size, 14)
    across = made.rows * np.cos(made.angle) + made.columns * np.sin(made.angle)
    for number in np.unique(made.classes):
        look, here = looks[number], made.classes == number
        texture = np.zeros((size, size), np.float32)
        if look.grain:
            texture += look.grain * smooth_noise(rng, size, look.grain_size)
        if look.stripes:
            texture += look.stripes * np.sin(2 * np.pi / look.period * across + waves)
        if look.fibres:
            texture += look.fibres * fibrous_noise(rng, size, look.fibre_length, made.angle)
        if look.speckles:
            texture += look.speckles * (smooth_noise(rng, size, look.speckle_size) > 1.3)
        if look.doming:
            texture += look.doming * (0.5 - made.radius**2)
        slip = rng.uniform(-0.03, 0.03)
        amounts[here] = (np.array(look.amounts, np.float32) + slip + texture[..., None])[here]
    return np.clip(amounts, 0, 1.2)
