"""How heatmaps are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from napari.utils import Colormap

BLENDINGS = ("additive", "translucent", "translucent_no_depth", "minimum", "opaque")


@dataclass(frozen=True)
class Look:
    """How heatmap layers are drawn.

    Attributes
    ----------
    colormap : str
        Of the heatmaps of a single kind; with several, each has its kind's colour.
    opacity : float
        In [0, 1].
    blending : str
        'additive' adds light, which shows on dark images; 'translucent' covers, which also shows
        on bright ones.
    """

    colormap: str = "magma"
    opacity: float = 0.7
    blending: str = "additive"

    def check(self) -> None:
        """Raise `SimilarityError` unless napari can draw like this."""
        from napari.utils.colormaps import ensure_colormap

        try:
            ensure_colormap(self.colormap)
        except (KeyError, TypeError) as error:
            raise SimilarityError(
                f"There is no colormap {self.colormap!r}; choose one of napari's, such as magma."
            ) from error
        if not 0 <= self.opacity <= 1:
            raise SimilarityError(f"Opacity goes from 0 to 1, not {self.opacity}.")
        if self.blending not in BLENDINGS:
            raise SimilarityError(
                f"There is no blending {self.blending!r}; choose one of {', '.join(BLENDINGS)}."
            )


def kind_colormap(colour: str) -> Colormap:
    """Return a colormap from transparent to a colour, which shows under any blending."""
    from napari.utils import Colormap
    from napari.utils.colormaps.standardize_color import transform_color

    rgba = transform_color(colour)[0]
    clear = (*rgba[:3], 0.0)
    return Colormap([clear, tuple(rgba)], name=f"kind {colour}")
