"""Features of Labels layers: a row for each label, as napari finds it.

The columns that are made here are noted in the mark of the layer, each with the checksum of the
labels that it was made of: once these are others, their numbers belong to other objects. All other
columns are the user's, or another plugin's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.objects.object_table import is_text
from napari_dinov3_sim.session.layer_metadata import mark_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari.layers import Labels
    from numpy.typing import NDArray

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


def one_row_each(
    labels: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Return each label once, and its values: nothing where those of its rows differ.

    Nothing is NaN in numbers, and an empty text.
    """
    known, first, row = np.unique(labels, return_index=True, return_inverse=True)
    found = {}
    for name, values in columns.items():
        nothing: Any = "" if is_text(values) else np.nan
        differs = np.zeros(len(known), bool)
        differs[row[values != values[first][row]]] = True  # NaN does from NaN, and stays NaN
        found[name] = np.where(differs, nothing, values[first]) if differs.any() else values[first]
    return known, found


def made_columns(layer: Labels) -> dict[str, int]:
    """Return the columns that were made here, each with the checksum of its labels."""
    mark = mark_of(layer, "result") or {}
    return dict(mark.get("made", {}))


def note_columns(layer: Labels, made: Mapping[str, int]) -> None:
    """Note the columns that were made here, in place of those that were noted before."""
    mark = mark_of(layer, "result")
    if mark is not None:
        mark["made"] = dict(made)


def stale_columns(layer: Labels, number: int) -> set[str]:
    """Return the columns that were made here of other labels than those with a checksum."""
    return {name for name, other in made_columns(layer).items() if other != number}


def drop_columns(layer: Labels, names: Collection[str]) -> None:
    """Take columns that were made here from a layer; those of others stay."""
    gone = [name for name in layer.features.columns if name in names]
    note_columns(layer, {n: c for n, c in made_columns(layer).items() if n not in names})
    if gone:
        rest = layer.features.drop(columns=gone)
        # Labels alone say nothing.
        layer.features = rest if set(rest.columns) - {INDEX} else {}
