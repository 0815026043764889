"""A naive record of what a user did to a session, and what must be seen after it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from brute_force import (
    PATCH,
    PatchProjection,
    over_pixels,
    reference_background,
    reference_embeddings,
    reference_scores,
    reference_window,
)
from napari.components import ViewerModel

from napari_dinov3_sim.core.recipe import Recipe
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.marks import marked_as
from napari_dinov3_sim.session.runner import InlineRunner

SIGNS = {"projection-1": 1.0, "projection-2": -1.0}
MODELS = [PatchProjection(name, sign) for name, sign in SIGNS.items()]
POSITIVE = {True: "positive", False: "negative"}
TOLERANCE = 3e-4


class Said(NamedTuple):
    kind: str
    positive: bool


class Picked(NamedTuple):
    image: object
    z: int | None
    y: int
    x: int
    said: Said


class Before(NamedTuple):
    """What the points were before an edit."""

    coordinates: np.ndarray
    said: list
    owner: list
    colours: dict


class Naive:
    """Drives a session, and knows which image every point belongs to and what it says."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.images: list = []
        self.order: list = []
        self.pixels: dict = {}
        self.looks: dict = {}
        self.ticked: set = set()
        self.source = None
        self.model = MODELS[0]
        self.owner: list = []
        self.said: list[Said] = []
        self.past: list[Before] = []
        self.cache: dict = {}
        self.open_session()

    def open_session(self) -> None:
        self.session = SimilaritySession(self.viewer, backbone=self.model, runner=InlineRunner())
        self.combination, self.threshold, self.limits = "auto", None, None
        self.all_planes, self.source, self.recipe = False, None, Recipe()
        self.past = []

    # -- where points are ----------------------------------------------------------------------

    def data_of(self, image, world):
        return np.asarray(image.world_to_data(np.asarray(world)[-image.ndim :]))

    def pixel(self, image, world):
        """The plane (None in a flat image), the row and the column under a point, or None."""
        at = self.data_of(image, world)
        index = np.concatenate([np.round(at[:-2]), np.floor(at[-2:] + 0.5)])
        if (index < 0).any() or (index >= image.data.shape).any():
            return None
        z = int(index[0]) if image.ndim == 3 else None
        return z, int(index[-2]), int(index[-1])

    def topmost(self, world):
        layers = list(reversed(list(self.viewer.layers)))
        layers.sort(key=lambda layer: layer is not self.source)
        for layer in layers:
            usable = layer in self.images and layer in self.ticked and layer.visible
            if usable and self.pixel(layer, world) is not None:
                return layer
        return None

    def worlds(self):
        points = self.session.queries
        return [] if points is None else [points.data_to_world(p) for p in points.data]

    def settle(self) -> None:
        """Apply the rule of ownership after anything that may have changed it."""
        self.owner = [
            old
            if old in self.images and old in self.ticked and self.pixel(old, world) is not None
            else self.topmost(world)
            for old, world in zip(self.owner, self.worlds(), strict=True)
        ]

    def believe_the_session(self) -> None:
        """Take over who owns which point where the rule alone does not say."""
        by_id = {image.unique_id: image for image in self.images}
        self.owner = [by_id.get(owner) for owner in self.session._queries.owners]

    @contextmanager
    def edit(self):
        """Remember what the points were, for undo."""
        points = self.session.queries
        before = Before(points.data.copy(), list(self.said), list(self.owner), self.session.kinds)
        yield points
        if len({tuple(point) for point in points.data}) < len(points.data):
            self.believe_the_session()
        self.settle()
        same = np.array_equal(before.coordinates, points.data) and before.said == self.said
        if not same:
            self.past.append(before)

    # -- what must be seen ----------------------------------------------------------------------

    def picked(self) -> list[Picked]:
        found = []
        for owner, said, world in zip(self.owner, self.said, self.worlds(), strict=True):
            if owner is not None:
                found.append(Picked(owner, *self.pixel(owner, world), said))
        return found

    @property
    def cell(self) -> int:
        return int(PATCH / self.recipe.factor)

    def embeddings(self, image, z):
        key = (image, z, self.model.name, self.model.fingerprint, self.recipe)
        if key not in self.cache:
            plane = image.data if z is None else image.data[z]
            self.cache[key] = reference_embeddings(
                plane,
                *reference_window(image.data),
                sign=SIGNS[self.model.fingerprint],
                factor=self.recipe.factor,
                padding=self.recipe.padding,
            )
        return self.cache[key]

    def forget_pixels(self, image) -> None:
        self.pixels[image] = np.array(image.data)
        self.cache = {key: kept for key, kept in self.cache.items() if key[0] is not image}

    def scores(self, image, z) -> dict[str, np.ndarray]:
        """The score of every patch by kind, in the order in which the kinds were picked."""
        found: dict[str, np.ndarray] = {}
        picked = self.picked()
        asked = {pick.said.kind for pick in picked if pick.said.positive}
        refined = any(not p.said.positive for p in picked if p.said.kind in asked)
        automatic = "contrast" if refined else "mean"
        combination = automatic if self.combination == "auto" else self.combination
        for kind in dict.fromkeys(pick.said.kind for pick in picked):
            of_kind = [pick for pick in picked if pick.said.kind == kind]
            vectors = {True: [], False: []}
            for pick in of_kind:
                vectors[pick.said.positive].append(
                    self.embeddings(pick.image, pick.z)[pick.y // self.cell, pick.x // self.cell]
                )
            if vectors[True]:
                on = dict.fromkeys((pick.image, pick.z) for pick in of_kind)
                background = reference_background([self.embeddings(*plane) for plane in on])
                found[kind] = reference_scores(
                    combination,
                    vectors[True],
                    vectors[False],
                    background,
                    self.embeddings(image, z),
                )
        return found

    def winners(self, image, z):
        """The number of the winning kind, and where that is certain."""
        scores = np.stack(list(self.scores(image, z).values()))
        ordered = np.sort(scores, axis=0)
        certain = ordered[-1] - ordered[-2] > TOLERANCE
        number = scores.argmax(0) + 1
        if self.threshold is not None:
            number = np.where(ordered[-1] >= self.threshold, number, 0)
            certain |= ordered[-1] < self.threshold
            certain &= np.abs(ordered[-1] - self.threshold) > TOLERANCE
        return number, certain

    def over(self, image, values):
        return over_pixels(values, image.data.shape[-2:], self.cell)

    def shown_z(self, image):
        """The plane of a stack that the slider is at; None outside."""
        at = int(np.round(self.data_of(image, self.viewer.dims.point)[0]))
        return at if 0 <= at < len(image.data) else None

    def must_have(self) -> set:
        """Images of which something is shown, and which must therefore have heatmaps."""
        return {i for i in self.ticked if i.ndim == 2 or self.shown_z(i) is not None}

    # -- whether it is ----------------------------------------------------------------------------

    def check_all(self) -> None:
        kinds = self.kinds_answered()
        self.check_layers(kinds)
        for image in self.ticked:
            self.check_image(image, kinds)
        self.check_points()
        self.check_the_users()

    def kinds_answered(self) -> list[str]:
        picked = self.picked()
        return [
            kind
            for kind in dict.fromkeys(pick.said.kind for pick in picked)
            if any(pick.said == (kind, True) for pick in picked)
        ]

    def check_layers(self, kinds) -> None:
        """One layer per image and kind, and no stranger."""
        roles = ("query", "heatmap", "winner", "outline")
        found = {role: [] for role in roles}
        for layer in self.viewer.layers:
            if layer in self.images:
                continue
            mine = [(role, mark) for role in roles if (mark := marked_as(layer, role))]
            assert len(mine) == 1, f"a stranger: {layer}"
            found[mine[0][0]].append((mine[0][1].get("image"), mine[0][1].get("kind")))
        must = {image.unique_id for image in self.must_have()} if kinds else set()
        may = {image.unique_id for image in self.ticked} if kinds else set()
        maps = found["heatmap"]
        assert len(set(maps)) == len(maps)
        assert {(i, kind) for i in must for kind in kinds} <= set(maps)
        assert set(maps) <= {(i, kind) for i in may for kind in kinds}
        winning = [image for image, _ in found["winner"]]
        assert len(set(winning)) == len(winning)
        assert set(winning) == ({image for image, _ in maps} if len(kinds) > 1 else set())
        outlined = [image for image, _ in found["outline"]]
        assert len(set(outlined)) == len(outlined)
        assert set(outlined) <= {image.unique_id for image in self.images}

    def check_image(self, image, kinds) -> None:
        planes = [None] if image.ndim == 2 else list(range(len(image.data)))
        for kind in kinds:
            heatmap = self.session.heatmaps_of(kind).get(image)
            if heatmap is not None:
                self.lies_over(image, heatmap)
                assert heatmap.visible == image.visible
                for z in planes:
                    self.check_plane(image, z, kind, np.asarray(heatmap.data))
        winner = self.session.winners.get(image)
        if winner is not None:
            self.lies_over(image, winner)
            for z in planes:
                self.check_winner(image, z, np.asarray(winner.data))

    def is_due(self, image, z) -> bool:
        return (
            z is None
            or (self.shown_z(image) is not None and self.all_planes)
            or (z == self.shown_z(image))
        )

    def check_plane(self, image, z, kind, data) -> None:
        assert data.shape == image.data.shape
        got = data if z is None else data[z]
        if not self.is_due(image, z) and np.isnan(got).all():
            return
        wanted = self.over(image, self.scores(image, z)[kind])
        np.testing.assert_allclose(got, wanted, atol=TOLERANCE)

    def check_winner(self, image, z, data) -> None:
        got = data if z is None else data[z]
        if not self.is_due(image, z) and not got.any():
            return
        number, certain = (self.over(image, part) for part in self.winners(image, z))
        np.testing.assert_array_equal(got[certain], number[certain])

    def lies_over(self, image, layer) -> None:
        shape = np.array(image.data.shape)
        for corner in (np.full(image.ndim, -0.5), shape - 0.5, np.arange(image.ndim)):
            np.testing.assert_allclose(
                layer.data_to_world(corner), image.data_to_world(corner), atol=1e-6
            )
        layers = self.viewer.layers
        assert layers.index(layer) > layers.index(image)

    def check_points(self) -> None:
        points = self.session.queries
        if points is None:
            assert not self.said
            return
        assert list(points.features["kind"]) == [said.kind for said in self.said]
        assert list(points.features["sign"]) == [POSITIVE[said.positive] for said in self.said]
        assert [str(symbol) for symbol in points.symbol] == [
            "disc" if said.positive else "cross" for said in self.said
        ]

    def check_the_users(self) -> None:
        for image in self.images:
            np.testing.assert_array_equal(image.data, self.pixels[image])
            look = (tuple(image.contrast_limits), image.opacity, image.colormap.name, image.gamma)
            assert self.looks.setdefault(image, look) == look
        assert [layer for layer in self.viewer.layers if layer in self.images] == self.order
        assert self.viewer.dims.ndisplay == 2
