"""Widgets that several views use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.resources import get_colorized_svg, get_icon_path
from qtpy.QtCore import QByteArray, QEvent, QSignalBlocker, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QComboBox, QLabel, QSizePolicy, QWidget
from superqt import QElidingLabel

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from qtpy.QtGui import QColor
    from qtpy.QtWidgets import QDoubleSpinBox, QSpinBox


def keep_narrow(combo: QComboBox) -> None:
    """Let a combo box take the room there is instead of that of its longest entry."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class LayerCombo(QComboBox):
    """Names of layers, with an entry for none of them in front if wanted.

    Parameters
    ----------
    nothing : str, optional
        The entry that stands for no layer.

    Attributes
    ----------
    picked : Signal(object)
        The id of the layer that the user chose, None for the entry that stands for none.
    opened : Signal()
        The list is about to be shown.
    """

    picked = Signal(object)
    opened = Signal()

    def __init__(self, nothing: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nothing = nothing
        self._ids: list[Hashable] = []
        keep_narrow(self)
        self.show_layers({})
        self.activated.connect(self._on_activated)

    @property
    def layer_id(self) -> Hashable | None:
        """The id of the layer that is chosen, or None."""
        index = self.currentIndex()
        return self._ids[index] if 0 <= index < len(self._ids) else None

    def show_layers(self, names: dict[Hashable, str], chosen: Hashable | None = None) -> None:
        """Show layers by id and name.

        Parameters
        ----------
        names : dict
            By layer id.
        chosen : hashable, optional
            Id of the chosen one; by default it stays the one it was, or is the first.
        """
        wanted = self.layer_id if chosen is None and not self._nothing else chosen
        ids: Sequence[Hashable] = [None, *names] if self._nothing else list(names)
        texts = [self._nothing, *names.values()] if self._nothing else list(names.values())
        with QSignalBlocker(self):
            if texts != [self.itemText(row) for row in range(self.count())]:
                self.clear()
                self.addItems(texts)
            self._ids = list(ids)
            self.setCurrentIndex(self._ids.index(wanted) if wanted in self._ids else 0)

    def showPopup(self) -> None:  # noqa: N802
        """Tell that the list is about to be shown, and show it."""
        self.opened.emit()
        super().showPopup()

    def _on_activated(self) -> None:
        self.picked.emit(self.layer_id)


def show_value(box: QSpinBox | QDoubleSpinBox, value: float) -> None:
    """Show a value in a box, unless another one is being typed into it, which would be lost."""
    edit = box.lineEdit()
    number = box.textFromValue(box.value())  # type: ignore[arg-type]
    shown = f"{box.prefix()}{number}{box.suffix()}"
    if not box.hasFocus() or edit is None or edit.text() == shown:
        box.setValue(value)  # type: ignore[arg-type]


class ElidedLabel(QElidingLabel):
    """One line, with all of it in the tooltip."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.show_text(text)

    def show_text(self, text: str, tip: str = "") -> None:
        """Show a text, as much of it as fits; `tip` says more than it."""
        self.setText(text)
        self.setToolTip(tip or text)


class DockPage(QWidget):
    """A widget that notices when the dock around it is closed: the plugin's dock, and pages.

    Attributes
    ----------
    closed : Signal()
        The dock around the page was closed.
    """

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._docked = False
        self._undocking = QTimer(self)
        self._undocking.setSingleShot(True)
        self._undocking.timeout.connect(self._on_undocked)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Notice when the dock lets go of this page: closing it deletes the dock alone."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self._undocking.start(0)
        super().changeEvent(event)

    def _on_undocked(self) -> None:
        if self.parent() is None and not self.isVisible():
            self._docked = False
            self.closed.emit()


PADDING = 10
"""Above and below the text of a label together, in screen pixels: napari's style sheet has 4."""


class Message(QElidingLabel):
    """A sentence in a fixed number of lines, so that nothing moves when another one is shown.

    Parameters
    ----------
    lines : int
    """

    def __init__(self, lines: int = 2, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines = lines
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the height of its lines in the present font."""
        return QSize(0, self._lines * self.fontMetrics().lineSpacing() + PADDING)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same height: it is always there."""
        return self.sizeHint()

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Return the same height, whatever the text."""
        del width
        return self.sizeHint().height()

    def show_text(self, text: str) -> None:
        """Show a sentence, and all of it in the tooltip where it does not fit."""
        self.setText(text)
        self.setToolTip(text)


def tinted_icon(name: str, colour: QColor) -> QIcon:
    """Return an icon of napari's in a colour.

    Parameters
    ----------
    name : str
        Such as 'visibility'.
    colour : QColor
    """
    drawing = get_colorized_svg(get_icon_path(name), colour.name())
    pixels = QPixmap()
    pixels.loadFromData(QByteArray(drawing.encode()), "svg")
    return QIcon(pixels)


class WrappedLabel(QLabel):
    """Text that wraps instead of making the dock wider."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setWordWrap(True)
        policy = self.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        self.setSizePolicy(policy)

    def show_text(self, text: str) -> None:
        """Show a text."""
        self.setText(text)
