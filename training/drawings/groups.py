"""Groups: images of one world, look and modality, with the share of each class in each patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_dinov3_sim.core.evaluation.clicks import covered
from training.drawings.looks import random_looks, substances
from training.drawings.modalities import random_modality, record
from training.drawings.scenes import CLASSES, scene
from training.drawings.worlds import random_world

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Group:
    """Four images of 256 × 256 pixels, or one of 512 × 512: 1024 patches in either case.

    Attributes
    ----------
    images : ndarray of uint8, shape (images, size, size, 3)
    shares : ndarray of uint8, shape (images, rows, columns, 16)
        Share of each class in each patch, 255 for all of it.
    """

    images: Array
    shares: Array


def draw_group(seed: int, *, large: bool) -> Group:
    """Draw the group of a seed; the same seed gives the same images."""
    rng = np.random.default_rng(seed)
    size, count = (512, 1) if large else (256, 4)
    while True:
        world, looks = random_world(rng), random_looks(rng)
        modality = random_modality(rng, em=world.em)
        images, shares = [], []
        for _ in range(count):
            made = scene(rng, world, size)
            images.append(record(rng, modality, substances(rng, made, looks)))
            shares.append(patch_shares(made.classes))
        group = Group(np.stack(images), np.stack(shares))
        if worth_learning(group):
            return group


def patch_shares(classes: Array) -> Array:
    """Share of each class in each patch; uint8, shape (rows, columns, 16)."""
    shares = [covered(classes == number) for number in range(CLASSES)]
    return np.round(255 * np.stack(shares, -1)).astype(np.uint8)


def worth_learning(group: Group) -> bool:
    """Two classes or more fill 12 patches or more, and the images are not flat."""
    filled = (group.shares >= 128).sum((0, 1, 2)) >= 12
    return bool(filled.sum() >= 2 and group.images.std() > 8)
