"""What runs off the main thread: embedding planes and answering questions; pure of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.session.messages import (
    Answered,
    Failure,
    MapReady,
    ModelLoaded,
    PlaneEmbedded,
    Progress,
)
from napari_dinov3_sim.session.planes import read_plane, read_window

if TYPE_CHECKING:
    from napari_dinov3_sim.core.intensity import IntensityWindow
    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.state import Backbone, PatchImageState
    from napari_dinov3_sim.session.planes import Plane, PlaneKey, WindowKey
    from napari_dinov3_sim.session.runner import CancelToken, Receive
    from napari_dinov3_sim.store import MemoryStore

LoadModel = Callable[[str, Callable[[str, int, int], None]], "Backbone"]
"""Loads a model by name, reporting (what, bytes done, bytes in all)."""


@dataclass(frozen=True, eq=False)
class EmbedJob:
    """Load the model if need be, then embed planes one after the other.

    Attributes
    ----------
    model : str
        Name of the model, loaded if `backbone` is None.
    planes : tuple of Plane
        In the order wanted.
    windows : mapping
        Intensity windows that are known already.
    """

    model: str
    backbone: Backbone | None
    load_model: LoadModel
    planes: tuple[Plane, ...]
    windows: Mapping[WindowKey, IntensityWindow | None]
    store: MemoryStore
    recipe: Recipe

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send `ModelLoaded`, `Progress`, and `PlaneEmbedded` or `Failure` for each plane."""
        try:
            backbone = self.backbone or self._load(post, token)
            if backbone is not None:
                self._embed_all(backbone, post, token)
        except EmbeddingCancelled:
            return

    def _load(self, post: Receive, token: CancelToken) -> Backbone | None:
        def report(what: str, done: int, total: int) -> None:
            _check(token)
            post(Progress(what, done, total))

        post(Progress(f"Loading {self.model}", 0, 0))
        try:
            backbone = self.load_model(self.model, report)
        except EmbeddingCancelled:
            raise
        except Exception as error:
            post(Failure.of(error, "model"))
            return None
        post(ModelLoaded(self.model, backbone))
        return backbone

    def _embed_all(self, backbone: Backbone, post: Receive, token: CancelToken) -> None:
        windows = dict(self.windows)
        meter = _Meter([self._tiles(plane, backbone) for plane in self.planes], post, token)
        for number, plane in enumerate(self.planes):
            _check(token)
            meter.start(number, plane.name)
            try:
                message = self._embed(plane, backbone, windows, meter)
            except EmbeddingCancelled:
                raise
            except Exception as error:
                post(Failure.of(error, "plane", plane.key))
                continue
            windows[plane.key.window_key] = message.window
            post(message)

    def _tiles(self, plane: Plane, backbone: Backbone) -> int:
        from napari_dinov3_sim.core.geometry import PatchGrid
        from napari_dinov3_sim.core.tiles import plan_tiles

        if min(plane.embedded_shape) < 1:
            return 1
        return len(
            plan_tiles(PatchGrid(plane.embedded_shape, backbone.patch_size), self.recipe.tiling)
        )

    def _embed(
        self,
        plane: Plane,
        backbone: Backbone,
        windows: Mapping[WindowKey, IntensityWindow | None],
        meter: _Meter,
    ) -> PlaneEmbedded:
        from napari_dinov3_sim.core.state import create_patch_image_state
        from napari_dinov3_sim.store import digest_of

        pixels = read_plane(plane)
        key = plane.key.window_key
        window = windows[key] if key in windows else read_window(plane, pixels)
        digest = digest_of(pixels, backbone.fingerprint, window, self.recipe)
        state = self.store.get(digest)
        if state is None:
            state = create_patch_image_state(
                pixels, backbone, window=window, recipe=self.recipe, progress=meter
            )
            self.store.put(digest, state)
        return PlaneEmbedded(plane.key, digest, state, key, window)


def _check(token: CancelToken) -> None:
    if token.cancelled:
        raise EmbeddingCancelled


class _Meter:
    """Turns the tiles of one plane into the progress of the whole job."""

    def __init__(self, tiles: list[int], post: Receive, token: CancelToken) -> None:
        self._tiles, self._post, self._token = tiles, post, token
        self._before, self._name = 0, ""

    def start(self, number: int, name: str) -> None:
        self._before, self._name = sum(self._tiles[:number]), name
        self(0, 0)

    def __call__(self, done: int, total: int) -> None:
        del total
        _check(self._token)
        description = f"Embedding {self._name}"
        self._post(Progress(description, self._before + done, sum(self._tiles)))


@dataclass(frozen=True)
class Pick:
    """A query point: a pixel of the embedded plane, and where its state is found."""

    plane: PlaneKey
    x: int
    y: int


@dataclass(frozen=True, eq=False)
class AnswerJob:
    """Compare the picked patches with every target.

    Attributes
    ----------
    picks : tuple of (PatchImageState, (x, y))
    targets : mapping of PlaneKey to PatchImageState
    shapes : mapping of PlaneKey to tuple of int
        Shape of each target's layer at level 0.
    """

    picks: tuple[tuple[PatchImageState, tuple[int, int]], ...]
    targets: Mapping[PlaneKey, PatchImageState]
    shapes: Mapping[PlaneKey, tuple[int, ...]] = field(repr=False)

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send a `MapReady` for each target, then `Answered`, unless a newer question came."""
        from napari_dinov3_sim.core.similarity import (
            query_vector,
            shared_limits,
            similarity_map,
        )
        from napari_dinov3_sim.session.heatmap_data import create_heatmap_data

        query = query_vector(self.picks)
        maps = []
        for key, state in self.targets.items():
            if token.cancelled:
                return
            similarity = similarity_map(query, state)
            maps.append(similarity.cosine)
            post(MapReady(key, create_heatmap_data(similarity, key, self.shapes[key])))
        post(Answered(shared_limits(maps)))
