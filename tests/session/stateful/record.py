"""A plain record of what a user did to a session: images, ticks, channels, points, choices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
from napari.components import ViewerModel

from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import InlineRunner

from ..brute_force import PatchProjection
from .belongings import Belongings

SIGNS = {"projection-1": 1.0, "projection-2": -1.0}
MODELS = [PatchProjection(name, sign) for name, sign in SIGNS.items()]
ROLES = (
    "query",
    "regions",
    "heatmap",
    "class map",
    "outline",
    "contour",
    "mirror",
    "result",
)


class Said(NamedTuple):
    """What a point says."""

    class_name: str
    positive: bool


class Before(NamedTuple):
    """What the points were before an edit."""

    coordinates: np.ndarray
    ids: list
    said: list
    owner: list
    notes: list
    colours: dict


class Step(NamedTuple):
    """All that can be undone, before an edit, and what the edit has changed of it."""

    changed: frozenset
    points: Before | None
    boxes: dict | None
    merges: set
    saved: SavedSaid | None
    loaded: list
    left_out: dict
    numbers: dict


@dataclass
class SavedClass:
    """A class of a query that outlives its images."""

    name: str
    positives: list
    negatives: list
    background: np.ndarray


@dataclass
class SavedSaid:
    """A query as it was saved."""

    classes: list[SavedClass]
    combination: str
    fingerprint: str


class Record:
    """A viewer, a session on it, and what the user did to both."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.belongings = Belongings(self.viewer)
        self.images: list = []
        self.ticked: set = set()
        self.merges: list[tuple] = []
        self.files_of_channels: list[list] = []
        self.model = MODELS[0]
        self.numbers = count()
        self.ids: list[int] = []
        self.owner: list = []
        self.said: list[Said] = []
        self.notes: list = []
        self.noted = False
        self.files: list[SavedSaid] = []
        self.grid = self.grid_now()
        self.open_session()

    def open_session(self) -> None:
        self.failures: list = []
        self.expected: tuple[str, ...] = ()
        self.session = SimilaritySession(self.viewer, backbone=self.model, runner=InlineRunner())
        self.session.failed.connect(self.on_failure)
        self.combination, self.outline = "auto", "edges"
        self.all_planes, self.source, self.recipe = False, None, Recipe()
        self.past: list[Step] = []
        self.future: list[Step] = []
        self.regions: list = []
        self.boxes = None
        self.decided: set = set()  # what the user has merged or split
        self.found: set = set()  # what was one image when it was opened
        self.saved: SavedSaid | None = None
        self.colours: dict[str, str] = {}

    def on_failure(self, failure) -> None:
        self.failures.append(failure)

    def grid_now(self) -> dict:
        grid = self.viewer.canvas.grid
        return {name: getattr(grid, name) for name in ("enabled", "stride", "shape", "spacing")}

    def marked(self, role) -> list:
        return [layer for layer in self.viewer.layers if mark_of(layer, role)]

    @property
    def arranged(self) -> bool:
        """Whether the images are side by side now."""
        return bool(self.marked("mirror"))

    def bring(self, make, at=None):
        """Have a layer of the user's come into the viewer."""
        arranged = self.arranged
        above = [] if at is None else list(self.viewer.layers)[at:]
        layer = make()
        self.belongings.add(layer, above, newcomer=arranged)
        return layer

    def remove(self, layer) -> None:
        """Take a layer out as napari's Delete does: at once, and a refresh comes after it."""
        with self.viewer.layers.batched_update():
            self.viewer.layers.remove(layer)

    # -- channels that are one image -------------------------------------------------------------

    def merge_of(self, image) -> tuple | None:
        return next((merge for merge in self.merges if image in members(merge)), None)

    def target_of(self, image):
        """The layer that stands for an image: itself, or the first of its channels."""
        merge = self.merge_of(image)
        return image if merge is None else members(merge)[0]

    def channels(self, target) -> list:
        """The layers that are one image."""
        merge = self.merge_of(target)
        return [target] if merge is None else members(merge)

    def part(self, merge) -> None:
        self.merges.remove(merge)
        ticked = members(merge)[0] in self.ticked
        for image in members(merge):
            self.ticked.discard(image)
            if ticked and image in self.images:
                self.ticked.add(image)

    def part_diverged(self) -> None:
        """Part channels that lie apart by now, or differ in shape."""
        for merge in list(self.merges):
            lead, *others = members(merge)
            if not all(congruent(lead, other) for other in others):
                self.part(merge)
                self.decided.update(members(merge))

    def is_visible(self, target) -> bool:
        return any(image.visible for image in self.channels(target))


def members(merge) -> list:
    return [image for image in merge if image is not None]


def congruent(image, other) -> bool:
    """Whether two images have the same shape and lie at the same place."""
    if image.data.shape != other.data.shape:
        return False
    size = np.array(image.data.shape, float)
    corners = [np.zeros(image.ndim), size, *np.diag(size)]
    one, two = ([i.data_to_world(corner) for corner in corners] for i in (image, other))
    apart = np.abs(np.subtract(one, two)).max()
    sides = np.linalg.norm(np.subtract(two[2:], two[0]), axis=1) / size
    return bool(apart <= 0.01 * sides.min())
