"""Dialogs for the path of a file; tests answer in the user's place."""

from __future__ import annotations

import re
from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QColor, QDesktopServices
from qtpy.QtWidgets import QColorDialog, QFileDialog, QMessageBox, QWidget

QUERIES = "Queries (*.query.safetensors);;All files (*)"
TABLES = "Tables (*.csv);;All files (*)"
PROJECTS = "Projects (*.dinov3sim.zip);;All files (*)"


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
        """Return the path of a file to write, empty if the user cancels.

        The dialog asks about replacing what was typed; a file that is met only because its
        suffix was left out is asked about here. Not every system's own dialog would do it.
        """
        while True:
            chosen, shown = QFileDialog.getSaveFileName(self._parent, title, name, filters)
            path = complete(chosen, filters, shown)
            if path == chosen or not Path(path).exists() or self._may_replace(title, path):
                return path
            name = path

    def _may_replace(self, title: str, path: str) -> bool:
        question = f"{Path(path).name} already exists.\nDo you want to replace it?"
        return self.confirm(title, question)

    def confirm(self, title: str, question: str) -> bool:
        """Return whether the user says yes to a question."""
        answer = QMessageBox.question(self._parent, title, question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def ask(self, title: str, question: str, yes: str, no: str = "") -> bool | None:
        """Return whether the user says yes or no, each in its own words; None for neither.

        Parameters
        ----------
        title, question : str
        yes, no : str
            What stands on the buttons; without `no`, the only other one is *Cancel*.
        """
        box = QMessageBox(QMessageBox.Icon.Question, title, question, parent=self._parent)
        agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
        refuse = box.addButton(no, QMessageBox.ButtonRole.DestructiveRole) if no else None
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(agree)
        box.exec()
        clicked = box.clickedButton()
        if clicked is agree:
            return True
        return False if refuse is not None and clicked is refuse else None

    def ask_for_colour(self, title: str, colour: str) -> str:
        """Return a colour as ``#rrggbb``, empty if the user cancels."""
        chosen = QColorDialog.getColor(QColor(colour), self._parent, title)
        return str(chosen.name()) if chosen.isValid() else ""

    def ask_for_file(self, title: str, filters: str) -> str:
        """Return the path of a file to read, empty if the user cancels."""
        return str(QFileDialog.getOpenFileName(self._parent, title, "", filters)[0])

    def ask_for_files(self, title: str) -> list[str]:
        """Return the paths of files to read, none if the user cancels."""
        return [*QFileDialog.getOpenFileNames(self._parent, title, "", "All files (*)")[0]]

    def ask_for_folder(self, title: str) -> str:
        """Return the path of a folder that is there, empty if the user cancels."""
        return str(QFileDialog.getExistingDirectory(self._parent, title))

    def open_folder(self, path: str) -> None:
        """Open a folder in the system's own program for folders."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(path))


def complete(path: str, filters: str, shown: str) -> str:
    """Return the path of a file with the suffix by which it will be found again.

    Parameters
    ----------
    path : str
        As it was typed; empty stays empty.
    filters : str
        Of the dialog, the first for files with a suffix.
    shown : str
        The filter that was chosen: under one for all files, a suffix of the user's own stays.

    Examples
    --------
    >>> complete("two", QUERIES, "Queries (*.query.safetensors)")
    'two.query.safetensors'
    """
    suffix = _suffix(filters)
    if not path or path.lower().endswith(suffix) or (Path(path).suffix and not _suffix(shown)):
        return path
    for part in reversed(suffix.split(".")):  # what has been typed of it
        path = path.removesuffix(f".{part}")
    return path + suffix


def _suffix(filters: str) -> str:
    """Return the suffix that the first of some filters shows; empty for all files."""
    found = re.search(r"\(\*([^)]*)\)", filters)
    return found[1] if found else ""
