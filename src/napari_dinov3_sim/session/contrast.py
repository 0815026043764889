"""Which cosines are drawn darkest and brightest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from napari_dinov3_sim.session.heatmap_data import LayerData

Scaling = Literal["shared", "each", "fixed"]
"""Contrast limits: the same for all maps, each map's own minimum and maximum, or those given."""


class Contrast:
    """Chooses contrast limits.

    Attributes
    ----------
    pooled : tuple of float
        The one scale for all maps that there are.
    fixed : tuple of float
        The one that was given.
    """

    def __init__(self) -> None:
        self.pooled = self.fixed = (0.0, 1.0)
        self._scaling: Scaling = "shared"

    @property
    def scaling(self) -> Scaling:
        """How contrast limits are chosen."""
        return self._scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        if scaling not in get_args(Scaling):
            raise SimilarityError(
                f"There is no scaling {scaling!r}; choose shared, each or fixed."
            )
        self._scaling = scaling

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest where one scale holds for all maps."""
        return self.fixed if self._scaling == "fixed" else self.pooled

    def limits_of(self, data: LayerData) -> tuple[float, float]:
        """Return the limits of one map; they must differ, also for a map of one value."""
        low, high = data.limits if self._scaling == "each" else self.limits
        return (low, high) if high - low > 1e-6 else (high - 1e-3, high)
