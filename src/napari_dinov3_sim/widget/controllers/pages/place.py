"""Where the pages with docks of their own lie, such as the gallery and the table."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from napari.settings import get_settings
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_dinov3_sim.widget.views.common import DockPage

CORNERS = {
    Qt.Corner.BottomLeftCorner: Qt.DockWidgetArea.LeftDockWidgetArea,
    Qt.Corner.BottomRightCorner: Qt.DockWidgetArea.RightDockWidgetArea,
}
"""Of the window, to which docks they belong while a page is open."""

SHARE = 0.5
"""Of the window's width, for a page at first; the rest is another dock's."""


class PagePlace:
    """The dock of one page.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    name : str
        Of the page, in napari's Window menu.
    beside : QWidget
        In the same window.
    """

    def __init__(self, viewer: ViewerModel, name: str, beside: QWidget) -> None:
        self._viewer, self._name, self._beside = viewer, name, beside
        self._corners: dict[Qt.Corner, Qt.DockWidgetArea] = {}

    def show(self, view: DockPage, height_of: Callable[[int], int]) -> bool:
        """Show a page; return whether it was not open.

        Parameters
        ----------
        view : DockPage
        height_of : callable
            Given a width, returns the height that the page wants, in screen pixels.
        """
        dock = view.parent()
        if dock is None:
            self._dock(view, height_of)
        elif isinstance(dock, QDockWidget):
            dock.show()
            dock.raise_()
        return dock is None

    def _dock(self, view: DockPage, height_of: Callable[[int], int]) -> None:
        """Put the page below the canvas, or where the user has moved it before.

        Where another page lies, they are tabs. Without a window, as in a script, a page is a
        window of its own.
        """
        window = getattr(self._viewer, "window", None)
        if window is None:
            view.setWindowTitle(self._name)
            view.show()
            return
        size = self._beside.window().size()
        positions = get_settings().application.plugin_widget_positions
        area = positions.get(self._name, "bottom")
        window.add_dock_widget(view, name=self._name, area=area, tabify=True)
        # What napari returns may be a proxy, which Qt does not take.
        main, dock = view.window(), view.parent()
        if isinstance(main, QMainWindow) and isinstance(dock, QDockWidget):
            # Below the canvas and not below the docks beside it: they need the height, and the
            # window would grow with them beyond a small screen.
            for corner, side in CORNERS.items():
                self._corners.setdefault(corner, main.corner(corner))
                main.setCorner(corner, side)
            height = height_of(round(SHARE * main.width()))
            main.resizeDocks([dock], [height], Qt.Orientation.Vertical)
            dock.raise_()
            # While the parts find their sizes the window grows, and would stay so.
            if main is self._beside.window():
                later = QTimer(view)  # it goes with the page; PyQt6's singleShot has no receiver
                later.setSingleShot(True)
                later.timeout.connect(partial(main.resize, size))
                # Else it would hold the window that holds it, and neither would ever go.
                later.timeout.connect(later.deleteLater)
                later.start(0)

    def close(self, view: DockPage) -> None:
        """Close a page for good."""
        with suppress(RuntimeError):  # the window may be gone, and all that was in it
            view.blockSignals(True)  # it is not the user who closes it
            main, window = view.window(), getattr(self._viewer, "window", None)
            if isinstance(main, QMainWindow):
                for corner, side in self._corners.items():
                    main.setCorner(corner, side)
            if window is not None and view.parent() is not None:
                # Without its docks, or without itself, when the viewer is being closed.
                with suppress(LookupError, AttributeError):
                    window.remove_dock_widget(view)
            view.deleteLater()
