"""Measurements as the features of a Labels layer, which napari shows under the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.layers.label_features import INDEX, TRACK, features_by_label

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.objects.object_table import ObjectTable


def track_column(layer: Labels, labels: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the track of each label, NaN without one; None if nothing was followed.

    Parameters
    ----------
    layer : napari.layers.Labels
    labels : ndarray of int, shape (n,)
    """
    features = layer.features
    if TRACK not in features.columns or INDEX not in features.columns:
        return None
    found = features_by_label(layer)[TRACK].reindex(labels).to_numpy(float)
    return np.where(found > 0, found, np.nan)


def show_features(layer: Labels, table: ObjectTable, made: frozenset[str]) -> frozenset[str]:
    """Give a layer a row of features for each label; return the names of the columns.

    Parameters
    ----------
    layer : napari.layers.Labels
    table : ObjectTable
        With the column ``label``; of several rows for a label, the first counts.
    made : frozenset of str
        The columns that were made here before. All others are the user's, or another plugin's,
        and stay, for the labels that there still are.
    """
    labels, first = np.unique(table.columns["label"], return_index=True)
    columns: dict[str, Any] = {INDEX: labels.astype(np.int64)}
    columns |= {n: c[first] for n, c in table.columns.items() if n != "label"}
    columns |= _kept(layer, labels, made | columns.keys())
    layer.features = columns
    return frozenset(columns)


def _kept(layer: Labels, labels: Any, ours: frozenset[str]) -> dict[str, Any]:
    """Return the columns of others, by label."""
    others = [name for name in layer.features.columns if name not in ours]
    if not others:
        return {}
    by_label = features_by_label(layer).reindex(labels)
    return {name: by_label[name].to_numpy() for name in others}
