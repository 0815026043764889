"""Views of the list of images, of embedding, of resolution and channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinov3_sim.core.embedding.recipe import FACTORS, SHIFTS, Recipe
from napari_dinov3_sim.widget.views.common import ElidedLabel, keep_narrow
from napari_dinov3_sim.widget.views.section import Section

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from napari_dinov3_sim.core.images.resampling import Padding
    from napari_dinov3_sim.session.worker_messages import Progress


class EmbedRow(QWidget):
    """Two buttons, a bar and a line of text.

    Attributes
    ----------
    embed_clicked, cancel_clicked : Signal()
    """

    embed_clicked = Signal()
    cancel_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.embed_button = QPushButton("Embed")
        self.cancel_button = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.task = ElidedLabel()
        self._build()
        self.show_progress(None)
        self.embed_button.clicked.connect(self.embed_clicked)
        self.cancel_button.clicked.connect(self.cancel_clicked)

    def _build(self) -> None:
        self.embed_button.setToolTip(
            "Compute the patch embeddings of all ticked images now; a click does so too"
        )
        self.cancel_button.setToolTip("Stop; images that are finished are kept")
        row = QHBoxLayout()
        for widget in (self.embed_button, self.bar, self.cancel_button):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.task)

    def show_progress(self, progress: Progress | None) -> None:
        """Show a progress; None when nothing runs."""
        self.cancel_button.setEnabled(progress is not None)
        self.task.setVisible(progress is not None)
        if progress is None:
            self.bar.setRange(0, 1)
            self.bar.reset()
            return
        # Fractions: bytes of a large model do not fit into Qt's 32-bit integers.
        self.bar.setRange(0, 1000 if progress.total else 0)
        self.bar.setValue(round(1000 * progress.done / progress.total) if progress.total else 0)
        self.task.show_text(progress.description)


_ID = Qt.ItemDataRole.UserRole
_SEARCHABLE = (
    Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable
)


@dataclass(frozen=True)
class ImageEntry:
    """One line of the list.

    Attributes
    ----------
    layer_id : hashable
        ``layer.unique_id``.
    name : str
    ticked : bool
    refused : str or None
        Why the image cannot be searched.
    """

    layer_id: Hashable
    name: str
    ticked: bool
    refused: str | None = None


class ImageList(QListWidget):
    """Shows entries, and says which one was ticked or unticked.

    Attributes
    ----------
    ticked : Signal(object, bool)
        Layer id and whether it is to be searched.
    """

    ticked = Signal(object, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(60)
        self.setMaximumHeight(110)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("Ticked images are searched")
        self._ids: list[Hashable] = []
        self.itemChanged.connect(self._on_item_changed)

    def show_entries(self, entries: Sequence[ImageEntry]) -> None:
        """Show these images.

        Lines are changed in place where the images are the same: this is also called while
        Qt handles a tick, when no item may be deleted.
        """
        ids = [entry.layer_id for entry in entries]
        with QSignalBlocker(self):
            if ids != self._ids:
                self._ids = ids
                self.clear()
                self.addItems([entry.name for entry in entries])
            for row, entry in enumerate(entries):
                self._fill(self.item(row), entry)

    def _fill(self, item: QListWidgetItem, entry: ImageEntry) -> None:
        checked = Qt.CheckState.Checked if entry.ticked else Qt.CheckState.Unchecked
        item.setData(_ID, entry.layer_id)
        item.setText(entry.name)
        item.setToolTip(entry.refused or entry.name)
        item.setFlags(Qt.ItemFlag.NoItemFlags if entry.refused else _SEARCHABLE)
        item.setCheckState(checked)

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        self.ticked.emit(item.data(_ID), item.checkState() == Qt.CheckState.Checked)


FACTOR_LABELS = {0.5: "½ (fast, coarse)", 1.0: "1", 2.0: "2", 4.0: "4 (slow, fine)"}
SHIFT_LABELS = {1: "off", 2: "2 × finer (4 passes)", 4: "4 × finer (16 passes)"}
PADDING_LABELS: dict[Padding, str] = {"zeros": "black", "reflect": "mirrored"}


class ImageOptions(QWidget):
    """A switch for stacks, and choices of resolution, shifts and padding.

    Attributes
    ----------
    all_planes_changed : Signal(bool)
    factor_picked : Signal(float)
    shifts_picked : Signal(int)
    padding_picked : Signal(str)
    merge_clicked, split_clicked : Signal()
    """

    all_planes_changed = Signal(bool)
    factor_picked = Signal(float)
    shifts_picked = Signal(int)
    padding_picked = Signal(str)
    merge_clicked = Signal()
    split_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.all_planes = QCheckBox("All planes of stacks")
        self.factor = _combo({factor: FACTOR_LABELS[factor] for factor in FACTORS})
        self.shifts = _combo({shifts: SHIFT_LABELS[shifts] for shifts in SHIFTS})
        self.padding = _combo(PADDING_LABELS)
        self.merge_button = QPushButton("Merge channels")
        self.split_button = QPushButton("Split")
        self._build()
        self._explain()
        self.all_planes.toggled.connect(self.all_planes_changed)
        self.factor.activated.connect(self._on_factor)
        self.shifts.activated.connect(self._on_shifts)
        self.padding.activated.connect(self._on_padding)
        self.merge_button.clicked.connect(self.merge_clicked)
        self.split_button.clicked.connect(self.split_clicked)

    def _build(self) -> None:
        channels = QHBoxLayout()
        channels.setSpacing(4)
        channels.addWidget(self.merge_button, 2)
        channels.addWidget(self.split_button, 1)
        advanced = QWidget()
        form = QFormLayout(advanced)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow("resolution", self.factor)
        form.addRow("sharper", self.shifts)
        form.addRow("borders", self.padding)
        form.addRow(channels)
        self.advanced = Section("Resolution and channels", advanced, folded=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.all_planes)
        layout.addWidget(self.advanced)

    def _explain(self) -> None:
        self.factor.setToolTip(
            "How much larger than it is an image goes through the model:\n"
            "at 2 a patch covers half as many pixels along each side, and it takes 4 × as long."
        )
        self.shifts.setToolTip(
            "Embed the image again, shifted by parts of a patch: sharper maps of the same "
            "patches,\nfor 4 × or 16 × the time."
        )
        self.padding.setToolTip("What the model sees beyond the right and the bottom border")
        self.merge_button.setToolTip(
            "Search two or three grayscale layers as one colour image: select them in the layer "
            "list;\nthe lowest is red, then green, then blue."
        )
        self.split_button.setToolTip(
            "Search merged layers one by one again: where several images are merged,\n"
            "select a layer of the one that is meant."
        )

    def show_options(self, recipe: Recipe, all_planes: bool) -> None:
        """Show what is set, without reporting it as a choice."""
        with QSignalBlocker(self.all_planes):
            self.all_planes.setChecked(all_planes)
        self.factor.setCurrentIndex(self.factor.findData(recipe.factor))
        self.shifts.setCurrentIndex(self.shifts.findData(recipe.shifts))
        self.padding.setCurrentIndex(self.padding.findData(recipe.padding))

    def _on_factor(self, index: int) -> None:
        self.factor_picked.emit(self.factor.itemData(index))

    def _on_shifts(self, index: int) -> None:
        self.shifts_picked.emit(self.shifts.itemData(index))

    def _on_padding(self, index: int) -> None:
        self.padding_picked.emit(self.padding.itemData(index))


def _combo(labels: Mapping[float, str] | Mapping[int, str] | Mapping[Padding, str]) -> QComboBox:
    combo = QComboBox()
    keep_narrow(combo)
    for value, label in labels.items():
        combo.addItem(label, value)
    return combo
