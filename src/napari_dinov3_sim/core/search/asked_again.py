"""A saved query asked again with another model, from the pictures of what was clicked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import StateError
from napari_dinov3_sim.core.search.saved_query import SavedQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.protocols import Backbone, Progress

MARGIN = 8
"""Pixels that are mirrored beyond each border of a picture, at the least, so that its middle is
that of a patch. More of them found less in a trial with the built-in model (mean average precision
of 12 clicks 0.61 within and across images with 8 pixels, 0.57 and 0.56 with 24, 0.54 and 0.52 with
56; of the clicks themselves 0.67 and 0.60)."""


def with_pictures(query: SavedQuery) -> SavedQuery:
    """Return what of a query can be asked again.

    Of negative points and regions of labels there are no pictures, and thresholds are cosines of
    the model of then; all these are left out.

    Raises
    ------
    StateError
        No class has a picture.
    """
    empty = np.empty((0, query.classes[0].positives.shape[1]), np.float32)
    classes = tuple(
        replace(one, negatives=empty, background=None, threshold=None)
        for one in query.classes
        if one.thumbnails
    )
    if not classes:
        raise StateError(
            "The query holds no pictures of what was clicked, so it cannot be asked again; click "
            "on it anew."
        )
    return replace(query, classes=classes)


def ask_again(
    query: SavedQuery,
    load: Callable[[], Backbone],
    recipe: Recipe,
    progress: Progress | None = None,
) -> SavedQuery:
    """Return a query whose vectors are those of the middle of its pictures.

    A picture shows 64 pixels, and what lies farther away is not known: the answers are near those
    of a new click, not the same.

    Parameters
    ----------
    query : SavedQuery
    load : callable
        Returns the model.
    recipe : Recipe
        How the images that are searched become embeddings.
    progress : callable, optional
        Called with (pictures done, pictures in all); may raise `EmbeddingCancelled`.

    Raises
    ------
    StateError
        No class has a picture.
    """
    query, done = with_pictures(query), 0
    total = sum(len(one.thumbnails) for one in query.classes)
    backbone, classes = load(), []
    for one in query.classes:
        rows = []
        for picture in one.thumbnails:
            if progress is not None:
                progress(done, total)
            rows.append(_middle_vector(picture, backbone, recipe))
            done += 1
        positives = np.stack(rows)
        negatives = np.empty((0, positives.shape[1]), np.float32)
        classes.append(replace(one, positives=positives, negatives=negatives))
    return SavedQuery(
        tuple(classes),
        query.combination,
        backbone.fingerprint,
        backbone.name,
        recipe.cell_size(backbone.patch_size),
        recipe.factor,
    )


def _middle_vector(
    picture: NDArray[np.uint8], backbone: Backbone, recipe: Recipe
) -> NDArray[np.float32]:
    from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
    from napari_dinov3_sim.core.search.similarity import query_vector

    cell = recipe.cell_size(backbone.patch_size)
    margins = [_margin(side, cell) for side in picture.shape[:2]]
    padded = np.pad(picture, [(n, n) for n in margins] + [(0, 0)], mode="symmetric")
    state = create_patch_image_state(padded, backbone, recipe=recipe)
    return query_vector([(state, (padded.shape[1] // 2, padded.shape[0] // 2))])


def _margin(side: int, cell: int) -> int:
    """Return how much is added so that the middle of a picture is the middle of a cell."""
    return MARGIN + (cell // 2 - side // 2 - MARGIN) % cell
