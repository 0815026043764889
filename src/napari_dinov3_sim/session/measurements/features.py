"""Measurements as the features of a Labels layer, which napari shows under the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.layers.label_features import (
    INDEX,
    TRACK,
    features_by_label,
    made_columns,
    note_columns,
    one_row_each,
    stale_columns,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.objects.object_table import ObjectTable


def track_column(layer: Labels, labels: NDArray[Any], number: int) -> NDArray[np.float64] | None:
    """Return the track of each label, NaN without one; None if none of these was followed.

    Parameters
    ----------
    layer : napari.layers.Labels
    labels : ndarray of int, shape (n,)
    number : int
        Checksum of the labels of the layer.
    """
    features = layer.features
    if TRACK not in features.columns or INDEX not in features.columns:
        return None
    if TRACK in stale_columns(layer, number):
        return None
    found = features_by_label(layer)[TRACK].reindex(labels).to_numpy(float)
    return np.where(found > 0, found, np.nan)


def has_features(layer: Labels, number: int) -> bool:
    """Whether a layer has measurements of the labels with a checksum."""
    made = made_columns(layer)
    return any(name != TRACK and made[name] == number for name in layer.features if name in made)


def show_features(layer: Labels, table: ObjectTable, number: int) -> None:
    """Give a layer a row of features for each label.

    Columns that were made here before go; all others are the user's, or another plugin's, and
    stay, for the labels that there still are. So do the tracks of these labels.

    Parameters
    ----------
    layer : napari.layers.Labels
    table : ObjectTable
        With the column ``label``. Where the rows of a label differ, as those of its planes do,
        the label has no value: napari has one row for it, on all planes.
    number : int
        Checksum of the labels that were measured.
    """
    labels, own = one_row_each(table.columns["label"], table.columns)
    del own["label"]
    before = made_columns(layer)
    tracks = {TRACK: number} if before.get(TRACK) == number else {}
    gone = {INDEX, *own, *before} - tracks.keys()
    layer.features = {INDEX: labels.astype(np.int64), **own, **_kept(layer, labels, gone)}
    note_columns(layer, {**dict.fromkeys(own, number), **tracks})


def _kept(layer: Labels, labels: Any, gone: Collection[str]) -> dict[str, Any]:
    """Return the columns that stay, by label."""
    others = [name for name in layer.features.columns if name not in gone]
    if not others:
        return {}
    by_label = features_by_label(layer).reindex(labels)
    return {name: by_label[name].to_numpy() for name in others}
