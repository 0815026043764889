"""Ring 4, the dock, with Qt. It shows what the session reports, calls it, and computes nothing.

May import all of `core/`, `store/`, `backbones/` and `session/`, napari and Qt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dinov3_sim.widget.dock import SimilarityWidget

__all__ = ["SimilarityWidget"]


def __getattr__(name: str) -> Any:
    if name != "SimilarityWidget":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_dinov3_sim.widget.dock import SimilarityWidget

    return SimilarityWidget
