"""Views of the list of images, of embedding, of resolution and channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QStackedLayout,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_dinov3_sim.core.embedding.recipe import FACTORS, SHIFTS, Recipe
from napari_dinov3_sim.widget.views.common import ElidedLabel, keep_narrow

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from qtpy.QtCore import QPoint

    from napari_dinov3_sim.core.images.resampling import Padding
    from napari_dinov3_sim.session.worker_messages import Progress


LIST_HEIGHT = 60
"""Of the list of images, in screen pixels: four lines; more are scrolled to."""


class EmbedRow(QWidget):
    """One line that never changes its height: what is ready and *Embed*, or a bar and *Cancel*.

    Attributes
    ----------
    embed_clicked, cancel_clicked : Signal()
    """

    embed_clicked = Signal()
    cancel_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = ElidedLabel()
        self.embed_button = QPushButton("Embed")
        self.task = ElidedLabel()
        self.bar = QProgressBar()
        self.cancel_button = QPushButton("Cancel")
        self._line = QStackedLayout()
        self._build()
        self.show_progress(None)
        self.embed_button.clicked.connect(self.embed_clicked)
        self.cancel_button.clicked.connect(self.cancel_clicked)

    def _build(self) -> None:
        self.embed_button.setToolTip(
            "Compute the patch embeddings of all ticked images now; a click does so too"
        )
        self.cancel_button.setToolTip("Stop; images that are finished are kept")
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of embedding")
        self._line.setContentsMargins(0, 0, 0, 0)
        self._line.addWidget(_row((self.state, 1), (self.embed_button, 0)))
        self._line.addWidget(_row((self.task, 3), (self.bar, 2), (self.cancel_button, 0)))
        self.setLayout(self._line)

    def show_state(self, sentence: str) -> None:
        """Say how many images are ready."""
        self.state.show_text(sentence)

    def show_progress(self, progress: Progress | None) -> None:
        """Show a progress; None when nothing runs."""
        self.cancel_button.setEnabled(progress is not None)
        self._line.setCurrentIndex(0 if progress is None else 1)
        if progress is None:
            self.bar.setRange(0, 1)
            self.bar.reset()
            return
        # Fractions: bytes of a large model do not fit into Qt's 32-bit integers.
        self.bar.setRange(0, 1000 if progress.total else 0)
        self.bar.setValue(round(1000 * progress.done / progress.total) if progress.total else 0)
        self.task.show_text(progress.description)


def _row(*widgets: tuple[QWidget, int]) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget, stretch in widgets:
        layout.addWidget(widget, stretch)
    return row


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
    channels : tuple of str
        The names of the layers that are searched as this one image; empty for a layer alone.
    """

    layer_id: Hashable
    name: str
    ticked: bool
    refused: str | None = None
    channels: tuple[str, ...] = ()


class ImageList(QTreeWidget):
    """Shows entries, and says which one was ticked, unticked or split.

    Attributes
    ----------
    ticked : Signal(object, bool)
        Layer id and whether it is to be searched.
    split_clicked : Signal(object)
        Layer id of an image whose channels are to be searched one by one.
    """

    ticked = Signal(object, bool)
    split_clicked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Images to search")
        self.setHeaderHidden(True)
        self.setColumnCount(1)
        self.setFixedHeight(LIST_HEIGHT)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setToolTip("Ticked images are searched")
        self._ids: list[tuple[Hashable, int]] = []
        self.itemChanged.connect(self._on_item_changed)
        self.customContextMenuRequested.connect(self._show_menu)

    def show_entries(self, entries: Sequence[ImageEntry]) -> None:
        """Show these images.

        Lines are changed in place where the images are the same: this is also called while
        Qt handles a tick, when no item may be deleted.
        """
        ids = [(entry.layer_id, len(entry.channels)) for entry in entries]
        with QSignalBlocker(self):
            if ids != self._ids:
                self._ids = ids
                self.clear()
                self.addTopLevelItems([_item(len(entry.channels)) for entry in entries])
            for row, entry in enumerate(entries):
                item = self.topLevelItem(row)
                if item is not None:
                    _fill(item, entry)
            self.setRootIsDecorated(any(entry.channels for entry in entries))

    def menu_of(self, item: QTreeWidgetItem) -> QMenu:
        """Return what can be done with a line."""
        menu = QMenu(self)
        split = menu.addAction("Split channels")
        split.setEnabled(item.childCount() > 0)
        split.triggered.connect(partial(self.split_clicked.emit, item.data(0, _ID)))
        return menu

    def _show_menu(self, place: QPoint) -> None:
        item = self.itemAt(place)
        if item is not None:
            self.menu_of(item.parent() or item).popup(self.viewport().mapToGlobal(place))

    def _on_item_changed(self, item: QTreeWidgetItem) -> None:
        self.ticked.emit(item.data(0, _ID), item.checkState(0) == Qt.CheckState.Checked)


