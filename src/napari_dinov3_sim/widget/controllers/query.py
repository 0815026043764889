"""The controller of the query section: points, classes, signs, regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from napari.layers import Shapes
from napari.utils.notifications import show_info

from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.views.query import ClassEntry

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.components import ViewerModel
    from napari.layers import Labels, Points

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.widget.dialogs import Dialogs
    from napari_dinov3_sim.widget.views.views import Views


class QueryController(SectionController):
    """The points and their classes, and layers whose regions are queries."""

    def __init__(
        self, viewer: ViewerModel, session: SimilaritySession, views: Views, dialogs: Dialogs
    ) -> None:
        super().__init__(viewer, session, views)
        self._dialogs = dialogs
        classes, signs = views.classes, views.signs
        classes.picked.connect(self._on_class)
        classes.renamed.connect(self._on_renamed)
        signs.new_clicked.connect(self.new_class)
        signs.sign_picked.connect(self._on_sign)
        classes.colour_clicked.connect(self._on_colour)
        classes.visible_changed.connect(self._on_visible)
        classes.delete_clicked.connect(self.delete_class)
        classes.move_clicked.connect(self._on_move)
        signs.box_clicked.connect(self.start_box)
        signs.undo_clicked.connect(self.undo)
        signs.redo_clicked.connect(self.redo)
        views.combination.picked.connect(self._on_combination)
        views.regions.opened.connect(self._show_regions)
        views.regions.added.connect(self._on_region_added)
        views.regions.removed.connect(self._on_region_removed)
        self.listen(session.status_changed, self._show)
        self.listen(session.queried, self._show)
        viewer.layers.selection.events.active.connect(self._show_mode)
        self._listened: Points | None = None
        self._show()

    def _show(self) -> None:
        session, views = self._session, self._views
        counts, hidden = session.class_counts, session.hidden_classes
        entries = [
            ClassEntry(
                name,
                colour,
                counts[name].positive,
                counts[name].negative,
                counts[name].regions,
                name not in hidden,
            )
            for name, colour in session.classes.items()
        ]
        views.classes.show_classes(entries, session.class_name)
        views.signs.show_history(can_undo=session.can_undo, can_redo=session.can_redo)
        views.combination.show_combination(session.combination)
        self._show_mode()

    def _show_mode(self, event: object = None) -> None:
        """Show what the next click does, which another layer may have taken."""
        del event
        queries = self._session.queries
        self._follow_mode_of(queries)
        active = self._viewer.layers.selection.active
        clicking = queries is not None and active == queries and queries.mode == "add"
        self._views.signs.show_mode(
            clicking=clicking, positive=self._session.positive, box=self._session.awaiting_box
        )

    def _follow_mode_of(self, layer: Points | None) -> None:
        """Hear of it when the user takes another tool of the Points layer."""
        if layer == self._listened:
            return
        if self._listened is not None:
            self._listened.events.mode.disconnect(self._show_mode)
        if layer is not None:
            layer.events.mode.connect(self._show_mode)
        self._listened = layer

    def close(self) -> None:
        """Listen to nothing any more."""
        super().close()
        self._follow_mode_of(None)
        self._viewer.layers.selection.events.active.disconnect(self._show_mode)

    # -- points and classes -----------------------------------------------------------------

    def start_clicking(self) -> None:
        """Make the next click a query."""
        self._session.new_queries()
        self._show()

    def undo(self) -> None:
        """Take the last step of the query back."""
        if not self._session.undo():
            show_info("There is no step of the query to undo.")
        self._show()

    def redo(self) -> None:
        """Take the step again that was undone last."""
        if not self._session.redo():
            show_info("There is no step of the query to redo.")
        self._show()

    def start_box(self) -> None:
        """Let the next drag draw a box, whose patches are asked for, or against."""
        with shown_errors():
            self._session.start_box()
        self._show_mode()

    def delete_class(self, class_name: str) -> None:
        """Delete a class with its points and the regions drawn in our layer."""
        self._session.remove_class(class_name)
        self._show()

    def _on_colour(self, class_name: str) -> None:
        colour = self._dialogs.ask_for_colour(
            f"Colour of {class_name}", self._session.classes[class_name]
        )
        if colour:
            self._session.set_class_colour(class_name, colour)
            self._show()

    def _on_visible(self, class_name: str, visible: bool) -> None:
        self._session.set_class_visible(class_name, visible)
        self._show()

    def _on_move(self, class_name: str, positive: bool) -> None:
        if not self._session.move_selected(class_name, positive):
            show_info("No point or box is selected; select some with napari's arrow tool first.")
        self._show()

    def _on_class(self, class_name: str) -> None:
        with shown_errors():
            self._session.class_name = class_name

    def _on_renamed(self, old: str, new: str) -> None:
        with shown_errors():
            self._session.rename_class(old, new)
        self._show()

    def _on_sign(self, positive: bool) -> None:
        self._session.positive = positive
        self.start_clicking()

    def flip_sign(self) -> None:
        """Let the next point say what is not meant if it was to say what is, and back."""
        self._session.positive = not self._session.positive

    def new_class(self) -> None:
        """Begin a class of its own for the next points, which say what it is."""
        known, number = self._session.classes, 1
        while f"class {number}" in known:
            number += 1
        self._session.class_name = f"class {number}"
        self._session.positive = True  # a class of negative points alone asks nothing

    def next_class(self) -> None:
        """Let the next points belong to the class below in the list; after the last, the first."""
        names = list(self._session.classes)
        self._session.class_name = names[(names.index(self._session.class_name) + 1) % len(names)]

    def choose_class(self, number: int) -> None:
        """Let the next points belong to a class by its place in the list, from 1 on."""
        names = list(self._session.classes)
        if number <= len(names):
            self._session.class_name = names[number - 1]

    def _on_combination(self, combination: str) -> None:
        with shown_errors():
            self._session.combination = cast("Combination", combination)
        self._show()

    # -- regions --------------------------------------------------------------------------

    def _show_regions(self) -> None:
        regions = self._session.regions
        names = {layer.unique_id: layer.name for layer in regions.candidates()}
        used = {layer.unique_id for layer in regions.layers}
        self._views.regions.show_layers(names, used)

    def _region_layer(self, layer_id: Hashable) -> Shapes | Labels | None:
        found = [layer for layer in self._viewer.layers if layer.unique_id == layer_id]
        return found[0] if found else None

    def _on_region_added(self, layer_id: Hashable) -> None:
        layer, session = self._region_layer(layer_id), self._session
        if layer is not None:
            # Each label is a class of its own; shapes without one are of the chosen class.
            class_name = session.class_name if isinstance(layer, Shapes) else None
            with shown_errors():
                session.regions.add(layer, session.source, class_name, session.positive)
        self._show_regions()

    def _on_region_removed(self, layer_id: Hashable) -> None:
        layer = self._region_layer(layer_id)
        if layer is not None:
            self._session.regions.remove(layer)
        self._show_regions()
