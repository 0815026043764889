"""Sections of the dock, which fold, in an area that scrolls."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QPoint, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QScrollArea,
    QScrollBar,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)


class Section(QWidget):
    """Widgets under a heading; a click on it hides or shows them.

    Parameters
    ----------
    title : str
    *widgets : QWidget
    folded : bool, optional
        Whether the widgets are hidden to begin with.

    Attributes
    ----------
    unfolded : Signal(object)
        The section itself: its widgets are to be seen.
    """

    unfolded = Signal(object)

    def __init__(self, title: str, *widgets: QWidget, folded: bool = False) -> None:
        super().__init__()
        self.heading = QToolButton()
        self.body = QWidget()
        self._build(title, widgets)
        self.heading.toggled.connect(self._on_toggled)
        self.heading.setChecked(not folded)
        self._on_toggled(not folded)

    def _build(self, title: str, widgets: tuple[QWidget, ...]) -> None:
        heading = self.heading
        heading.setText(title)
        heading.setCheckable(True)
        heading.setAutoRaise(True)
        heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        inner = QVBoxLayout(self.body)
        inner.setContentsMargins(6, 0, 0, 6)
        inner.setSpacing(4)
        for widget in widgets:
            inner.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(heading)
        layout.addWidget(self.body)

    @property
    def folded(self) -> bool:
        """Whether the widgets are hidden."""
        return not self.heading.isChecked()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a width that does not change with folding, so that the dock stays as it is."""
        hint = super().minimumSizeHint()
        return QSize(max(hint.width(), self.body.minimumSizeHint().width()), hint.height())

    def unfold(self) -> None:
        """Show the widgets, also where they have been scrolled out of sight."""
        if self.folded:
            self.heading.setChecked(True)
        else:
            self.unfolded.emit(self)

    def _on_toggled(self, unfolded: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow
        self.heading.setArrowType(arrow)
        self.body.setVisible(unfolded)
        if unfolded:
            self.unfolded.emit(self)


HEIGHT = 640
"""Of the dock where there is room, in screen pixels; the rest is scrolled to."""


class Scroll(QScrollArea):
    """Scrolls up and down only: it is as wide as what it shows needs.

    A section that is unfolded is scrolled to, as far as it is out of sight. The wheel turns no
    choice or number that it comes across, but one that has the focus.

    Parameters
    ----------
    content : QWidget
        With all that will ever be in it.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self._content, self._guard = content, WheelGuard(self)
        self._unfolded: Section | None = None
        self._revealing = QTimer(self)
        self._revealing.setSingleShot(True)
        self._revealing.setInterval(0)
        self._revealing.timeout.connect(self._reveal)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        for section in content.findChildren(Section):
            section.unfolded.connect(self._on_unfolded)
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

    def _on_unfolded(self, section: Section) -> None:
        """Have it revealed once Qt has laid it out."""
        self._unfolded = section
        self._revealing.start()

    def _reveal(self) -> None:
        """Scroll as little as need be, and a section that is higher than the view to its top."""
        section, self._unfolded = self._unfolded, None
        if section is None:
            return
        top = section.mapTo(self._content, QPoint(0, 0)).y()
        bar, view = self.verticalScrollBar(), self.viewport().height()
        bar.setValue(min(top, max(bar.value(), top + section.height() - view)))

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
