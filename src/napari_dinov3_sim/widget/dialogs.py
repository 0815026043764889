"""Asking for the path of a file; tests answer in the user's place."""

from __future__ import annotations

from qtpy.QtWidgets import QFileDialog, QWidget

QUERIES = "Queries (*.query.safetensors);;All files (*)"
TABLES = "Tables (*.csv);;All files (*)"


class Dialogs:
    """Qt's dialogs for files.

    Parameters
    ----------
    parent : QWidget, optional
        Above which they are shown.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        self._parent = parent

    def ask_for_new_file(self, title: str, name: str, filters: str) -> str:
        """Return the path of a file to write, empty if the user cancels."""
        return str(QFileDialog.getSaveFileName(self._parent, title, name, filters)[0])

    def ask_for_file(self, title: str, filters: str) -> str:
        """Return the path of a file to read, empty if the user cancels."""
        return str(QFileDialog.getOpenFileName(self._parent, title, "", filters)[0])
