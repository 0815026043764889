"""The panel that searches a folder or files: what, where to, what is written, how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, QStringListModel, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListView,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinov3_sim.widget.views.common import ElidedLabel, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STEPS = 1000
"""Of the bar of progress."""

NO_FILES = "No images are chosen yet."

LIST_HEIGHT = 120


class FileSearchPanel(QDialog):
    """A window of its own beside napari's, which can go on while it is open.

    Parameters
    ----------
    outputs : sequence of (name, label, tip)
        What can be written.
    parent : QWidget, optional
        Above which it is shown.

    Attributes
    ----------
    folder_clicked, files_clicked, out_clicked : Signal()
    start_clicked, resume_clicked, cancel_clicked : Signal()
    matches_clicked, open_clicked, command_clicked, script_clicked : Signal()
    """

    folder_clicked = Signal()
    files_clicked = Signal()
    out_clicked = Signal()
    start_clicked = Signal()
    resume_clicked = Signal()
    cancel_clicked = Signal()
    matches_clicked = Signal()
    open_clicked = Signal()
    command_clicked = Signal()
    script_clicked = Signal()

    def __init__(
        self, outputs: Sequence[tuple[str, str, str]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Search a folder or files")
        self.folder_button = QPushButton("Choose folder…")
        self.files_button = QPushButton("Choose files…")
        self.count = ElidedLabel(NO_FILES)
        self._names = QStringListModel()
        self.list = QListView()
        self.out = ElidedLabel()
        self.out_button = QPushButton("Change…")
        self.checks = {name: QCheckBox(label) for name, label, _ in outputs}
        self.bar = QProgressBar()
        self.message = Message(lines=3)
        self.start_button = QPushButton("Start")
        self.resume_button = QPushButton("Resume")
        self.cancel_button = QPushButton("Cancel")
        self.matches_button = QPushButton("Show matches")
        self.open_button = QPushButton("Open folder")
        self.command_button = QPushButton("Copy as command")
        self.script_button = QPushButton("Copy as script")
        self._build()
        self._explain(outputs)
        self._connect()

    def _build(self) -> None:
        self.list.setModel(self._names)
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.list.setFixedHeight(LIST_HEIGHT)
        self.bar.setRange(0, STEPS)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)  # Enter in the window starts nothing
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        layout.addWidget(QLabel("Images, searched with the query, model and thresholds of now:"))
        layout.addLayout(_row(self.folder_button, self.files_button, self.count, stretch=2))
        layout.addWidget(self.list)
        layout.addLayout(_row(QLabel("Results go to"), self.out, self.out_button, stretch=1))
        checks = QGridLayout()
        for number, check in enumerate(self.checks.values()):
            checks.addWidget(check, number // 4, number % 4)
        layout.addLayout(checks)
        layout.addWidget(self.bar)
        layout.addWidget(self.message)
        layout.addLayout(_row(self.start_button, self.resume_button, self.cancel_button))
        layout.addLayout(_row(self.matches_button, self.open_button))
        layout.addWidget(
            QLabel("The same again, for these images, or for the open ones if none are chosen:")
        )
        layout.addLayout(_row(self.command_button, self.script_button))
        self.setMinimumWidth(460)

    def _explain(self, outputs: Sequence[tuple[str, str, str]]) -> None:
        for name, _, tip in outputs:
            self.checks[name].setToolTip(tip)
        tips = {
            self.folder_button: "Search all images in a folder; they need not be open",
            self.files_button: "Search some files; they need not be open",
            self.out_button: "Choose another folder for the results, or one whose search was "
            "stopped",
            self.start_button: "Search the images in a process of its own; you can work on",
            self.resume_button: "Go on with the search whose results are in this folder, as it "
            "was started; what is done is not computed again",
            self.cancel_button: "Stop the search; the images that are done stay, and it can be "
            "resumed",
            self.matches_button: "Show the best places of all these images in the gallery",
            self.open_button: "Open the folder of the results",
            self.command_button: "Save the query, and copy a command line that searches the "
            "chosen files in the same way; without any, the images that are open from files",
            self.script_button: "Save the query, and copy a Python script that searches the "
            "chosen files in the same way; without any, the images that are open from files",
        }
        for button, tip in tips.items():
            button.setToolTip(tip)
            button.setAccessibleName(button.text().rstrip("…"))
        self.out_button.setAccessibleName("Change the folder of results")
        self.list.setAccessibleName("Images to search")
        self.list.setToolTip("The images that will be searched")
        self.bar.setAccessibleName("Progress of the search")
        self.bar.setToolTip("How far the search is")

    def _connect(self) -> None:
        self.folder_button.clicked.connect(self.folder_clicked)
        self.files_button.clicked.connect(self.files_clicked)
        self.out_button.clicked.connect(self.out_clicked)
        self.start_button.clicked.connect(self.start_clicked)
        self.resume_button.clicked.connect(self.resume_clicked)
        self.cancel_button.clicked.connect(self.cancel_clicked)
        self.matches_button.clicked.connect(self.matches_clicked)
        self.open_button.clicked.connect(self.open_clicked)
        self.command_button.clicked.connect(self.command_clicked)
        self.script_button.clicked.connect(self.script_clicked)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is ticked to be written."""
        return tuple(name for name, check in self.checks.items() if check.isChecked())

    def tick(self, outputs: Iterable[str]) -> None:
        """Tick what is to be written."""
        chosen = set(outputs)
        for name, check in self.checks.items():
            with QSignalBlocker(check):
                check.setChecked(name in chosen)

    def show_files(self, text: str, names: Sequence[str]) -> None:
        """Show how many images there are, and what they are called."""
        self.count.show_text(text)
        self._names.setStringList(list(names))

    def show_out(self, path: str) -> None:
        """Show where the results go."""
        self.out.show_text(path)

    def show_progress(self, fraction: float, sentence: str) -> None:
        """Show how far the search is, and what there is to say."""
        self.bar.setValue(round(STEPS * fraction))
        self.message.show_text(sentence)

    def enable(self, *, start: bool, resume: bool, cancel: bool, results: bool) -> None:
        """Enable the buttons that do something now; what is chosen stays while it is searched."""
        self.start_button.setEnabled(start)
        self.resume_button.setEnabled(resume)
        self.cancel_button.setEnabled(cancel)
        for button in (self.matches_button, self.open_button):
            button.setEnabled(results)
        for widget in (self.folder_button, self.files_button, self.out_button):
            widget.setEnabled(not cancel)
        for check in self.checks.values():
            check.setEnabled(not cancel)


def _row(*widgets: QWidget, stretch: int = -1) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for number, widget in enumerate(widgets):
        row.addWidget(widget, int(number == stretch))
        if isinstance(widget, QLabel):
            widget.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return row
