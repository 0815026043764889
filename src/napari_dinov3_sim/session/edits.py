"""The edits of what is asked, each of them one step that can be undone."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.session.query.history import History
from napari_dinov3_sim.session.query.point_features import PointRole
from napari_dinov3_sim.session.resolved_state import ClassCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from napari.components import ViewerModel

    from napari_dinov3_sim.session.images.targets import Targets
    from napari_dinov3_sim.session.layers.style import Palette, PaletteState
    from napari_dinov3_sim.session.query.drawn_regions import DrawnRegions
    from napari_dinov3_sim.session.query.loaded_query import LoadedQuery
    from napari_dinov3_sim.session.query.points import QueryPoints
    from napari_dinov3_sim.session.query.regions import Regions


class Edits:
    """Changes classes, in all parts that know them, and goes through the history.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    palette : Palette
    targets : Targets
    saved : LoadedQuery
    regions : Regions
    drawn : DrawnRegions
    queries : QueryPoints
    hold : callable
        Returns a context in which nothing is refreshed.
    rename_layers : callable
        Called with the old and the new name of a class, for all that is made of it, and with its
        number, None where there is no such class.
    part_layers : callable
        Called likewise when that was a class already, and they are two again.
    recolour : callable
        Called when classes have other colours.
    changed : callable
        Called after an edit.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        palette: Palette,
        targets: Targets,
        saved: LoadedQuery,
        regions: Regions,
        drawn: DrawnRegions,
        queries: QueryPoints,
        hold: Callable[[], AbstractContextManager[None]],
        rename_layers: Callable[[str, str, int | None], None],
        part_layers: Callable[[str, str, int], None],
        recolour: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._viewer, self._palette, self._saved = viewer, palette, saved
        self._regions, self._drawn, self._queries = regions, drawn, queries
        self._hold, self._changed = hold, changed
        self._rename_layers, self._recolour = rename_layers, recolour
        self._part_layers = part_layers
        self._history = History((palette, targets, saved, regions, drawn, queries))

    # -- the history -------------------------------------------------------------------------

    @contextmanager
    def step(self) -> Iterator[None]:
        """Make all that is done in a ``with`` block one step, and look at it afterwards only."""
        self.note()
        with self._hold():
            yield
        self.note(edited=True)
        self._changed()

    def note(self, *, edited: bool = False, opened: bool = False) -> None:
        """Take note of the present; see `History.note`."""
        if self._queries.lost:
            self._queries.lost = False
            self._history.clear()
        self._history.note(edited=edited, opened=opened)

    def forget(self) -> None:
        """Forget all steps: what they were done to is not what there is now."""
        self._history.clear()

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether an edit that was undone can be had again."""
        return self._history.can_redo

    def undo(self) -> bool:
        """Take the last edit back; return whether there was one."""
        return self._travel(self._history.undo)

    def redo(self) -> bool:
        """Take back what was undone last; return whether there was such a thing."""
        return self._travel(self._history.redo)

    def _travel(self, go: Callable[[], bool]) -> bool:
        """Go one step through the history.

        A class that was renamed has its former name again, and its layers and the next point go
        with it. One that was joined with another has its own again, or they are the other's again.
        """
        self.note()
        before = self._palette.snapshot()
        with self._hold():  # not before the layers have the former names
            done = go()
        names = {number: name for name, number in self._palette.numbers.items()}
        for name, number in before.numbers.items():
            if name not in self._palette and number in names:
                self._rename_layers(name, names[number], number)
                self._follow_role(name, names[number])
        self._travel_joined(before, names)
        if self._queries.role.class_name not in self._palette:
            self._leave_class(self._queries.role.class_name)
        if self._palette.snapshot() != before:
            self._recolour()
        self._changed()
        return done

    def _travel_joined(self, before: PaletteState, names: Mapping[int, str]) -> None:
        """Part what is made of classes that are two again, and join what is of one again."""
        earlier, now = before.joined, self._palette.snapshot().joined
        for number in earlier.keys() - now.keys():
            if number in names and earlier[number] in names:
                self._part_layers(names[number], names[earlier[number]], number)
        for name, number in before.numbers.items():
            if number in now.keys() - earlier.keys():
                self._rename_layers(name, names[now[number]], number)
                self._follow_role(name, names[now[number]])

    # -- classes -----------------------------------------------------------------------------

    def _follow_role(self, old: str, new: str) -> None:
        """Let the next point belong to a class under its new name."""
        role = self._queries.role
        if role.class_name == old:
            self._queries.set_role(replace(role, class_name=new))

    def _leave_class(self, class_name: str) -> None:
        """Let the next point belong to another class than one that there is no more."""
        self._follow_role(class_name, next(iter(self._palette.names), DEFAULT_CLASS))

    def set_class_colour(self, class_name: str, colour: str) -> None:
        """Draw a class in another colour, wherever it is drawn."""
        with self.step():
            self._palette.assign(class_name, colour)
            self._recolour()

    def rename_class(self, old: str, new: str) -> None:
        """Give a class another name; it keeps its points and its colour."""
        with self.step():
            role, number = self._queries.role, self._palette.numbers.get(old)
            self._palette.rename(old, new)  # first: whatever draws asks for the colour of a name
            self._rename_layers(old, new, number)
            self._queries.rename_class(old, new)
            self._drawn.rename_class(old, new)
            if role.class_name == old:
                self._queries.set_role(replace(role, class_name=new))

    def remove_class(self, class_name: str) -> None:
        """Delete the points and the drawn regions of a class, and ask it no more."""
        with self.step():
            self._queries.remove_class(class_name)
            self._drawn.remove_class(class_name)
            self._regions.leave_out(class_name)
            self._saved.remove_class(class_name)
            self._palette.remove(class_name)
            self._leave_class(class_name)

    def move_selected(self, class_name: str | None, positive: bool | None) -> int:
        """Let selected points and drawn regions say something else; return how many did.

        Those of the layer that is active, if it is one of ours: the last point that was set is
        still selected when a region is chosen.
        """
        active = self._viewer.layers.selection.active
        parts = [part for part in (self._queries, self._drawn) if part.layer is not None]
        moved = 0
        with self.step():
            for part in [part for part in parts if part.layer == active] or parts:
                roles, before = part.roles(), part.roles()
                for row in part.selected():
                    role = roles[row]
                    roles[row] = PointRole(
                        role.class_name if class_name is None else class_name,
                        role.positive if positive is None else positive,
                    )
                moved += sum(one != other for one, other in zip(roles, before, strict=True))
                part.set_roles(roles)
        return moved

    def class_counts(self) -> dict[str, ClassCounts]:
        """Return how many points and regions say what a class is."""
        points, regions = Counter(self._queries.roles()), self._regions.count_classes()
        known = (*self._palette.names, *(role.class_name for role in points), *regions)
        return {
            name: ClassCounts(
                points[PointRole(name)], points[PointRole(name, positive=False)], regions[name]
            )
            for name in dict.fromkeys(known)
        }
