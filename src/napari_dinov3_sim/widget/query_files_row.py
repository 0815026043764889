"""Saving a query and loading one; which one is loaded, and a button that drops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.line import Line

if TYPE_CHECKING:
    from collections.abc import Sequence


class QueryFilesRow(QWidget):
    """Two buttons, and below them what is loaded, if anything is.

    Attributes
    ----------
    save_clicked, load_clicked, drop_clicked : Signal()
    """

    save_clicked = Signal()
    load_clicked = Signal()
    drop_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.save_button = QPushButton("Save query…")
        self.load_button = QPushButton("Load query…")
        self.loaded = QWidget()
        self.file, self.kinds = Line(), Line()
        self.drop_button = QPushButton("Drop")
        self._build()
        self.show_loaded("", ())
        self.save_button.clicked.connect(self.save_clicked)
        self.load_button.clicked.connect(self.load_clicked)
        self.drop_button.clicked.connect(self.drop_clicked)

    def _build(self) -> None:
        self.drop_button.setToolTip("Search without the query that was loaded")
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.save_button)
        buttons.addWidget(self.load_button)
        lines = QVBoxLayout()
        lines.setSpacing(0)
        lines.addWidget(self.file)
        lines.addWidget(self.kinds)
        row = QHBoxLayout(self.loaded)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addLayout(lines, 1)
        row.addWidget(self.drop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self.loaded)

    def show_loaded(self, name: str, kinds: Sequence[str], problem: str = "") -> None:
        """Show which query is loaded.

        Parameters
        ----------
        name : str
            Of its file; empty if none is loaded.
        kinds : sequence of str
        problem : str, optional
            Why it is not asked.
        """
        self.loaded.setVisible(bool(name))
        self.file.show_text(name)
        self.kinds.show_text(problem or f"asks for {', '.join(kinds)}")
