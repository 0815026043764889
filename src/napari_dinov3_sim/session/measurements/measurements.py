"""Measurements of a session: the objects of all Labels layers of results, as one table."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.objects.object_table import ObjectTable, join_tables
from napari_dinov3_sim.core.objects.summary import summarise_objects
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.images.transforms import plane_transform
from napari_dinov3_sim.session.interaction.best_match import look_at
from napari_dinov3_sim.session.layers.label_features import TRACK
from napari_dinov3_sim.session.measurements.features import (
    has_features,
    show_features,
    track_column,
)
from napari_dinov3_sim.session.measurements.follow_labels import LabelsFollower
from napari_dinov3_sim.session.measurements.labels_layers import collect_labels, result_labels
from napari_dinov3_sim.session.measurements.measure_job import measure_labels
from napari_dinov3_sim.session.results.result_jobs import ResultJobs

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.measurements.measure_job import MeasuredLabels, MeasuredLayers
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Failure, Progress


class _MeasuredLayers:
    """The rows of several layers in one table.

    Parameters
    ----------
    parts : tuple of MeasuredLabels
    tracks : mapping of Hashable to ndarray, optional
        The track of each object, by the id of the layer.
    """

    def __init__(
        self,
        parts: tuple[MeasuredLabels, ...] = (),
        tracks: Mapping[Hashable, NDArray[np.float64]] | None = None,
    ) -> None:
        self.parts, self._tracks = parts, tracks or {}

    @cached_property
    def table(self) -> ObjectTable:
        """A row for each object."""
        return join_tables([self._table_of(part) for part in self.parts])

    def _table_of(self, part: MeasuredLabels) -> ObjectTable:
        tracks = self._tracks.get(part.labels.layer_id)
        if tracks is None:
            return part.table
        columns = {**part.table.columns, TRACK: tracks}
        return ObjectTable(columns, {**part.table.units, TRACK: ""})

    @cached_property
    def summary(self) -> ObjectTable:
        """A row for each image and class."""
        return summarise_objects(self.table, [part.area for part in self.parts])

    @cached_property
    def _starts(self) -> list[int]:
        """The first row of each part, and the number of rows."""
        return [0, *np.cumsum([len(part.found.table) for part in self.parts]).tolist()]

    def owner(self, row: int) -> tuple[MeasuredLabels, int]:
        """Return the part that a row belongs to, and its number there."""
        at = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self.parts[at], row - self._starts[at]

    def rows_of(self, layer_id: Hashable, label: int) -> list[int]:
        """Return the rows of a label of a layer."""
        for start, part in zip(self._starts, self.parts, strict=False):
            if part.labels.layer_id == layer_id:
                rows = np.flatnonzero(part.found.table.columns["label"] == label)
                return [int(row) + start for row in rows]
        return []


class Measurements:
    """Measures the objects of Labels layers; as ``session.measurements``.

    The Labels layers that `Results.labels` makes are measured as they are now, also where they
    were painted in. Work is done in the background, see `SimilaritySession.wait`. What is
    measured are also the layers' features, which napari shows under the mouse.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    fail : callable
        Bound method, called with every `Failure`.

    Attributes
    ----------
    changed : psygnal.Signal
        There is another table, or the one there is has gone out of date.
    selected : psygnal.Signal of int
        The row of the label that was picked in a Labels layer.
    done : psygnal.Signal of str
        A sentence when a file is written.
    progressed : psygnal.Signal
        The `Progress` of what takes long, and None at the end.
    """

    changed = Signal()
    selected = Signal(int)
    done = Signal(str)
    progressed = Signal(object)

    def __init__(self, scene: Scene, runner: Runner, fail: Callable[[Failure], None]) -> None:
        self._scene, self._fail = scene, fail
        self._work = ResultJobs(
            runner, self._on_failed, self._on_done, self._on_progress, lane="analysis"
        )
        self._objects = _MeasuredLayers()
        self._is_measured = self._is_stale = False
        self._by_plane = False
        self._follower = LabelsFollower(
            scene.viewer, self._on_listed, self._become_stale, self._on_label_selected
        )
        self.seconds = 0.0
        """How long it took the last time."""

    # -- what there is ---------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return self._work.pending

    @property
    def table(self) -> ObjectTable:
        """A row for each object, by image and class; without columns before `measure`.

        See `core.objects.measure.measure_objects` for what is measured; ``image``, ``class``, and
        the place of the plane in its stack are in front of it. Objects that were followed, see
        `Tracking`, have the number of their ``track`` at the end.
        """
        return self._objects.table

    @property
    def summary(self) -> ObjectTable:
        """How many objects each image has of each class, how dense they are and how large."""
        return self._objects.summary

    @property
    def outdated(self) -> bool:
        """Whether Labels, images or scores have changed since they were measured."""
        return self._is_measured and self._is_stale

    @property
    def can_measure(self) -> bool:
        """Whether there are Labels to be measured."""
        return bool(result_labels(self._scene.viewer))

    # -- measuring -------------------------------------------------------------------------------

    def measure(self, *, by_plane: bool | None = None) -> None:
        """Measure all objects; what has not changed since the last time is not measured again.

        Parameters
        ----------
        by_plane : bool, optional
            Whether the planes of an object that goes through several have rows of their own. By
            default as the last time; at first such an object is one volume, if the axis through
            the planes is a length and not a time.

        Raises
        ------
        SimilarityError
            There are no Labels.
        """
        if by_plane is not None:
            self._by_plane = by_plane
        wanted = collect_labels(self._scene)
        if not wanted:
            raise SimilarityError("There are no objects to measure yet; press Make Labels first.")
        self._follower.follow(result_labels(self._scene.viewer))
        self._is_stale = False
        known = {part.labels.layer_id: part for part in self._objects.parts}
        self._work.start_long(
            "table",
            "Measuring objects",
            partial(measure_labels, wanted, known, self._by_plane),
            self._take,
            lambda _: "",
        )

    def _take(self, measured: MeasuredLayers) -> bool:
        """Show what was measured of the layers that are still there."""
        layers = {layer.unique_id: layer for layer in self._scene.viewer.layers}
        parts = tuple(part for part in measured.parts if part.labels.layer_id in layers)
        before = set(self._objects.parts)
        self.seconds, self._is_measured = measured.seconds, True
        for part in parts:
            layer = layers[part.labels.layer_id]
            if part not in before or not has_features(layer, part.checksum):
                show_features(layer, part.found.table, part.checksum)
        self._objects = self._with_tracks(parts)
        self.changed.emit()
        return True

    def _with_tracks(self, parts: tuple[MeasuredLabels, ...]) -> _MeasuredLayers:
        tracks = {}
        for part in parts:
            layer = self._layer(part.labels.layer_id)
            labels = part.found.table.columns.get("label")
            if layer is None or labels is None:
                continue
            found = track_column(layer, labels, part.checksum)
            if found is not None:
                tracks[part.labels.layer_id] = found
        return _MeasuredLayers(parts, tracks)

    def note_tracks(self) -> None:
        """Take the tracks of objects that were followed since into the table."""
        if self._is_measured:
            self._objects = self._with_tracks(self._objects.parts)
            self.changed.emit()

    def cancel(self) -> None:
        """Give up measuring; the table stays as it was."""
        if self._work.pending:
            self._work.stop("table")
            self._become_stale()

    def note_changes(self) -> None:
        """Notice that an image or a class has another name, or that there are other scores."""
        if not self._is_measured or self._is_stale:
            return
        now = [(labels.layer_id, labels.basis) for labels in collect_labels(self._scene)]
        if now != [(part.labels.layer_id, part.labels.basis) for part in self._objects.parts]:
            self._become_stale()

    def _on_listed(self) -> None:
        """Notice which Labels have come and gone; what is gone has no rows any more."""
        present = {layer.unique_id for layer in result_labels(self._scene.viewer)}
        if present == self._follower.followed:
            return
        parts = tuple(p for p in self._objects.parts if p.labels.layer_id in present)
        if len(parts) < len(self._objects.parts):
            self._objects = self._with_tracks(parts)
        # Also where it was out of date before: whether there is anything to measure may be new.
        self._is_stale = True
        self.changed.emit()

    def _become_stale(self) -> None:
        if not self._is_stale:
            self._is_stale = True
            self.changed.emit()

    # -- going there -----------------------------------------------------------------------------

    def go_to(self, row: int) -> None:
        """Move sliders and view to an object, and select its label in its layer.

        Parameters
        ----------
        row : int
            Of `table`.

        Raises
        ------
        SimilarityError
            There is no such row, or its layer has been removed.
        """
        if not 0 <= row < len(self.table):
            raise SimilarityError(f"There is no object {row} in the table; measure again.")
        part, at = self._objects.owner(row)
        layer = self._layer(part.labels.layer_id)
        if layer is None:
            raise SimilarityError("The Labels of this object were removed; measure again.")
        viewer = self._scene.viewer
        axes = part.labels.stack.axes
        place = plane_transform(layer, axes, viewer.layers.units)
        world = place.to_world(part.found.centroids[at])
        if np.isfinite(world).all():
            look_at(viewer, world)
        label = int(part.found.table.columns["label"][at])
        with self._follower.unheard(layer):
            layer.selected_label = label

    def row_at(self, layer: Labels, label: int) -> int | None:
        """Return the row of a label: of several, that of the plane which is shown."""
        rows = self._objects.rows_of(layer.unique_id, label)
        if len(rows) < 2:
            return rows[0] if rows else None
        viewer = self._scene.viewer
        point = np.array(viewer.dims.point, float)
        part, _ = self._objects.owner(rows[0])
        place = plane_transform(layer, part.labels.stack.axes, viewer.layers.units)
        shown = np.round(place.to_data(point))[part.labels.stack.others]
        centroids = np.array([part.found.centroids[self._objects.owner(r)[1]] for r in rows])
        distance = np.abs(centroids[:, part.labels.stack.others] - shown).sum(axis=1)
        return rows[int(np.argmin(distance))]

    def _on_label_selected(self, layer: Labels) -> None:
        row = self.row_at(layer, int(layer.selected_label))
        if row is not None:
            self.selected.emit(row)

    def _layer(self, layer_id: Hashable) -> Any | None:
        layers = self._scene.viewer.layers
        return next((layer for layer in layers if layer.unique_id == layer_id), None)

    # -- files -----------------------------------------------------------------------------------

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table of objects to a CSV file; the names of columns end in their units.

        Parameters
        ----------
        path : path-like
            The folder must exist.

        Raises
        ------
        SimilarityError
            Nothing has been measured. That the file cannot be written is a failure of the session.
        """
        self._save("csv", self.table, path, "object")

    def save_summary_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the summary to a CSV file, see `save_csv`."""
        self._save("summary", self.summary, path, "row")

    def _save(
        self, name: str, table: ObjectTable, path: str | os.PathLike[str], noun: str
    ) -> None:
        if not self._is_measured:
            raise SimilarityError("Nothing has been measured yet; call measure() first.")
        target = Path(path).absolute()  # a script may go elsewhere before it is written
        sentence = f"{plural(len(table), noun)} saved to {target}."
        self._work.start(name, partial(_write, table, target), _of_use, lambda _: sentence)

    def close(self) -> None:
        """Stop listening and working."""
        self._work.stop_all()
        self._follower.close()

    def _on_done(self, sentence: str) -> None:
        if sentence:
            self.done.emit(sentence)
        else:  # measured, and nothing is on its way any more
            self.changed.emit()

    def _on_failed(self, failure: Failure) -> None:
        self._become_stale()
        self._fail(failure)

    def _on_progress(self, progress: Progress | None) -> None:
        self.progressed.emit(progress)


def _write(table: ObjectTable, path: Path) -> Iterator[Path]:
    from napari_dinov3_sim.store.object_csv import save_objects

    yield save_objects(table, path)


def _of_use(_: object) -> bool:
    return True
