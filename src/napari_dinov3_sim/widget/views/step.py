"""The numbered steps of the dock, in an area that scrolls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPoint, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QScrollBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Step(QWidget):
    """A numbered step of the dock: a heading, what is used often, and the rest behind *Advanced*.

    Parameters
    ----------
    number : int
    title : str
    *widgets : QWidget
        What is always to be seen.
    advanced : sequence of QWidget
        What is used rarely, hidden to begin with.

    Attributes
    ----------
    opened : Signal(object)
        The step itself: its rarer choices have just been shown.
    """

    opened = Signal(object)

    def __init__(
        self, number: int, title: str, *widgets: QWidget, advanced: Sequence[QWidget]
    ) -> None:
        super().__init__()
        self.heading = QLabel(f"{number}  {title}")
        self.button = QToolButton()
        self.advanced = QWidget()
        self._build(widgets, advanced)
        self.button.setAccessibleName(f"Advanced: {title}")
        self.button.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def _build(self, widgets: Sequence[QWidget], advanced: Sequence[QWidget]) -> None:
        font = self.heading.font()
        font.setBold(True)
        self.heading.setFont(font)
        button = self.button
        button.setText("Advanced")
        button.setToolTip("Show or hide what is needed rarely")
        button.setCheckable(True)
        button.setAutoRaise(True)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        row = QHBoxLayout()
        row.addWidget(self.heading, 1)
        row.addWidget(button)
        _stack(QVBoxLayout(self.advanced), advanced, left=12)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        _stack(layout, (self.advanced, *widgets))

    @property
    def is_open(self) -> bool:
        """Whether the rarer choices are shown."""
        return self.button.isChecked()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a width that stays when *Advanced* is opened, so that the dock stays as it is."""
        hint = super().minimumSizeHint()
        return QSize(max(hint.width(), self.advanced.minimumSizeHint().width()), hint.height())

    def open(self) -> None:
        """Show the rarer choices, also where they have been scrolled out of sight."""
        if self.is_open:
            self.opened.emit(self)
        else:
            self.button.setChecked(True)

    def _on_toggled(self, is_open: bool) -> None:
        self.button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self.advanced.setVisible(is_open)
        if is_open:
            self.opened.emit(self)


def _stack(layout: QVBoxLayout, widgets: Sequence[QWidget], left: int = 0) -> None:
    layout.setContentsMargins(left, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        layout.addWidget(widget)


HEIGHT = 600
"""Of the dock where there is room, in screen pixels; all but *Advanced* fits into it."""


class Scroll(QScrollArea):
    """Scrolls up and down only: it is as wide as what it shows needs.

    A step whose *Advanced* is opened is scrolled to, as far as it is out of sight. The wheel
    turns no choice or number that it comes across, but one that has the focus.

    Parameters
    ----------
    content : QWidget
        With all that will ever be in it.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self._content, self._guard = content, WheelGuard(self)
        self._opened: Step | None = None
        self._revealing = QTimer(self)
        self._revealing.setSingleShot(True)
        self._revealing.setInterval(0)
        self._revealing.timeout.connect(self._reveal)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        for step in content.findChildren(Step):
            step.opened.connect(self._on_opened)
        for widget in content.findChildren(QWidget):
            if _turns_with_the_wheel(widget):
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # not by the wheel
                widget.installEventFilter(self._guard)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the least width at which nothing is cut off, and a low height."""
        return QSize(self._width(self._content.minimumSizeHint()), 120)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a height that fits on a small laptop's screen."""
        return QSize(self._width(self._content.sizeHint()), HEIGHT)

    def _on_opened(self, step: Step) -> None:
        """Have it revealed once Qt has laid it out."""
        self._opened = step
        self._revealing.start()

    def _reveal(self) -> None:
        """Scroll as little as need be, and to the top of what is higher than the view."""
        step, self._opened = self._opened, None
        if step is None:
            return
        top = step.mapTo(self._content, QPoint(0, 0)).y()
        height = step.advanced.mapTo(step, QPoint(0, 0)).y() + step.advanced.height()
        bar, view = self.verticalScrollBar(), self.viewport().height()
        bar.setValue(min(top, max(bar.value(), top + height - view)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Grow with the content, of which Qt learns late."""
        if watched is self._content and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def _width(self, hint: QSize) -> int:
        return hint.width() + self.verticalScrollBar().sizeHint().width()


class WheelGuard(QObject):
    """Lets the wheel pass from what has no focus to the scroll bar around it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Keep the wheel from a widget without focus."""
        if event.type() != QEvent.Type.Wheel or watched.hasFocus():  # type: ignore[attr-defined]
            return False
        event.ignore()
        return True


def _turns_with_the_wheel(widget: QWidget) -> bool:
    turns = isinstance(widget, QComboBox | QAbstractSlider | QAbstractSpinBox)
    return turns and not isinstance(widget, QScrollBar)