def _item(channels: int) -> QTreeWidgetItem:
    item = QTreeWidgetItem()
    for _ in range(channels):
        child = QTreeWidgetItem(item)
        child.setFlags(Qt.ItemFlag.ItemIsEnabled)
    return item


def _fill(item: QTreeWidgetItem, entry: ImageEntry) -> None:
    item.setData(0, _ID, entry.layer_id)
    item.setText(0, entry.name)
    item.setToolTip(0, entry.refused or entry.name)
    item.setFlags(Qt.ItemFlag.NoItemFlags if entry.refused else _SEARCHABLE)
    item.setCheckState(0, Qt.CheckState.Checked if entry.ticked else Qt.CheckState.Unchecked)
    for row, channel in enumerate(entry.channels):
        child = item.child(row)
        if child is not None:
            child.setText(0, channel)


class ProjectRow(QWidget):
    """Buttons that save and open a project.

    Attributes
    ----------
    save_clicked, open_clicked : Signal()
    """

    save_clicked = Signal()
    open_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.save_button = QPushButton("Save project…")
        self.open_button = QPushButton("Open project…")
        self.save_button.setToolTip(
            "Write images, query, judgements, settings and results to one file, to go on later;\n"
            "images that were opened from files stay there"
        )
        self.open_button.setToolTip("Add a project that was saved to what is open")
        for button in (self.save_button, self.open_button):
            button.setAccessibleDescription(button.toolTip())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.save_button)
        row.addWidget(self.open_button)
        self.save_button.clicked.connect(self.save_clicked)
        self.open_button.clicked.connect(self.open_clicked)


FACTOR_LABELS = {0.5: "½ (fast, coarse)", 1.0: "1", 2.0: "2", 4.0: "4 (slow, fine)"}
SHIFT_LABELS = {1: "off", 2: "2 × finer (4 passes)", 4: "4 × finer (16 passes)"}
PADDING_LABELS: dict[Padding, str] = {"zeros": "black", "reflect": "mirrored"}


class ImageOptions(QWidget):
    """Choices of resolution, shifts and padding, and a switch for stacks to be shown elsewhere.

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
        self.all_planes = QCheckBox("All planes")
        self.factor = _combo({factor: FACTOR_LABELS[factor] for factor in FACTORS})
        self.shifts = _combo({shifts: SHIFT_LABELS[shifts] for shifts in SHIFTS})
        self.padding = _combo(PADDING_LABELS)
        self.merge_button = QPushButton("Merge channels")
        self.split_button = QPushButton("Split channels")
        self._build()
        self._explain()
        self.all_planes.setToolTip("Search all planes of stacks, not only those that are shown")
        self.all_planes.toggled.connect(self.all_planes_changed)
        self.factor.activated.connect(self._on_factor)
        self.shifts.activated.connect(self._on_shifts)
        self.padding.activated.connect(self._on_padding)
        self.merge_button.clicked.connect(self.merge_clicked)
        self.split_button.clicked.connect(self.split_clicked)

    def _build(self) -> None:
        channels = QHBoxLayout()
        channels.setSpacing(4)
        channels.addWidget(self.merge_button)
        channels.addWidget(self.split_button)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow("resolution", self.factor)
        form.addRow("sharper", self.shifts)
        form.addRow("borders", self.padding)
        form.addRow(channels)

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
