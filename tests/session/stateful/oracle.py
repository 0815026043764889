"""What must be seen: every score computed afresh from pixels and from what is asked now."""

from __future__ import annotations

import numpy as np

from ..brute_force import (
    PATCH,
    merged,
    over_pixels,
    pixel_scores,
    reference_background,
    reference_embeddings,
    reference_merged_embeddings,
    reference_objects,
    reference_scores,
    reference_window,
    scaled,
    unit,
)
from .asked import Asked
from .ownership import Ownership
from .record import SIGNS, SavedClass, SavedSaid

TOLERANCE = 3e-4


class Oracle(Ownership):
    """Computes scores patch by patch, and remembers embeddings only."""

    def __init__(self) -> None:
        self.cache: dict = {}
        super().__init__()

    @property
    def cell(self) -> int:
        return int(PATCH / self.recipe.factor)

    # -- embeddings ------------------------------------------------------------------------------

    def forget_pixels(self, image) -> None:
        self.cache = {key: kept for key, kept in self.cache.items() if image not in key[0]}

    def embeddings(self, target, z):
        merge = self.merge_of(target)
        key = (merge or (target,), z, self.model.fingerprint, self.recipe)
        if key not in self.cache:
            how = {
                "sign": SIGNS[self.model.fingerprint],
                "factor": self.recipe.factor,
                "padding": self.recipe.padding,
            }
            if merge is None:
                self.cache[key] = reference_embeddings(*windowed(target, z), **how)
            else:
                channels = [image and windowed(image, z) for image in merge]
                self.cache[key] = reference_merged_embeddings(channels, **how)
        return self.cache[key]

    # -- what is asked ---------------------------------------------------------------------------

    def asked(self) -> list[Asked]:
        """All that is asked now: points, then regions, then a saved query."""
        regions = [one for region in self.regions for one in region.asked(self)]
        return [*self.asked_by_points(), *regions, *self.asked_by_the_saved()]

    def asked_by_points(self) -> list[Asked]:
        found = []
        for owner, said, world in zip(self.owner, self.said, self.worlds(), strict=True):
            if owner is not None:
                z, y, x = self.pixel(owner, world)
                vector = self.embeddings(owner, z)[y // self.cell, x // self.cell]
                found.append(Asked(said.class_name, said.positive, [vector], (owner, z)))
        return found

    @property
    def is_foreign(self) -> bool:
        """Whether a query is loaded that another model made."""
        return self.saved is not None and self.saved.fingerprint != self.model.fingerprint

    def asked_by_the_saved(self) -> list[Asked]:
        found = []
        for class_name in [] if self.saved is None or self.is_foreign else self.saved.classes:
            found.append(
                Asked(
                    class_name.name, True, class_name.positives, background=class_name.background
                )
            )
            found.append(Asked(class_name.name, False, class_name.negatives))
        return found

    def classes_of(self, asked) -> list[str]:
        """The classes that have an example, in the order in which they were first asked for."""
        names = dict.fromkeys(one.class_name for one in asked if one.named)
        names |= dict.fromkeys(one.class_name for one in asked)
        return [name for name in names if vectors_of(name, asked, positive=True)]

    def background(self, class_name, asked):
        """The mean direction of all images that a class was asked on."""
        on = dict.fromkeys(
            one.on for one in asked if one.class_name == class_name and one.on and one.vectors
        )
        means = [
            o.background for o in asked if o.class_name == class_name and o.background is not None
        ]
        means += [reference_background([self.embeddings(*plane)]) for plane in on]
        return unit(np.mean(means, axis=0))

    def resolved(self, asked) -> str:
        """How the vectors of each class are combined."""
        if self.combination != "auto":
            return self.combination
        classes = self.classes_of(asked)
        refined = any(vectors_of(class_name, asked, positive=False) for class_name in classes)
        return "learned" if refined else "mean"

    def saved_now(self) -> SavedSaid:
        """What a file of the present query must hold."""
        asked = self.asked()
        classes = [
            SavedClass(
                class_name,
                vectors_of(class_name, asked, positive=True),
                vectors_of(class_name, asked, positive=False),
                self.background(class_name, asked),
            )
            for class_name in self.classes_of(asked)
        ]
        return SavedSaid(classes, self.combination, self.model.fingerprint)

    # -- what must be seen -----------------------------------------------------------------------

    def scores(self, asked, target, z) -> dict[str, np.ndarray]:
        """The score of every patch by class."""
        embeddings, combination = self.embeddings(target, z), self.resolved(asked)
        return {
            class_name: reference_scores(
                combination,
                vectors_of(class_name, asked, positive=True),
                vectors_of(class_name, asked, positive=False),
                self.background(class_name, asked),
                embeddings,
            )
            for class_name in self.classes_of(asked)
        }

    def class_maps(self, asked, target, z):
        """The number of the class_maps class, and where that is certain."""
        by_class = self.scores(asked, target, z)
        scores = np.stack(list(by_class.values()))
        levels = np.array([self.thresholds.get(name, -np.inf) for name in by_class])[:, None, None]
        certain = (np.abs(scores - levels) > TOLERANCE).all(0)
        scores = np.where(scores >= levels, scores, -9)
        ordered = np.sort(scores, axis=0)
        certain &= (ordered[-1] - ordered[-2] > TOLERANCE) | (ordered[-1] == -9)
        return np.where(ordered[-1] == -9, 0, scores.argmax(0) + 1), certain

    @property
    def thresholds(self) -> dict[str, float]:
        """Those set by hand, by the names that the classes have now."""
        return self.session._coordinator.thresholds.by_hand

    def over(self, target, values):
        return over_pixels(values, target.data.shape[-2:], self.cell)

    def objects(self, target, z, values, level):
        """Where the objects of a class are, and where that is certain."""
        if self.outline == "patches":
            scores = self.over(target, values)
            return scores >= level, np.abs(scores - level) > TOLERANCE
        colours = [image and scaled(*windowed(image, z)) for image in self.merge_of(target) or ()]
        guide = merged(colours) if colours else scaled(*windowed(target, z))
        scores = pixel_scores(values, guide, self.cell)
        # A pixel more or less makes an object of a speck.
        certain = np.abs(scores - level).min() > TOLERANCE
        return reference_objects(scores, level, self.cell), np.full(scores.shape, certain)

    def planes(self, target) -> list:
        return [None] if target.ndim == 2 else list(range(len(target.data)))

    def is_embedded(self, target) -> bool:
        """Whether the shown plane of an image has been embedded."""
        planes = {
            plane.key.layer_id: plane
            for plane in self.session._coordinator.targets.resolve().planes.values()
        }
        plane = planes.get(target.unique_id)
        return (
            plane is not None and self.session._coordinator.embedder.handle(plane.key) is not None
        )

    def is_due(self, target, z) -> bool:
        """Whether a plane must be answered by now."""
        if z is None:
            return True
        shown = self.shown_z(target)
        return shown is not None and (self.all_planes or z == shown)


def vectors_of(class_name, asked, *, positive) -> list:
    of_class = [one for one in asked if one.class_name == class_name and one.positive == positive]
    return [vector for one in of_class for vector in one.vectors]


def windowed(image, z):
    """The pixels of a plane, and the window of its whole layer."""
    plane = image.data if z is None else image.data[z]
    return (plane, *reference_window(image.data))
