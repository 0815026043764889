"""Commands of the menus and the command palette, for the dock of the current viewer."""

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


def toggle_all_planes(viewer: Viewer) -> None:
    """Answer on all planes of stacks, or only on those that are shown again."""
    open_dock(viewer).controller.images.toggle_all_planes()


def flip_sign(viewer: Viewer) -> None:
    """Let the next clicks say what is not meant, or what is meant again."""
    open_dock(viewer).controller.queries.flip_sign()


def next_class(viewer: Viewer) -> None:
    """Let the next clicks belong to the next class."""
    open_dock(viewer).controller.queries.next_class()


def new_class(viewer: Viewer) -> None:
    """Begin a new class with the next click."""
    open_dock(viewer).controller.queries.new_class()


def undo_query(viewer: Viewer) -> None:
    """Take the last step of the query back."""
    open_dock(viewer).controller.queries.undo()


def redo_query(viewer: Viewer) -> None:
    """Take the step of the query again that was undone last."""
    open_dock(viewer).controller.queries.redo()


def start_box(viewer: Viewer) -> None:
    """Let the next drag draw a box that is asked for, or against."""
    open_dock(viewer).controller.queries.start_box()


def go_to_best_match(viewer: Viewer) -> None:
    """Move the view to the next best match, in the next image."""
    open_dock(viewer).controller.navigation.go_to_best_match()


def open_gallery(viewer: Viewer) -> None:
    """Look at the matches of all images, and say which are right."""
    open_dock(viewer).controller.gallery.open()


def open_table(viewer: Viewer) -> None:
    """Count and measure the objects of the Labels layers."""
    open_dock(viewer).controller.table.open()


def use_automatic_threshold(viewer: Viewer) -> None:
    """Let the threshold of the current class follow from the points again."""
    open_dock(viewer).session.use_automatic_threshold()


def renew_results(viewer: Viewer) -> None:
    """Make results that are out of date again."""
    open_dock(viewer).controller.results.renew()


def toggle_side_by_side(viewer: Viewer) -> None:
    """Show all images next to each other, or as they lie in the world again."""
    open_dock(viewer).controller.navigation.toggle_side_by_side()


def toggle_hovering(viewer: Viewer) -> None:
    """Show the map of the patch under the mouse, or that of the points again."""
    open_dock(viewer).controller.navigation.toggle_hovering()


def toggle_outlines(viewer: Viewer) -> None:
    """Outline the patches that were clicked, or do not any more."""
    open_dock(viewer).controller.navigation.toggle_outlines()


def merge_selected_channels(viewer: Viewer) -> None:
    """Search the grayscale layers that are selected as one colour image."""
    open_dock(viewer).controller.images.merge()


def split_channels(viewer: Viewer) -> None:
    """Search the channels of the selected merged images one by one again."""
    open_dock(viewer).controller.images.split()


def objects_to_labels(viewer: Viewer) -> None:
    """Make what lies above the threshold objects of Labels layers."""
    open_dock(viewer).controller.results.make_labels()


def peaks_to_points(viewer: Viewer) -> None:
    """Make the peaks of the heatmaps points, with their scores."""
    open_dock(viewer).controller.results.make_peaks()


def match_images(viewer: Viewer) -> None:
    """Match the patches of the two images that are chosen in the dock."""
    open_dock(viewer).controller.results.match()


def add_pca_colours(viewer: Viewer) -> None:
    """Show the principal components of the embeddings as colours."""
    open_dock(viewer).controller.results.make_colours()


def save_csv(viewer: Viewer) -> None:
    """Save the peaks as a table."""
    open_dock(viewer).controller.exports.save_csv()


def save_query_file(viewer: Viewer) -> None:
    """Save the query for use on other images."""
    open_dock(viewer).controller.results.save_query()


def load_query_file(viewer: Viewer) -> None:
    """Search with a query that was saved."""
    open_dock(viewer).controller.results.load_query()


def save_project(viewer: Viewer) -> None:
    """Save images, query, judgements, settings and results in one file."""
    open_dock(viewer).controller.project.save()


def open_project(viewer: Viewer) -> None:
    """Add a project that was saved to what is open."""
    open_dock(viewer).controller.project.open()


def drop_query(viewer: Viewer) -> None:
    """Search without the query that was loaded."""
    open_dock(viewer).controller.results.drop_query()
