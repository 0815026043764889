"""The parts of the dock, laid out."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.embed_row import EmbedRow
from napari_dinov3_sim.widget.heatmap_style import HeatmapStyle
from napari_dinov3_sim.widget.image_list import ImageList
from napari_dinov3_sim.widget.line import Paragraph
from napari_dinov3_sim.widget.model_picker import ModelPicker
from napari_dinov3_sim.widget.offer import BuiltinOffer
from napari_dinov3_sim.widget.query_row import QueryRow


class Views:
    """The parts, each of which knows nothing of the others."""

    def __init__(self) -> None:
        self.model = ModelPicker()
        self.offer = BuiltinOffer()
        self.images = ImageList()
        self.embed = EmbedRow()
        self.queries = QueryRow()
        self.style = HeatmapStyle()
        self.status = Paragraph()

    def lay_out(self, dock: QWidget) -> None:
        """Put the parts into the dock, in the order in which they are used."""
        layout = QVBoxLayout(dock)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(4)
        self._add_section(layout, "Model", self.model, self.offer)
        self._add_section(layout, "Images to search", self.images, self.embed)
        self._add_section(layout, "Query points", self.queries)
        self._add_section(layout, "Heatmaps", self.style)
        layout.addSpacing(4)
        layout.addWidget(self.status)
        layout.addStretch(1)

    def _add_section(self, layout: QVBoxLayout, title: str, *widgets: QWidget) -> None:
        label = QLabel(f"<b>{title}</b>")
        layout.addWidget(label)
        for widget in widgets:
            layout.addWidget(widget)
