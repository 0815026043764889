"""All views of the dock, laid out in sections."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dinov3_sim.widget.views.combination import CombinationChoice, QueryFilesRow, RegionRow
from napari_dinov3_sim.widget.views.common import WrappedLabel
from napari_dinov3_sim.widget.views.heatmaps import HeatmapControls
from napari_dinov3_sim.widget.views.images import EmbedRow, ImageList, ImageOptions
from napari_dinov3_sim.widget.views.model import BuiltinOffer, ModelPicker
from napari_dinov3_sim.widget.views.query import ClassList, NavigationRow, QueryRow
from napari_dinov3_sim.widget.views.results import MatchRow, ResultsPanel
from napari_dinov3_sim.widget.views.section import Scroll, Section


class Views:
    """The parts, each of which knows nothing of the others."""

    def __init__(self) -> None:
        self.model = ModelPicker()
        self.offer = BuiltinOffer()
        self.images = ImageList()
        self.embed = EmbedRow()
        self.options = ImageOptions()
        self.queries = QueryRow()
        self.classes = ClassList()
        self.combination = CombinationChoice()
        self.navigation = NavigationRow()
        self.regions = RegionRow()
        self.style = HeatmapControls()
        self.results = ResultsPanel()
        self.matches = MatchRow()
        self.files = QueryFilesRow()
        self.status = WrappedLabel()
        self.sections = self._make_sections()

    def _make_sections(self) -> dict[str, Section]:
        return {
            "Model": Section("Model", self.model, self.offer),
            "Images": Section("Images to search", self.images, self.embed, self.options),
            "Query": Section("Query", self.queries, self.classes, self.navigation),
            "Combination": Section(
                "Combination, regions, files",
                self.combination,
                self.regions,
                self.files,
                folded=True,
            ),
            "Heatmaps": Section("Heatmaps", self.style),
            "Results": Section("Results", self.results, self.matches, folded=True),
        }

    def lay_out(self, dock: QWidget) -> None:
        """Put the parts into the dock, in the order in which they are used."""
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(4, 2, 4, 2)
        column.setSpacing(2)
        for section in self.sections.values():
            column.addWidget(section)
        column.addStretch(1)
        layout = QVBoxLayout(dock)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(Scroll(content), 1)
        layout.addWidget(self.status)
