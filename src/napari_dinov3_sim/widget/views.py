"""The parts of the dock, laid out."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dinov3_sim.widget.combination_choice import CombinationChoice
from napari_dinov3_sim.widget.embed_row import EmbedRow
from napari_dinov3_sim.widget.heatmap_style import HeatmapStyle
from napari_dinov3_sim.widget.image_list import ImageList
from napari_dinov3_sim.widget.image_options import ImageOptions
from napari_dinov3_sim.widget.kind_list import KindList
from napari_dinov3_sim.widget.line import Paragraph
from napari_dinov3_sim.widget.look_around import LookAround
from napari_dinov3_sim.widget.match_row import MatchRow
from napari_dinov3_sim.widget.model_picker import ModelPicker
from napari_dinov3_sim.widget.offer import BuiltinOffer
from napari_dinov3_sim.widget.query_files_row import QueryFilesRow
from napari_dinov3_sim.widget.query_row import QueryRow
from napari_dinov3_sim.widget.region_row import RegionRow
from napari_dinov3_sim.widget.results_panel import ResultsPanel
from napari_dinov3_sim.widget.scroll import Scroll
from napari_dinov3_sim.widget.section import Section


class Views:
    """The parts, each of which knows nothing of the others."""

    def __init__(self) -> None:
        self.model = ModelPicker()
        self.offer = BuiltinOffer()
        self.images = ImageList()
        self.embed = EmbedRow()
        self.options = ImageOptions()
        self.queries = QueryRow()
        self.kinds = KindList()
        self.combination = CombinationChoice()
        self.look = LookAround()
        self.regions = RegionRow()
        self.style = HeatmapStyle()
        self.results = ResultsPanel()
        self.matches = MatchRow()
        self.files = QueryFilesRow()
        self.status = Paragraph()
        self.sections = self._make_sections()

    def _make_sections(self) -> dict[str, Section]:
        return {
            "Model": Section("Model", self.model, self.offer),
            "Images": Section("Images to search", self.images, self.embed, self.options),
            "Query": Section("Query", self.queries, self.kinds, self.look),
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
