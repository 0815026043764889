"""The digest by which stored embeddings are found: of everything that decides them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import as_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.images.intensity import IntensityWindow


def digest_of(
    pixels: str | NDArray[Any],
    fingerprint: str,
    window: IntensityWindow | None,
    recipe: Recipe,
) -> str:
    """Return the key an embedding is stored under.

    Parameters
    ----------
    pixels : str or ndarray
        The pixels that are embedded, or their digest from `scan_pixels`.
    fingerprint : str
        Fingerprint of the backbone.
    window : IntensityWindow or None
    recipe : Recipe

    Returns
    -------
    str
        SHA-256, in hexadecimal, of everything that decides the result.
    """
    digest = pixels if isinstance(pixels, str) else scan_pixels(as_source(pixels)).digest
    # What is equal must be written alike: 1 and 1.0, and the numbers of NumPy.
    bounds = None if window is None else (float(window.low), float(window.high))
    recipe = replace(recipe, factor=float(recipe.factor))
    return hashlib.sha256(repr((digest, fingerprint, bounds, recipe)).encode()).hexdigest()
