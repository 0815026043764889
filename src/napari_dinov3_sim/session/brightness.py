"""Which images are so bright that light added to them is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

BRIGHT = 0.55
"""Mean of all pixels and channels, of 1. Stained sections and scanned pages have about 0.65,
photographs 0.3 to 0.5, fluorescence 0.1."""


def is_bright(image: Image) -> bool:
    """Whether an image is bright, as napari draws it: by its thumbnail, which is there already."""
    drawn = _without_padding(np.asarray(image.thumbnail)[..., :3])
    return bool(drawn.size) and float(drawn.mean()) > 255 * BRIGHT


def _without_padding(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut off the black that makes every thumbnail a square."""
    lit = thumbnail.max(-1) > 0
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    if not rows.size:
        return thumbnail[:0]
    return thumbnail[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
