"""The controller of the heatmaps section."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from napari_dinov3_sim.session.layers.style import is_bright
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.layer_list import LayerListRows

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.layers.heatmaps import Scaling
    from napari_dinov3_sim.widget.views.views import Views

NO_RIVALS = "Needs two classes that have a heatmap each."


class HeatmapsController(SectionController):
    """Style, scale, colour bar and class maps, and which layers napari lists."""

    def __init__(self, viewer: ViewerModel, session: SimilaritySession, views: Views) -> None:
        super().__init__(viewer, session, views)
        style = views.style
        self._rows = LayerListRows(style)
        style.opacity_changed.connect(self._on_opacity)
        style.colormap_changed.connect(self._on_colormap)
        style.blending_changed.connect(self._on_blending)
        style.scaling_changed.connect(self._on_scaling)
        style.limits_changed.connect(self._on_limits)
        style.smooth_changed.connect(self._on_smooth)
        style.class_maps_changed.connect(self._on_class_maps)
        self.listen(session.restyled, self._show)
        # A common scale follows the answers.
        self.listen(session.answered, self._show)
        self.listen(session.listed, self._show)
        self.listen(session.queried, self._show_class_map_hint)
        self.listen(session.thresholded, self._show_class_map_hint)
        self._show()

    def _show(self) -> None:
        session = self._session
        self._views.style.hint.setVisible(self._is_lost())
        self._views.style.show_style(
            session.heatmap_style,
            session.scaling,
            session.limits,
            session.show_class_maps,
            smooth=session.smooth,
        )
        scale = session.colour_scale
        self._views.style.colour_bar.show_scale(scale.colours, scale.limits)
        self._show_class_map_hint()
        self._rows.update()

    def _show_class_map_hint(self) -> None:
        if not self._session.busy:  # what is shown while a point is dragged does not flicker
            self._views.style.show_class_map_hint(self._class_map_hint())

    def _class_map_hint(self) -> str:
        """Say why no patch has a class, or not every one, if they are to be shown."""
        session = self._session
        if not session.show_class_maps:
            return ""
        if not session.class_maps:
            return NO_RIVALS
        if session.threshold is None:
            return ""
        return f"No class below the threshold ({session.threshold:.2f})."

    def _is_lost(self) -> bool:
        """Whether a heatmap adds light to an image that is bright already."""
        session = self._session
        return any(
            heatmap.blending == "additive" and is_bright(image)
            for class_name in session.classes
            for image, heatmap in session.heatmaps_of(class_name).items()
        )

    def _on_opacity(self, opacity: float) -> None:
        self._session.style(opacity=opacity)

    def _on_colormap(self, colormap: str) -> None:
        with shown_errors():
            self._session.style(colormap=colormap)

    def _on_blending(self, blending: str) -> None:
        with shown_errors():
            self._session.style(blending=blending)

    def _on_scaling(self, scaling: str) -> None:
        self._session.scaling = cast("Scaling", scaling)

    def _on_limits(self, low: float, high: float) -> None:
        # Two handles may meet: then there is no scale, and the last one stays.
        if low < high:
            self._session.limits = (low, high)

    def _on_smooth(self, smooth: bool) -> None:
        self._session.smooth = smooth

    def _on_class_maps(self, show: bool) -> None:
        self._session.show_class_maps = show

    def close(self) -> None:
        """Hear nothing any more; napari lists all layers again."""
        super().close()
        self._rows.close()
