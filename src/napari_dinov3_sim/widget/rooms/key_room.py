"""The keys that act while the query layer is active, and the tooltips that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.widget.keys import QueryKeys
from napari_dinov3_sim.widget.rooms.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.widget.views import Views


class KeyRoom(Room):
    """Binds keys to the query layer for as long as there is one.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    commands : mapping of str to (str, callable)
        For each key, what it does in words, and a bound method.
    buttons : mapping of str to tuple of QWidget
        For each key, what does the same in the dock.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SimilaritySession,
        views: Views,
        commands: Mapping[str, tuple[str, Callable[[], object]]],
        buttons: Mapping[str, tuple[QWidget, ...]],
    ) -> None:
        super().__init__(viewer, session, views)
        self._keys, self._buttons = QueryKeys(commands), buttons
        self.hear(session.queried, self._bind)
        self.hear(session.status_changed, self._bind)
        self._bind()

    @property
    def bound(self) -> tuple[str, ...]:
        """The keys that are bound now."""
        return self._keys.bound

    def _bind(self) -> None:
        layer = self._session.queries
        if layer is None:
            self._keys.release()
        else:
            self._keys.bind(layer)
        for key, buttons in self._buttons.items():
            for button in buttons:
                button.setToolTip(self._keys.hint(key))

    def close(self) -> None:
        """Give the keys back."""
        super().close()
        self._keys.release()
