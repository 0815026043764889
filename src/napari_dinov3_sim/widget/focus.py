"""The active layer: a newly opened image must not take the clicks of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession


class QueryFocus:
    """Gives the mouse back to the Points layer when opening an image has taken it.

    napari activates every new layer, so that the next click would pan. Whoever was working in
    another layer before keeps what napari gives.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    """

    def __init__(self, viewer: ViewerModel, session: SimilaritySession) -> None:
        self._viewer, self._session = viewer, session
        self._known = self._images()
        self._holder = _active_id(viewer)
        viewer.layers.selection.events.active.connect(self._on_active)

    def _images(self) -> set[Hashable]:
        return {image.unique_id for image in self._session.images}

    def _on_active(self, event: Any) -> None:
        """Note who has the mouse, but for images that were just opened.

        On its way to a new layer, napari makes none active.
        """
        del event
        active = _active_id(self._viewer)
        if active is not None and active not in self._images() - self._known:
            self._holder = active

    def restore(self) -> None:
        """Activate the Points layer if images have just taken the mouse from it.

        Called soon after they were opened: napari activates a layer when all have heard of it.
        """
        newcomers, self._known = self._images() - self._known, self._images()
        queries, active = self._session.queries, _active_id(self._viewer)
        if queries is None or queries not in self._viewer.layers or active not in newcomers:
            self._holder = active
        elif self._holder == queries.unique_id:
            self._viewer.layers.selection.active = queries

    def close(self) -> None:
        """Stop listening."""
        self._viewer.layers.selection.events.active.disconnect(self._on_active)


def _active_id(viewer: ViewerModel) -> Hashable | None:
    active = viewer.layers.selection.active
    return None if active is None else active.unique_id
