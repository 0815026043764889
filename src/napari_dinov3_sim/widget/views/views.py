"""All views of the dock, laid out in three steps."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QFrame, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.views.combination import CombinationChoice, QueryFilesRow, RegionRow
from napari_dinov3_sim.widget.views.common import Message
from napari_dinov3_sim.widget.views.heatmaps import HeatmapControls
from napari_dinov3_sim.widget.views.images import EmbedRow, ImageList, ImageOptions, ProjectRow
from napari_dinov3_sim.widget.views.model import BuiltinOffer, ModelPicker
from napari_dinov3_sim.widget.views.query import ClassList, NavigationRow, SignRow, SourceRow
from napari_dinov3_sim.widget.views.results import (
    MatchRow,
    ObjectOptionsForm,
    ResultOptions,
    ResultsPanel,
    StateRow,
)
from napari_dinov3_sim.widget.views.step import Scroll, Step


class Views:
    """The parts, each of which knows nothing of the others."""

    def __init__(self) -> None:
        self.model = ModelPicker()
        self.offer = BuiltinOffer()
        self.images = ImageList()
        self.embed = EmbedRow()
        self.options = ImageOptions()
        self.model.add(self.options.all_planes)
        self.project = ProjectRow()
        self.classes = ClassList()
        self.signs = SignRow()
        self.hint = Message(lines=2)
        self.source = SourceRow()
        self.combination = CombinationChoice()
        self.regions = RegionRow()
        self.files = QueryFilesRow()
        self.suggest_button = QPushButton("Suggest classes…")
        self.suggest_button.setToolTip(
            "See what there is in the ticked images, and make some of it classes without a click"
        )
        self.suggest_button.setAccessibleName("Suggest classes")
        self.state = StateRow()
        self.results = ResultsPanel()
        self.navigation = NavigationRow()
        self.style = HeatmapControls()
        self.outlines = QCheckBox("Outline clicked patches")
        self.outlines.setToolTip("Outline the patches that your points lie in")
        self.object_options = ObjectOptionsForm()
        self.result_options = ResultOptions()
        self.matches = MatchRow()
        self._images_or_offer = QStackedWidget()
        self._images_or_offer.setFixedHeight(self.images.height())
        self._images_or_offer.addWidget(self.images)
        self._images_or_offer.addWidget(self.offer)
        self.steps = self._make_steps()
        for step in self.steps:
            step.opened.connect(self._on_opened)

    def _make_steps(self) -> tuple[Step, Step, Step]:
        images = Step(
            1,
            "Images and model",
            self._images_or_offer,
            self.model,
            self.embed,
            advanced=(self.model.details, self.options, self.project),
        )
        query = Step(
            2,
            "What to find",
            self.classes,
            self.signs,
            self.hint,
            advanced=(
                self.suggest_button,
                self.source,
                self.combination,
                self.regions,
                self.files,
            ),
        )
        found = Step(
            3,
            "What was found",
            self.state,
            self.results,
            self.navigation,
            advanced=(
                self.style,
                self.outlines,
                self.object_options,
                self.result_options,
                self.matches,
            ),
        )
        return images, query, found

    def _on_opened(self, opened: Step) -> None:
        """Keep the dock short: the rarer choices of one step at a time."""
        for step in self.steps:
            if step is not opened:
                step.button.setChecked(False)

    def show_offer(self, reason: str) -> None:
        """Offer the built-in model in the place of the list of images."""
        self.offer.offer(reason)
        self._images_or_offer.setCurrentWidget(self.offer)

    def hide_offer(self) -> None:
        """Show the list of images again."""
        self._images_or_offer.setCurrentWidget(self.images)

    def show_outlines(self, outlined: bool) -> None:
        """Show whether patches are outlined, without reporting it as a choice."""
        with QSignalBlocker(self.outlines):
            self.outlines.setChecked(outlined)

    def show_lists_on(self, colour: str) -> None:
        """Give the lists the background that napari's own lists have in its theme."""
        for tree in (self.images, self.classes):
            tree.setStyleSheet(f"QTreeWidget {{ background-color: {colour}; }}")

    def lay_out(self, dock: QWidget) -> None:
        """Put the steps into the dock."""
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(4, 0, 4, 2)
        column.setSpacing(4)
        for step in self.steps:
            if step is not self.steps[0]:
                column.addWidget(_line())
            column.addWidget(step)
        column.addStretch(1)
        layout = QVBoxLayout(dock)
        layout.setContentsMargins(4, 0, 4, 2)
        layout.addWidget(Scroll(content), 1)


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    line.setStyleSheet("background-color: gray;")
    return line
