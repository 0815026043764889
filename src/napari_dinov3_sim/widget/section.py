"""A heading that folds away what is under it."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget


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
