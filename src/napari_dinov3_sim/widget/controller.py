"""Between the session and what shows it; the only place that knows both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_warning

from napari_dinov3_sim.backbones import BUILTIN
from napari_dinov3_sim.widget.activity import Activity
from napari_dinov3_sim.widget.focus import QueryFocus
from napari_dinov3_sim.widget.image_list import ImageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinov3_sim.core.state import Backbone
    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.messages import Failure, Progress
    from napari_dinov3_sim.widget.views import Views


class Controller:
    """Shows what the session says, and tells it what the user has chosen.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    call_soon : callable
        Calls back on the main thread, as a `Runner` does.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SimilaritySession,
        views: Views,
        *,
        call_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._session, self._views, self._call_soon = session, views, call_soon
        self._activity = Activity()
        self._focus = QueryFocus(viewer, session)
        self._images = len(session.images)
        self._embed_wanted = False
        self._load()
        self._connect_views()
        self._connect_session()

    def _load(self) -> None:
        self._on_restyled()
        self._on_listed()
        self._on_model_changed()
        self._on_status(self._session.status)

    def _connect_views(self) -> None:
        views = self._views
        views.model.picked.connect(self._on_model_picked)
        views.offer.accepted.connect(self._on_offer_accepted)
        views.images.ticked.connect(self._on_ticked)
        views.embed.embed_clicked.connect(self.embed)
        views.embed.cancel_clicked.connect(self._session.cancel)
        views.queries.clicked.connect(self.start_clicking)
        views.style.opacity_changed.connect(self._on_opacity)
        views.style.colormap_changed.connect(self._on_colormap)
        views.style.blending_changed.connect(self._on_blending)
        views.style.scaling_changed.connect(self._on_scaling)

    def _connect_session(self) -> None:
        """Bound methods only: psygnal holds them weakly."""
        session = self._session
        session.status_changed.connect(self._on_status)
        session.progressed.connect(self._on_progress)
        session.failed.connect(self._on_failed)
        session.listed.connect(self._on_listed)
        session.model_changed.connect(self._on_model_changed)
        session.answered.connect(self._on_answered)
        session.restyled.connect(self._on_restyled)

    def _on_restyled(self) -> None:
        self._views.style.show_style(self._session.look, self._session.scaling)

    # -- what the user does ---------------------------------------------------------------

    def embed(self) -> None:
        """Embed all ticked images, and leave the mouse ready for a query.

        Now and not when it is done: whoever works in another layer by then keeps it.
        """
        if not self._session.model:
            show_warning("Choose a model first.")
            return
        self._embed_wanted = True
        self._session.embed()
        self._session.new_queries()

    def start_clicking(self) -> None:
        """Make the next click a query."""
        self._session.new_queries()
        self._show_queries()

    def _on_model_picked(self, model: str) -> None:
        self._embed_wanted = False
        self._views.offer.hide()
        self._session.set_model(model)

    def _on_offer_accepted(self) -> None:
        wanted = self._embed_wanted
        self._on_model_picked(BUILTIN)
        # With points the session embeds by itself.
        if wanted:
            self.embed()

    def _on_ticked(self, layer_id: Hashable, ticked: bool) -> None:
        for image in self._session.images:
            if image.unique_id == layer_id:
                self._session.set_target(image, ticked)

    def _on_opacity(self, opacity: float) -> None:
        self._session.style(opacity=opacity)

    def _on_colormap(self, colormap: str) -> None:
        self._session.style(colormap=colormap)

    def _on_blending(self, blending: str) -> None:
        self._session.style(blending=blending)

    def _on_scaling(self, scaling: str) -> None:
        self._session.scaling = "each" if scaling == "each" else "shared"

    # -- what the session says ------------------------------------------------------------

    def _on_status(self, status: str) -> None:
        self._views.status.show_text(status)
        self._show_queries()

    def _on_progress(self, progress: Progress | None) -> None:
        self._views.embed.show_progress(progress)
        self._activity.show(progress)

    def _on_answered(self) -> None:
        self._embed_wanted = False

    def _on_failed(self, failure: Failure) -> None:
        if failure.kind == "plane":
            show_warning(failure.message)
            return
        show_error(failure.message)
        if failure.kind == "model" and self._session.model != BUILTIN:
            self._views.offer.offer(failure.message)

    def _on_listed(self) -> None:
        entries = [self._entry(image) for image in reversed(self._session.images)]
        self._views.images.show_entries(entries)
        if len(entries) > self._images:
            self._call_soon(self._focus.restore)
        self._images = len(entries)

    def _entry(self, image: Image) -> ImageEntry:
        ticked = any(image.unique_id == target.unique_id for target in self._session.targets)
        return ImageEntry(image.unique_id, image.name, ticked, self._session.refusal(image))

    def _on_model_changed(self) -> None:
        backbone = self._session.backbone
        self._views.model.show_model(self._session.model)
        self._views.model.show_device(None if backbone is None else _describe_device(backbone))

    def _show_queries(self) -> None:
        queries = self._session.queries
        self._views.queries.show_layer(None if queries is None else queries.name)

    # -- the end --------------------------------------------------------------------------

    def close(self) -> None:
        """Stop working and listening; Qt calls this when the dock is destroyed."""
        session = self._session
        session.status_changed.disconnect(self._on_status, missing_ok=True)
        session.progressed.disconnect(self._on_progress, missing_ok=True)
        session.failed.disconnect(self._on_failed, missing_ok=True)
        session.listed.disconnect(self._on_listed, missing_ok=True)
        session.model_changed.disconnect(self._on_model_changed, missing_ok=True)
        session.answered.disconnect(self._on_answered, missing_ok=True)
        session.restyled.disconnect(self._on_restyled, missing_ok=True)
        self._focus.close()
        session.close()
        self._activity.close()


def _describe_device(backbone: Backbone) -> str:
    """Name device and arithmetic; a backbone of the user's own need not have them."""
    device = str(getattr(backbone, "device", "that of the model"))
    dtype = getattr(backbone, "dtype", None)
    return device if dtype is None else f"{device}, {dtype}"
