"""Saving a query and loading one."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget


class QueryFilesRow(QWidget):
    """Three buttons.

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
        self.drop_button = QPushButton("Drop")
        self.drop_button.setToolTip("Search without the query that was loaded")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for button in (self.save_button, self.load_button, self.drop_button):
            layout.addWidget(button)
        self.save_button.clicked.connect(self.save_clicked)
        self.load_button.clicked.connect(self.load_clicked)
        self.drop_button.clicked.connect(self.drop_clicked)
