"""Clicks on annotated images, and what each should find; the same for all models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PATCH = 16
"""Side of a patch, in pixels: that of every DINOv3 model."""

IGNORED = 255
"""Class of pixels that are not judged."""

LEAST_PATCHES = 5
"""An image with fewer patches of a class is not asked for it."""

LEAST_LEFT = 3
"""A click must leave so many patches to be found in its own image."""


@dataclass(frozen=True, eq=False)
class AnnotatedPatches:
    """What the patches of an image hold; pixels beyond the last whole patch do not count.

    Attributes
    ----------
    classes : ndarray of int, shape (H, W)
        Class of each pixel; 0 is none, 255 is not judged.
    objects : ndarray of int, shape (H, W), or None
        Number of the object of each pixel, 0 for none; None where objects are not known.
    """

    classes: NDArray[np.integer] = field(repr=False)
    objects: NDArray[np.integer] | None = field(default=None, repr=False)

    def share(self, number: int) -> NDArray[np.float32]:
        """Return which part of each patch is of a class, (rows, columns)."""
        return covered(self.classes == number)

    def judged(self) -> NDArray[np.bool_]:
        """Mark the patches of which at most half is left out, (rows, columns)."""
        return self.share(IGNORED) <= 0.5

    def own_object(self, row: int, column: int) -> NDArray[np.bool_]:
        """Mark a patch and all others that touch the object that covers most of it."""
        own = np.zeros((self.classes.shape[0] // PATCH, self.classes.shape[1] // PATCH), bool)
        if self.objects is not None:
            rows = slice(row * PATCH, (row + 1) * PATCH)
            columns = slice(column * PATCH, (column + 1) * PATCH)
            numbers, counts = np.unique(self.objects[rows, columns], return_counts=True)
            counts[numbers <= 0] = 0
            if counts.any():
                own = covered(self.objects == numbers[counts.argmax()]) > 0
        own[row, column] = True
        return own


def covered(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return which part of each whole patch a mask covers, (rows, columns)."""
    rows, columns = mask.shape[0] // PATCH, mask.shape[1] // PATCH
    blocks = mask[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH)
    parts: NDArray[np.float32] = blocks.mean((1, 3), dtype=np.float32)
    return parts


@dataclass(frozen=True, eq=False)
class Truth:
    """What an image should show.

    Attributes
    ----------
    image : int
        Which image of the set.
    positive : ndarray of bool, shape (rows, columns)
        The patches of the class.
    counted : ndarray of bool, shape (rows, columns)
        The patches that are ranked.
    """

    image: int
    positive: NDArray[np.bool_] = field(repr=False)
    counted: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, eq=False)
class AnnotatedClick:
    """A patch that is clicked.

    Attributes
    ----------
    image : int
        Which image of the set.
    row, column : int
    within : Truth or None
        Of the same image, without the object that was clicked; None where too few are left.
    across : Truth or None
        Of another image of the set; None where no other has the class.
    """

    image: int
    row: int
    column: int
    within: Truth | None
    across: Truth | None

    @property
    def chance(self) -> float:
        """The precision within the image that a random order has; NaN where there is none."""
        if self.within is None:
            return float("nan")
        return float(self.within.positive[self.within.counted].mean())


def draw_clicks(
    images: Sequence[AnnotatedPatches], numbers: Sequence[int], most: int, seed: int = 0
) -> list[list[AnnotatedClick]]:
    """Return random clicks on each class of a set.

    A click is a patch that lies at least three quarters in the class or, in an image without such
    a patch, as far as any does, but half of it at the least. Patches that lie half in the class
    are to be found.

    Parameters
    ----------
    images : sequence of AnnotatedPatches
    numbers : sequence of int
        The classes.
    most : int
        Clicks on each class in each image, at most.
    seed : int
        The same seed draws the same clicks.

    Returns
    -------
    list of list of AnnotatedClick
        For each class; empty where no image has five patches of it.
    """
    random = np.random.default_rng(seed)
    judged = [image.judged() for image in images]
    found = []
    for number in numbers:
        shares = [image.share(number) for image in images]
        truths = [
            Truth(at, share >= 0.5, part)
            for at, (share, part) in enumerate(zip(shares, judged, strict=True))
        ]
        having = [truth for truth in truths if truth.positive.sum() >= LEAST_PATCHES]
        clicks: list[AnnotatedClick] = []
        for truth in having:
            share = shares[truth.image]
            places = np.argwhere(share >= min(0.75, share.max()))
            others = [other for other in having if other is not truth]
            for at in random.choice(len(places), min(most, len(places)), replace=False):
                row, column = (int(n) for n in places[at])
                across = others[random.choice(len(others))] if others else None
                within = _without(truth, images[truth.image].own_object(row, column))
                clicks.append(AnnotatedClick(truth.image, row, column, within, across))
        found.append(clicks)
    return found


def _without(truth: Truth, own: NDArray[np.bool_]) -> Truth | None:
    counted = truth.counted & ~own
    if truth.positive[counted].sum() < LEAST_LEFT:
        return None
    return Truth(truth.image, truth.positive, counted)
