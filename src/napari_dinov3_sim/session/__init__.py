"""Ring 3, the plugin without Qt: it follows a napari viewer and shows heatmaps in it.

May import `core/`, `store/`, `backbones/`, and napari's layers and viewer model. Each folder in it
may import those before it: `images`, `embedding` and `answering`, `layers`, `interaction`,
`query`, `results`.
"""

from napari_dinov3_sim.session.layers.style import HeatmapStyle
from napari_dinov3_sim.session.session import SimilaritySession

__all__ = ["HeatmapStyle", "SimilaritySession"]
