"""Commands of the menus and the command palette: they act on the current viewer's dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_dinov3_sim.widget.dock import SimilarityWidget

PLUGIN = "napari-dinov3-sim"
WIDGET = "DINOv3 similarity"


def open_dock(viewer: Viewer) -> SimilarityWidget:
    """Return the dock of a viewer, opened if need be."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    dock.show()
    dock.raise_()
    found: SimilarityWidget = widget
    return found


def embed_all_images(viewer: Viewer) -> None:
    """Embed all images that are ticked in the dock."""
    open_dock(viewer).controller.embed()


def click_to_query(viewer: Viewer) -> None:
    """Make the next click in the viewer a query."""
    open_dock(viewer).controller.start_clicking()


def cancel_embedding(viewer: Viewer) -> None:
    """Stop embedding; what is done is kept."""
    open_dock(viewer).session.cancel()
