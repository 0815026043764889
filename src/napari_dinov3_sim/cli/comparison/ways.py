"""The ways that are compared, each from pixels to one unit vector for each patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from napari_dinov3_sim.cli.errors import UsageError
from napari_dinov3_sim.core.evaluation.baselines import BASELINES
from napari_dinov3_sim.core.evaluation.clicks import PATCH
from napari_dinov3_sim.core.evaluation.precision import unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.protocols import Backbone

    Features: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.floating]]


@dataclass(frozen=True)
class Way:
    """A way to make features.

    Attributes
    ----------
    name : str
    open : callable
        Loads what it needs and returns a function from RGB, uint8 of shape (H, W, 3), to the
        features of its patches, (rows, columns, D). What it holds is let go after its last image.
    centre : bool
        Whether the mean over the image is taken away.
    """

    name: str
    open: Callable[[], Features]
    centre: bool = False

    def vectors(self, features: Features, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the unit vectors of the whole patches of an image."""
        rows, columns = rgb.shape[0] // PATCH, rgb.shape[1] // PATCH
        return unit_vectors(features(rgb)[:rows, :columns], centre=self.centre)


def baseline(name: str, *, centre: bool = False) -> Way:
    """Return a way without a model."""
    make = BASELINES[name]
    return Way(name, lambda: lambda rgb: make(rgb.astype(np.float32) / np.float32(255)), centre)


def model(name: str, load: Callable[[], Backbone], *, centre: bool = False) -> Way:
    """Return the embeddings of a model, by the package's own recipe."""
    return Way(name, lambda: embedding_features(load()), centre)


def embedding_features(backbone: Backbone, recipe: Recipe | None = None) -> Features:
    """Return the function that embeds an image.

    Raises
    ------
    UsageError
        Its patches have another side than those of DINOv3, and so could not be compared.
    """
    from napari_dinov3_sim.core.embedding.embed import create_patch_image_state

    if backbone.patch_size != PATCH:
        raise UsageError(
            f"{backbone.name} has patches of {backbone.patch_size} pixels; only models with "
            f"patches of {PATCH} pixels can be compared."
        )

    def features(rgb: NDArray[np.uint8]) -> NDArray[np.floating]:
        state = create_patch_image_state(rgb, backbone, recipe=recipe)
        return state.vectors.reshape(state.grid.rows, state.grid.columns, -1)

    return features
