"""The heatmap layers: one per image, made once, kept exactly over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.marks import mark, marked_as
from napari_dinov3_sim.session.placement import copy_transform

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinov3_sim.session.heatmap_data import HeatmapData
    from napari_dinov3_sim.session.jobs import Pick
    from napari_dinov3_sim.session.planes import PlaneKey

Scaling = Literal["shared", "each"]
"""Contrast limits: the same for all maps, or each map's own minimum and maximum."""


BLENDINGS = ("additive", "translucent", "translucent_no_depth", "minimum", "opaque")


@dataclass(frozen=True)
class Look:
    """How heatmap layers are drawn.

    Attributes
    ----------
    colormap : str
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


@dataclass(frozen=True, eq=False)
class Shown:
    """What a heatmap layer shows.

    Attributes
    ----------
    plane : PlaneKey
        The plane whose map it is.
    picks : tuple of Pick
        The question that it answers.
    heatmap : HeatmapData
    model : str
        Name of the model that answered.
    """

    plane: PlaneKey
    picks: tuple[Pick, ...]
    heatmap: HeatmapData
    model: str


class Heatmaps:
    """Makes, updates, places and removes heatmap layers.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    look : Look
        How new layers are drawn; layers of an earlier session keep theirs and pass it on.
    """

    def __init__(self, viewer: ViewerModel, look: Look) -> None:
        self._viewer = viewer
        self._layers: dict[Hashable, Image] = {}
        self._shown: dict[Hashable, Shown] = {}
        self._limits_set: dict[Hashable, tuple[float, float]] = {}
        self._hidden: set[Hashable] = set()
        self._pooled = (0.0, 1.0)
        self._scaling: Scaling = "shared"
        self._look = look
        self._adopt()

    def _adopt(self) -> None:
        from napari.layers import Image

        for layer in self._viewer.layers:
            found = marked_as(layer, "heatmap")
            if found is not None and isinstance(layer, Image):
                self._layers[found["image"]] = layer
                self._look = Look(layer.colormap.name, layer.opacity, str(layer.blending))

    def items(self) -> dict[Hashable, Image]:
        """Return the heatmap layers that are in the viewer, by the id of their image."""
        present = {layer.unique_id for layer in self._viewer.layers}
        self._layers = {k: v for k, v in self._layers.items() if v.unique_id in present}
        return dict(self._layers)

    def shown(self) -> dict[Hashable, Shown]:
        """Return what the heatmap layers in the viewer show, by the id of their image."""
        return {i: self._shown[i] for i in self.items() if i in self._shown}

    def show(self, image: Image, shown: Shown) -> None:
        """Give an image its new heatmap, in the layer it already has if there is one."""
        heatmap = shown.heatmap
        self._shown[image.unique_id] = shown
        layer = self.items().get(image.unique_id)
        if layer is not None and (layer.ndim, layer.multiscale) == (
            image.ndim,
            heatmap.multiscale,
        ):
            _update(layer, heatmap.data)
        else:
            if layer is not None:
                self._viewer.layers.remove(layer)
            layer = self._make(image, heatmap)
        mark(layer, "heatmap", image=image.unique_id, model=shown.model)

    def _make(self, image: Image, heatmap: HeatmapData) -> Image:
        from napari.layers import Image as ImageLayer

        limits = self._limits(heatmap)
        layer = ImageLayer(
            heatmap.data,
            multiscale=heatmap.multiscale,
            name=f"{image.name} similarity",
            colormap=self._look.colormap,
            opacity=self._look.opacity,
            blending=self._look.blending,
            contrast_limits=limits,
            interpolation2d="nearest",
            interpolation3d="nearest",
            visible=image.visible,
        )
        copy_transform(image, layer)
        layer.contrast_limits_range = (-1.0, 1.0)
        layer.contrast_limits = limits
        self._layers[image.unique_id] = layer
        self._limits_set[image.unique_id] = limits
        if not image.visible:
            self._hidden.add(image.unique_id)
        # Marked before it is seen: an unmarked image would be searched.
        mark(layer, "heatmap", image=image.unique_id)
        self._insert_above(image, layer)
        return layer

    def _insert_above(self, image: Image, layer: Image) -> None:
        """Directly above its own image, so that another image over both hides both.

        Inserting selects the layer; the user's selection is put back.
        """
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        layers.insert(layers.index(image) + 1, layer)
        layers.selection = selected
        layers.selection.active = active

    def follow(self, image: Image) -> None:
        """Lay an image's heatmap over it again."""
        layer = self.items().get(image.unique_id)
        if layer is not None and layer.ndim == image.ndim:
            copy_transform(image, layer)

    def follow_visibility(self, image: Image) -> None:
        """Hide an image's heatmap with it, and show it again if it was hidden for that."""
        layer = self.items().get(image.unique_id)
        if layer is None:
            return
        if not image.visible and layer.visible:
            self._hidden.add(image.unique_id)
            layer.visible = False
        elif image.visible and image.unique_id in self._hidden:
            self._hidden.discard(image.unique_id)
            layer.visible = True

    def restack(self, images: Mapping[Hashable, Image]) -> None:
        """Put heatmaps that have come to lie below their image above it again."""
        layers = self._viewer.layers
        for image_id, layer in self.items().items():
            image = images.get(image_id)
            if image is not None and layers.index(layer) < layers.index(image):
                layers.move(layers.index(layer), layers.index(image) + 1)

    def keep_only(self, image_ids: set[Hashable]) -> None:
        """Remove the heatmaps of all other images."""
        for image_id in set(self.items()) - image_ids:
            self.remove(image_id)

    def remove(self, image_id: Hashable) -> None:
        """Remove one heatmap layer."""
        layer = self._layers.pop(image_id, None)
        self._shown.pop(image_id, None)
        self._limits_set.pop(image_id, None)
        self._hidden.discard(image_id)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    @property
    def scaling(self) -> Scaling:
        """How contrast limits are chosen."""
        return self._scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        self._scaling = scaling
        self._limits_set.clear()
        for image_id, layer in self.items().items():
            self._apply_limits(image_id, layer)

    def _limits(self, heatmap: HeatmapData) -> tuple[float, float]:
        """Contrast limits must differ, also for a map of one value."""
        low, high = self._pooled if self._scaling == "shared" else heatmap.limits
        return (low, high) if high - low > 1e-6 else (high - 1e-3, high)

    def _apply_limits(self, image_id: Hashable, layer: Image) -> None:
        """Set the limits, unless the user has set others since."""
        shown = self._shown.get(image_id)
        ours = self._limits_set.get(image_id)
        if shown is None or (ours is not None and not np.allclose(layer.contrast_limits, ours)):
            return
        limits = self._limits(shown.heatmap)
        layer.contrast_limits = limits
        self._limits_set[image_id] = limits

    def rescale(self, pooled: tuple[float, float]) -> None:
        """Use one scale for all maps after some of them have changed."""
        self._pooled = pooled
        for image_id, layer in self.items().items():
            self._apply_limits(image_id, layer)

    @property
    def look(self) -> Look:
        """How new heatmaps are drawn."""
        return self._look

    def style(self, **changes: Any) -> None:
        """Change attributes of `Look` in all heatmaps, and in those still to come."""
        look = replace(self._look, **changes)
        look.check()
        self._look = look
        for layer in self.items().values():
            for name, value in changes.items():
                setattr(layer, name, value)


def _update(layer: Image, data: Any) -> None:
    """Show new values.

    The data event makes napari measure every layer of the viewer again, which costs 8 ms with
    20 layers and is blocked where the extent cannot have changed; ``set_data`` still tells.
    The array is a new one each time: scripts and other layers may hold the old.
    """
    if layer.data.shape == data[0].shape if layer.multiscale else layer.data.shape == data.shape:
        with layer.events.data.blocker():
            layer.data = data
    else:
        layer.data = data
