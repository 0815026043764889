"""Shapes and Labels layers whose regions are queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.layer_combo import LayerCombo
from napari_dinov3_sim.widget.line import Paragraph

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Set

NOTHING = "Shapes or Labels…"


class RegionRow(QWidget):
    """A choice of a layer, buttons that add and remove it, and the names of those in use.

    Attributes
    ----------
    opened : Signal()
        The list of layers is about to be shown.
    added, removed : Signal(object)
        Id of a layer.
    """

    opened = Signal()
    added = Signal(object)
    removed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = LayerCombo(NOTHING)
        self.add_button = QPushButton("Add")
        self.remove_button = QPushButton("Remove")
        self.used = Paragraph()
        self._used: Set[Hashable] = frozenset()
        self._build()
        self.show_layers({}, frozenset())
        self.combo.opened.connect(self.opened)
        self.combo.picked.connect(self._enable)
        self.add_button.clicked.connect(self._on_add)
        self.remove_button.clicked.connect(self._on_remove)

    def _build(self) -> None:
        self.combo.setToolTip(
            "Patches below a polygon, or a label, are the query; each label is a kind"
        )
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.combo, 1)
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.used)

    def show_layers(self, names: Mapping[Hashable, str], used: Set[Hashable]) -> None:
        """Show the layers that can be used, by id, and say which ones are."""
        self._used = used
        self.combo.show_layers(dict(names), self.combo.layer_id)
        found = [name for layer_id, name in names.items() if layer_id in used]
        self.used.show_text(f"In use: {', '.join(found)}" if found else "")
        self.used.setVisible(bool(found))
        self._enable()

    def _enable(self) -> None:
        layer_id = self.combo.layer_id
        self.add_button.setEnabled(layer_id is not None and layer_id not in self._used)
        self.remove_button.setEnabled(layer_id is not None and layer_id in self._used)

    def _on_add(self) -> None:
        self.added.emit(self.combo.layer_id)

    def _on_remove(self) -> None:
        self.removed.emit(self.combo.layer_id)
