"""Layers of tracks: lines over the image, and labels with the numbers of tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.images.patch_array import LayerData
from napari_dinov3_sim.session.layers.label_features import (
    INDEX,
    TRACK,
    features_by_label,
    made_columns,
    note_columns,
    one_row_each,
)
from napari_dinov3_sim.session.results.computations import checksum
from napari_dinov3_sim.session.results.result_layers import ResultLayers

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.layers import Image, Labels, Tracks
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.tracking.follow_job import FoundTracks

TAIL = 10
"""Frames for which a track is seen behind an object."""


class TrackLayers(ResultLayers):
    """Shows tracks over their images; see `ResultLayers` for what becomes of earlier ones."""

    def show(self, found: FoundTracks) -> bool:
        """Show tracks as two layers; return whether their image is still there.

        The objects' own labels get a feature ``track``.
        """
        image = self._image(found.asked.layer)
        if image is None:
            return False
        class_name, several = found.asked.class_name, found.asked.several
        if found.tracked is not None:
            self._show_labels(image, found, found.tracked)
        what = ("tracks", class_name)
        name = self._name(image, "tracks", class_name, several=several)
        layer: Any | None = self._unchanged(image, what)
        if layer is None or not len(found.rows):
            if layer is not None:
                self._scene.viewer.layers.remove(layer)
            layer = None if not len(found.rows) else _tracks_layer(found, name)
        else:
            layer.data = found.rows
            _fill(layer, found)
        if layer is not None:
            self._place(image, layer, what, checksum(layer.data), name)
        self._add_feature(found.asked.source, found)
        return True

    def _show_labels(self, image: Image, found: FoundTracks, tracked: NDArray[Any]) -> None:
        from napari.layers import Labels

        what = ("tracked objects", found.asked.class_name)
        data = LayerData(tracked, False, (0.0, float(found.count)))
        name = self._name(
            image, "tracked objects", found.asked.class_name, several=found.asked.several
        )
        layer = self._fitting(image, what, data)
        if layer is None:
            layer = Labels(tracked, name=name, opacity=0.6)
        self._place(image, layer, what, checksum(tracked), name)

    def _add_feature(self, source: Hashable, found: FoundTracks) -> None:
        """Give the objects' own labels the number of their track, beside what they have."""
        layers = [one for one in self._scene.viewer.layers if one.unique_id == source]
        if layers:
            tracks = {TRACK: found.rows[:, 0].astype(np.int64)}
            labels, own = one_row_each(found.labels, tracks)
            add_label_feature(layers[0], TRACK, labels, own[TRACK])
            note_columns(layers[0], {**made_columns(layers[0]), TRACK: found.checksum})


def add_label_feature(
    layer: Labels, name: str, labels: NDArray[np.int64], values: NDArray[Any]
) -> None:
    """Give the labels of a layer one more feature; all others stay.

    Parameters
    ----------
    layer : napari.layers.Labels
    name : str
    labels : ndarray of int, shape (n,)
        Ascending.
    values : ndarray, shape (n,)
    """
    known = features_by_label(layer)
    index = np.union1d(known.index.to_numpy(), labels) if len(known.columns) else labels
    table = known.drop(columns=[name], errors="ignore").reindex(index)
    own = np.zeros(len(index), values.dtype)
    own[np.searchsorted(index, labels)] = values
    columns = {column: table[column].to_numpy() for column in table.columns}
    layer.features = {INDEX: index, **columns, name: own}


def _tracks_layer(found: FoundTracks, name: str) -> Tracks:
    from napari.layers import Tracks

    layer = Tracks(found.rows, name=name, tail_length=TAIL, head_length=0, tail_width=3)
    _fill(layer, found)
    return layer


def _fill(layer: Tracks, found: FoundTracks) -> None:
    count = len(found.rows)
    layer.features = {
        "track_id": found.rows[:, 0].astype(np.int64),
        "class": np.full(count, found.asked.class_name, object),
        "label": found.labels,
        "area_px": found.areas,
        "score": found.scores,
    }
    layer.graph = {part: [whole] for part, whole in found.parents.items()}
