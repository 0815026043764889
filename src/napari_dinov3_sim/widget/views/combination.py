"""Views of the combination of points, of regions and of query files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.core.search.combine import EXPLANATIONS, Combination
from napari_dinov3_sim.widget.views.common import (
    ElidedLabel,
    LayerCombo,
    WrappedLabel,
    keep_narrow,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence, Set


LABELS: dict[Combination, str] = {
    "auto": "Automatic",
    "mean": "Mean of the points",
    "best": "Best of the points",
    "contrast": "Contrast to what is not meant",
    "learned": "Learned from what is and is not meant",
}


class CombinationChoice(QWidget):
    """A combo box and a sentence.

    Attributes
    ----------
    picked : Signal(str)
        A key of `LABELS`.
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.explanation = WrappedLabel()
        keep_narrow(self.combo)
        for combination, label in LABELS.items():
            self.combo.addItem(label, combination)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(2)
        layout.addRow("combine", self.combo)
        layout.addRow(self.explanation)
        self.combo.activated.connect(self._on_activated)

    def show_combination(self, combination: Combination) -> None:
        """Show the way that is chosen, and what it does."""
        with QSignalBlocker(self.combo):
            self.combo.setCurrentIndex(self.combo.findData(combination))
        self.combo.setToolTip(EXPLANATIONS[combination])
        self.explanation.show_text(EXPLANATIONS[combination])

    def _on_activated(self, index: int) -> None:
        self.picked.emit(self.combo.itemData(index))


AGAIN = (
    "Ask the query with this model: from the pictures of what was clicked, without negative "
    "points and thresholds"
)


class QueryFilesRow(QWidget):
    """Two buttons, and below them what is loaded, if anything is.

    Attributes
    ----------
    save_clicked, load_clicked, again_clicked, drop_clicked : Signal()
    """

    save_clicked = Signal()
    load_clicked = Signal()
    again_clicked = Signal()
    drop_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.save_button = QPushButton("Save query…")
        self.load_button = QPushButton("Load query…")
        self.loaded = QWidget()
        self.file, self.classes = ElidedLabel(), ElidedLabel()
        self.again_button = QPushButton("Ask again")
        self.drop_button = QPushButton("Drop")
        self._build()
        self.show_loaded("", ())
        self.save_button.clicked.connect(self.save_clicked)
        self.load_button.clicked.connect(self.load_clicked)
        self.again_button.clicked.connect(self.again_clicked)
        self.drop_button.clicked.connect(self.drop_clicked)

    def _build(self) -> None:
        self.again_button.setToolTip(AGAIN)
        self.drop_button.setToolTip("Search without the query that was loaded")
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.save_button)
        buttons.addWidget(self.load_button)
        lines = QVBoxLayout()
        lines.setSpacing(0)
        lines.addWidget(self.file)
        lines.addWidget(self.classes)
        row = QHBoxLayout(self.loaded)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addLayout(lines, 1)
        row.addWidget(self.again_button)
        row.addWidget(self.drop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self.loaded)

    def show_loaded(
        self, name: str, classes: Sequence[str], problem: str = "", *, again: bool = False
    ) -> None:
        """Show which query is loaded.

        Parameters
        ----------
        name : str
            Of its file; empty if none is loaded.
        classes : sequence of str
        problem : str, optional
            Why it is not asked.
        again : bool, optional
            Whether it can be asked again from its pictures.
        """
        self.again_button.setVisible(again)
        self.loaded.setVisible(bool(name))
        self.file.show_text(name)
        self.classes.show_text(problem or f"asks for {', '.join(classes)}")


NOTHING = "Shapes or Labels…"


class RegionRow(QWidget):
    """A choice of a layer, buttons that add and remove it, and the names of those in use.

    Attributes
    ----------
    opened : Signal()
        The list of layers is about to be shown.
    added, removed : Signal(object)
        Id of a layer.
    import_clicked : Signal()
    """

    opened = Signal()
    added = Signal(object)
    removed = Signal(object)
    import_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = LayerCombo(NOTHING)
        self.add_button = QPushButton("Add")
        self.remove_button = QPushButton("Remove")
        self.import_button = QPushButton("Import regions…")
        self.used = WrappedLabel()
        self._used: Set[Hashable] = frozenset()
        self._build()
        self.show_layers({}, frozenset())
        self.combo.opened.connect(self.opened)
        self.combo.picked.connect(self._enable)
        self.add_button.clicked.connect(self._on_add)
        self.remove_button.clicked.connect(self._on_remove)
        self.import_button.clicked.connect(self.import_clicked)

    def _build(self) -> None:
        self.combo.setToolTip(
            "Patches below a polygon, or a label, are the query; each label is a class"
        )
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.combo, 1)
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        self.import_button.setToolTip(
            "Search for what QuPath (GeoJSON), ImageJ (ROIs) or a label image has marked"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.import_button)
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
