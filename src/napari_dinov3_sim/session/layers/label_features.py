"""Features of Labels layers: a row for each label, as napari finds it.

The columns that are made here are noted in the mark of the layer, each with the checksum of the
labels that it was made of: once these are others, their numbers belong to other objects. All other
columns are the user's, or another plugin's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.session.layer_metadata import mark_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
