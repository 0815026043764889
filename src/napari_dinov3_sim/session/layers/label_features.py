"""Features of Labels layers: a row for each label, as napari finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Labels

INDEX = "index"
"""napari finds the features of a label by this column; the background needs no row."""

TRACK = "track"
"""The number of the track that an object belongs to, once objects were followed."""


def features_by_label(layer: Labels) -> Any:
    """Return the features of a layer, a data frame, by label; of several rows the first."""
    features = layer.features
    # Without an index, napari takes the number of a row for its label.
    by_label = features.set_index(INDEX) if INDEX in features.columns else features
    return by_label[~by_label.index.duplicated()]
