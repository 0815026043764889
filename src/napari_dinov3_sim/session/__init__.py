"""Ring 3, napari layers without Qt: targets, clicks, planes and their heatmaps."""

from napari_dinov3_sim.session.layers.style import HeatmapStyle
from napari_dinov3_sim.session.session import SimilaritySession

__all__ = ["HeatmapStyle", "SimilaritySession"]
