"""The view of the model: the list of models, and what is known of the chosen one."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.backbones import MODELS, ModelRecord, list_models
from napari_dinov3_sim.widget.views.common import ElidedLabel, WrappedLabel

OTHER_FILE = "Other… (weights file)"
OTHER_FOLDER = "Other… (folder)"
BUILTIN_LABEL = "Built-in (not DINOv3)"
BUILTIN_NOTE = "For a first look: small, ours, no download."
WEIGHTS_FILES = "Weights (*.safetensors *.pth *.pt *.bin);;All files (*)"


class ModelPicker(QWidget):
    """Lets the user choose a model by name, or a folder or file with weights.

    Attributes
    ----------
    picked : Signal(str)
        The name or path that the user chose.
    details : QWidget
        What else is known of the model, to be shown elsewhere.
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.details = QWidget()
        self.note = ElidedLabel()
        self.device = ElidedLabel()
        self.licence = ElidedLabel()
        self._model = ""
        self._row = QHBoxLayout(self)
        self._build()
        self._load()
        self.combo.activated.connect(self._on_activated)

    def _build(self) -> None:
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setMinimumContentsLength(16)
        self.combo.setAccessibleName("Model")
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addWidget(self.combo, 1)
        layout = QVBoxLayout(self.details)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self.note, self.device, self.licence):
            layout.addWidget(widget)

    def add(self, widget: QWidget) -> None:
        """Show another widget right of the list."""
        self._row.addWidget(widget)

    def _load(self) -> None:
        for record in list_models():
            label = BUILTIN_LABEL if record.is_builtin else record.label
            self._add(label, record.name, describe(record))
        # Two entries: no native dialog shows files and folders as one.
        self._add(OTHER_FILE, None, "A file .safetensors or .pth that you have already")
        self._add(OTHER_FOLDER, None, "A folder with config.json and weights")
        self.show_device(None)

    def _add(self, label: str, data: str | None, tip: str) -> None:
        self.combo.addItem(label, data)
        self.combo.setItemData(self.combo.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def show_model(self, model: str) -> None:
        """Show which model is set; one that is not in the list is added to it."""
        self._model = model
        with QSignalBlocker(self.combo):
            if model and self.combo.findData(model) < 0:
                at = self.combo.findText(OTHER_FILE)
                self.combo.insertItem(at, Path(model).name, model)
                self.combo.setItemData(at, model, Qt.ItemDataRole.ToolTipRole)
            self.combo.setCurrentIndex(self.combo.findData(model) if model else -1)
        self._show_record(model)

    def _show_record(self, model: str) -> None:
        record = MODELS.get(model)
        licence = record.licence if record else "that of the weights' origin"
        self.note.show_text(_note(record), _explain(record))
        # Its address is long, and the dock is narrow.
        self.licence.show_text(f"Licence: {licence.split(' (')[0]}", f"Licence: {licence}")
        self.combo.setToolTip(describe(record) if record else model)

    def show_device(self, device: str | None) -> None:
        """Show where the model runs; None before it is loaded."""
        self.device.show_text(f"Device: {device or 'chosen when the model loads'}")

    def _on_activated(self, index: int) -> None:
        model = self.combo.itemData(index)
        if model is not None:
            self._choose(model)
        elif self.combo.itemText(index) == OTHER_FILE:
            self.choose_path(ask_for_file(self))
        else:
            self.choose_path(ask_for_folder(self))

    def _choose(self, model: str) -> None:
        self.show_model(model)
        self.picked.emit(model)

    def choose_path(self, path: str) -> None:
        """Use the weights at a path; an empty one, from a cancelled dialog, changes nothing."""
        if path:
            self._choose(path)
        else:
            self.show_model(self._model)


def ask_for_file(parent: QWidget) -> str:
    """Return the path of a weights file, empty if the user cancels."""
    return str(QFileDialog.getOpenFileName(parent, "Weights file", "", WEIGHTS_FILES)[0])


def ask_for_folder(parent: QWidget) -> str:
    """Return the path of a folder with weights, empty if the user cancels."""
    return str(QFileDialog.getExistingDirectory(parent, "Folder with config.json and weights"))


def _note(record: ModelRecord | None) -> str:
    if record is None:
        return "Weights of your own."
    if record.is_builtin:
        return BUILTIN_NOTE
    # Weights are stored as float32.
    return f"Downloaded once, at first use: {4e-6 * record.parameters:,.0f} MB."


def _explain(record: ModelRecord | None) -> str:
    if record is None or record.is_builtin:
        return ""
    # Whether it is here already is not asked: looking into the cache imports the hub's library,
    # which would hold up the window.
    return f"{_note(record)} What is on this computer already is not downloaded."


def describe(record: ModelRecord) -> str:
    """Return the tooltip of a model."""
    million = f"{record.parameters / 1e6:,.0f} million parameters."
    return "\n".join(part for part in (record.note, million, f"Licence: {record.licence}") if part)


LOSS = (
    "The built-in model needs no download: it is a small network of our own for a first look, "
    "not a DINOv3 checkpoint. What is lost: it knows much less, and often misses fine structures, "
    "electron microscopy and sorts of images that it has never seen."
)


class BuiltinOffer(QWidget):
    """Says why the model failed, and offers the built-in one; in the place of the images.

    Attributes
    ----------
    accepted : Signal()
    """

    accepted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.reason = WrappedLabel()
        self.button = QPushButton("Use the built-in model")
        self.button.setToolTip(LOSS)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.reason, 1)
        layout.addWidget(self.button)
        self.button.clicked.connect(self.accepted)

    def offer(self, reason: str) -> None:
        """Say why it is offered."""
        self.reason.show_text(reason)
