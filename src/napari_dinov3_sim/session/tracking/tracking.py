"""Following objects through the planes of a stack: from Labels layers to tracks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.images.planes import PlaneKey, level_ratios, levels_of
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.results.result_jobs import ResultJobs
from napari_dinov3_sim.session.tracking.follow_job import (
    FollowSettings,
    LabelledPlanes,
    find_tracks,
)
from napari_dinov3_sim.session.tracking.stack_axes import choose_axes
from napari_dinov3_sim.session.tracking.track_layers import TrackLayers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.session.images.planes import Plane
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.tracking.follow_job import FoundTracks
    from napari_dinov3_sim.session.worker_messages import Failure, StateHandle
    from napari_dinov3_sim.store import EmbeddingStore

PATCHES = 3.0
"""How far an object moves from one plane to the next at most, in sides of a patch."""

MOST_AXES = 4
"""napari draws tracks over images of so many axes."""


class Tracking:
    """Follows objects through time or depth; as ``session.tracking``.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    store : EmbeddingStore
    palette : Palette
    fail : callable
        Bound method, called with every `Failure`.
    is_outdated : callable
        Returns whether the Labels answer an older query or threshold.

    Attributes
    ----------
    done : psygnal.Signal of str
        A sentence when tracks are there.
    progressed : psygnal.Signal of Progress or None
        None at the end.
    """

    done = Signal(str)
    progressed = Signal(object)

    def __init__(
        self,
        scene: Scene,
        runner: Runner,
        store: EmbeddingStore,
        palette: Palette,
        *,
        fail: Callable[[Failure], None],
        is_outdated: Callable[[], bool],
    ) -> None:
        self._scene, self._store, self._is_outdated = scene, store, is_outdated
        self._palette, self._layers = palette, TrackLayers(scene, palette)
        self._work = ResultJobs(
            runner, fail, self.done.emit, self.progressed.emit, lane="analysis"
        )

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return self._work.pending

    def follow(
        self,
        *,
        class_name: str | None = None,
        axis: int | str | None = None,
        patches: float = PATCHES,
        max_distance: float | None = None,
        max_gap: int = 2,
        look: float = 1.0,
    ) -> None:
        """Find which objects of the planes of a stack are the same, in the background.

        The objects are those of the Labels layers that `Results.labels` has made, as they are
        now. Each is compared with those of the next plane by its place, its area and its mean
        embedding. There will be a Tracks layer over each image, a Labels layer *tracked objects*
        whose labels are the numbers of the tracks, and a feature ``track`` in the layer of the
        objects.

        Parameters
        ----------
        class_name : str, optional
            By default all classes, each for itself.
        axis : int or str, optional
            The axis of the image to follow along, by number or name. By default that of time, if
            one is called t or time, else the first that is not shown.
        patches : float, optional
            How far an object moves from one plane to the next at most, in sides of a patch.
        max_distance : float, optional
            The same in the units of the viewer, in place of `patches`.
        max_gap : int, optional
            Planes in which an object may be missing.
        look : float, optional
            Weight of the embeddings; 0 goes by place and area alone.

        Raises
        ------
        SimilarityError
            There are no objects, no stack, or no such axis; a number is out of range.
        """
        if not (patches > 0 and max_gap >= 0 and (max_distance is None or max_distance > 0)):
            raise SimilarityError(
                "Give a distance above 0, and a gap of at least 0 planes, to follow objects."
            )
        layers = self._labels(class_name)
        stacks = [pair for pair in layers if pair[1].ndim > 2]
        if not stacks:
            raise SimilarityError(
                "Objects are followed from plane to plane; open a stack, and make Labels of it."
            )
        settings = FollowSettings(axis, patches, max_distance, max_gap, look)
        several = len({mark["what"][1] for _, _, mark in stacks}) > 1
        asked = [
            replace(self._asked(labels, image, mark["what"][1], settings), several=several)
            for labels, image, mark in stacks
        ]
        compute = partial(find_tracks, asked, settings, self._store)
        name = self._scene.targets.name(stacks[0][1])
        what = f"Following {name}" if len(stacks) == 1 else "Following objects"
        describe = partial(_describe, self._remark(asked, [mark for *_, mark in stacks]))
        show = partial(self._show, self._palette.numbers)
        self._work.start_long("tracks", what, compute, show, describe)

    def _show(self, numbers: Mapping[str, int], found: FoundTracks) -> bool:
        """Show tracks of a class as it is called now; one that is deleted meanwhile has none."""
        asked = found.asked.class_name
        # The Labels of a class that was deleted before are followed, too.
        name = self._palette.names_now(numbers).get(asked) if asked in numbers else asked
        if name is None:
            return False
        return self._layers.show(replace(found, asked=replace(found.asked, class_name=name)))

    def _remark(self, asked: Sequence[LabelledPlanes], marks: Sequence[dict[str, Any]]) -> str:
        """Return which planes the Labels do not have, or that they are old, and what to do."""
        pairs = [
            (one, mark.get("planes", frozenset()))
            for one, mark in zip(asked, marks, strict=True)
            if mark.get("axes", one.layer.axes) == one.layer.axes  # else the view was turned
        ]
        # One of each stack, whatever its classes; labels of before this was noted know no planes.
        known = {one.layer: (one, planes) for one, planes in pairs if planes}
        lacking = [(one, planes) for one, planes in known.values() if len(planes) < one.count]
        is_outdated = self._is_outdated()
        if not lacking:
            return "Press Renew and follow again, the Labels are out of date" * is_outdated
        done, total = sum(len(planes) for _, planes in lacking), sum(o.count for o, _ in lacking)
        of = f"the objects are of {done} of {plural(total, 'plane')}"
        if is_outdated:
            return f"Press Renew and follow again, {of}"
        working = self._scene.embedder.busy or self._scene.answers.pending
        if working or any(one.scores.keys() - planes for one, planes in lacking):
            return f"Press Make Labels and follow again, {of}"
        return f"Tick All planes, make Labels and follow again, {of}"

    def _labels(self, class_name: str | None) -> list[tuple[Labels, Image, dict[str, Any]]]:
        """Return the newest Labels layer of each image and class, with its image and mark."""
        shown = self._scene.shown_planes()
        found: dict[tuple[Hashable, str], tuple[Labels, Image, dict[str, Any]]] = {}
        for layer in self._scene.viewer.layers:
            mark = mark_of(layer, "result")
            if mark is None or mark["what"][0] != "labels" or mark["image"] not in shown:
                continue
            image, own = self._scene.image_of(mark["image"]), mark["what"][1]
            if image is not None and class_name in (None, own):
                found[mark["image"], own] = layer, image, mark
        if not found:
            raise SimilarityError(
                "There are no objects to follow yet; press Make Labels first, with All planes "
                "ticked."
            )
        return list(found.values())

    def _asked(
        self, labels: Labels, image: Image, class_name: str, settings: FollowSettings
    ) -> LabelledPlanes:
        plane = self._scene.shown_planes()[image.unique_id]
        data, grid = levels_of(labels)[0], self._scene.grid(plane)
        if tuple(data.shape) != plane.shape or grid is None:
            raise SimilarityError(
                f"{labels.name} has not the shape of its image any more; press Make Labels again."
            )
        if len(plane.shape) > MOST_AXES:
            raise SimilarityError(
                f"{image.name} has {len(plane.shape)} axes, and napari draws tracks over "
                f"{MOST_AXES} at most; open fewer, for example one channel."
            )
        axes = choose_axes(plane.shape, plane.key.axes, self._names(image), settings.axis)
        states, scores = self._known(plane, class_name)
        if not states:
            raise SimilarityError(f"{image.name} is not embedded any more; press Embed first.")
        to_world = np.asarray(np.linalg.pinv(self._scene.targets.transform(plane.key).linear))
        side = grid.patch_size * float(level_ratios(plane).mean())
        pixel = float(np.linalg.norm(to_world[:, list(plane.key.axes)], axis=0).mean())
        wanted = settings.max_distance
        return LabelledPlanes(
            labels.unique_id,
            class_name,
            False,
            data,
            plane,
            grid,
            axes,
            to_world,
            states,
            scores,
            settings.patches * side * pixel if wanted is None else wanted,
        )

    def _names(self, image: Image) -> list[str]:
        """Return the names of an image's axes, from the viewer where the image has none."""
        shown = self._scene.viewer.dims.axis_labels[-image.ndim :]
        own = [str(name) for name in image.axis_labels]
        pairs = zip(own, shown, strict=True)
        return [there if name.startswith("axis ") else name for name, there in pairs]

    def _known(
        self, plane: Plane, class_name: str
    ) -> tuple[dict[Position, StateHandle], dict[Position, NDArray[np.float32]]]:
        """Return the embeddings of all planes of a stack, and the scores, as far as there are."""
        others = [axis for axis, _ in plane.key.position]
        states: dict[Position, StateHandle] = {}
        scores: dict[Position, NDArray[np.float32]] = {}
        for indices in product(*(range(plane.shape[axis]) for axis in others)):
            key = PlaneKey(plane.key.layer, tuple(zip(others, indices, strict=True)))
            handle, maps = self._scene.state_handle(key), self._scene.maps_of(key)
            if handle is not None:
                states[indices] = handle
            if maps is not None and class_name in maps.cosines:
                scores[indices] = maps.cosines[class_name]
        return states, scores

    def cancel(self) -> None:
        """Give up what is on its way."""
        self._work.stop_all()

    def close(self) -> None:
        """Give up what is on its way."""
        self._work.stop_all()


def _describe(remark: str, found: Sequence[FoundTracks]) -> str:
    """Say how many tracks there are, how long they are, and before it what they are without."""
    tracks, objects = sum(one.count for one in found), sum(len(one.rows) for one in found)
    along = " and ".join(dict.fromkeys(one.asked.axes.name for one in found))
    longest = max(one.longest for one in found)
    unknown = sum(one.unknown for one in found)
    rest = ""
    if unknown:
        have = "has" if unknown == 1 else "have"
        rest = f"; {plural(unknown, 'plane')} {have} no embeddings: press Embed and follow again"
    before = f"{remark}: " if remark else ""  # the message that napari shows is cut at its end
    return (
        f"{before}{plural(tracks, 'track')} of {plural(objects, 'object')} along {along}, "
        f"the longest over {plural(longest, 'plane')}{rest}."
    )
