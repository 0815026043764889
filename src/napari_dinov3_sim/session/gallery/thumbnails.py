"""Pictures of matches as napari shows them, made in the background."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.levels import pixel_in_level
from napari_dinov3_sim.core.images.sources import ArraySource
from napari_dinov3_sim.session.gallery.stored_files import read_file
from napari_dinov3_sim.session.images.planes import levels_of
from napari_dinov3_sim.session.worker_messages import Computed, Failure, Finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from napari.layers import Image
    from napari.utils import Colormap
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.gallery.matches import ChosenPlace, PatchId
    from napari_dinov3_sim.session.gallery.stored_files import FileLayer, StoredFiles, StoredPlane
    from napari_dinov3_sim.session.images.planes import PlaneKey
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Message

PATCHES = 5
"""Side of what is shown, in patches: a patch alone shows a texture, and not where it is."""

DARK = (0, 0, 0)


@dataclass(frozen=True, eq=False)
class LayerLook:
    """An image layer as napari draws it; holds no layer, so it may travel to a worker.

    Attributes
    ----------
    name : str
    levels : tuple of array_like
        The finest first.
    rgb : bool
    limits : (float, float)
        The contrast limits.
    gamma, opacity : float
    colormap : Colormap
    blending : str
    """

    name: str
    levels: tuple[Any, ...] = field(repr=False)
    rgb: bool
    limits: tuple[float, float]
    gamma: float
    opacity: float
    colormap: Colormap
    blending: str

    @classmethod
    def of(cls, layer: Image) -> LayerLook:
        """Return the look of a layer as it is now."""
        low, high = (float(limit) for limit in layer.contrast_limits)
        return cls(
            str(layer.name),
            tuple(levels_of(layer)),
            bool(layer.rgb),
            (low, high),
            float(layer.gamma),
            float(layer.opacity),
            layer.colormap,
            str(layer.blending),
        )

    @property
    def token(self) -> tuple[object, ...]:
        """What decides the picture, to compare; the pixels are compared by their plane."""
        return (self.limits, self.gamma, self.opacity, self.colormap.name, self.blending)

    def colours(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return pixels as napari draws them, RGBA in [0, 1]."""
        if self.rgb:
            whole = np.issubdtype(pixels.dtype, np.integer)
            scale = np.iinfo(pixels.dtype).max if whole else 1
            colours: NDArray[np.float32] = np.clip(
                pixels.astype(np.float32) / np.float32(scale), 0, 1
            )
            if colours.shape[-1] == 4:
                return colours
            return np.concatenate([colours, np.ones_like(colours[..., :1])], axis=-1)
        low, high = self.limits
        values = np.nan_to_num(np.asarray(pixels, np.float32))
        scaled = np.clip((values - low) / (high - low or 1.0), 0, 1) ** self.gamma
        mapped = np.asarray(self.colormap.map(scaled.ravel()), np.float32)
        return mapped.reshape(*scaled.shape, 4)


@dataclass(frozen=True, eq=False)
class ThumbnailJob:
    """Reads what lies around a patch and draws it.

    Attributes
    ----------
    place : ChosenPlace
    looks : tuple of LayerLook
        The layers of the image that are seen, the bottom one first.
    size : int
        Side of the picture, in pixels.
    colour : str
        Of the outline, as ``#rrggbb``.
    """

    place: ChosenPlace
    looks: tuple[LayerLook, ...] = field(repr=False)
    size: int
    colour: str

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send the picture, or why there is none."""
        if token.cancelled:
            return
        try:
            post(Computed(self.make()))
        except Exception as error:  # a lazy array may raise anything
            post(Failure.of(error, "plane", self.place.plane.key))

    def make(self) -> NDArray[np.uint8]:
        """Return the picture, shape (size, size, 3)."""
        from skimage.transform import resize

        window = self._window()
        picture = np.zeros((self.size, self.size, 3), np.float32)
        parts = [(look, look.colours(self._read(look, window))) for look in self.looks]
        height, width = parts[0][1].shape[:2]
        scale = self.size / max(height, width)
        shape = [max(1, round(scale * height)), max(1, round(scale * width))]
        top, left = (self.size - shape[0]) // 2, (self.size - shape[1]) // 2
        seen = picture[top : top + shape[0], left : left + shape[1]]
        for look, colours in parts:
            drawn = resize(colours, (*shape, 4), order=1, anti_aliasing=scale < 1)
            seen[:] = _blended(seen, drawn, look.blending, look.opacity if self._merged else 1.0)
        drawn = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
        _outline(drawn, self._outlined(window, shape, (top, left)), self.colour)
        return drawn

    @property
    def _merged(self) -> bool:
        return len(self.looks) > 1

    def _window(self) -> tuple[float, float, float, float]:
        """Return what is shown, as shares of the image: top, left, bottom, right."""
        left, top, right, bottom = self.place.embedded_box
        side = PATCHES * self.place.grid.patch_size
        shares = []
        for low, high, length in zip(
            (top, left), (bottom, right), self.place.grid.image_shape, strict=True
        ):
            start = max(0.0, min((low + high - side) / 2, length - side))
            shares.append((start / length, min(1.0, (start + side) / length)))
        (top_, bottom_), (left_, right_) = shares
        return top_, left_, bottom_, right_

    def _read(self, look: LayerLook, window: tuple[float, float, float, float]) -> NDArray[Any]:
        """Read the window from the coarsest level that has as many pixels as are drawn."""
        plane = self.place.plane
        full = plane.shape
        data = look.levels[0]
        for level in reversed(look.levels):
            data = level
            sides = [level.shape[axis] for axis in plane.key.axes]
            if min(sides[0] * (window[2] - window[0]), sides[1] * (window[3] - window[1])) >= (
                self.size
            ):
                break
        at = dict(plane.key.position)
        index = tuple(
            slice(None) if axis in plane.key.axes else pixel_in_level(at[axis], size, in_level)
            for axis, (size, in_level) in enumerate(
                zip(full, data.shape[: len(full)], strict=True)
            )
        )
        source = ArraySource(data, index, look.rgb, look.name)
        height, width = source.shape
        rows = _pixels(window[0], window[2], height)
        columns = _pixels(window[1], window[3], width)
        return source.read(rows, columns)

    def _outlined(
        self,
        window: tuple[float, float, float, float],
        shape: list[int],
        start: tuple[int, int],
    ) -> tuple[int, int, int, int]:
        """Return the patch in pixels of the picture: top, left, bottom, right."""
        left, top, right, bottom = self.place.embedded_box
        height, width = self.place.grid.image_shape
        rows = [(at / height - window[0]) / (window[2] - window[0]) for at in (top, bottom)]
        columns = [(at / width - window[1]) / (window[3] - window[1]) for at in (left, right)]
        top, bottom = (start[0] + round(shape[0] * at) for at in rows)
        left, right = (start[1] + round(shape[1] * at) for at in columns)
        return top, left, bottom, right


def _pixels(start: float, stop: float, length: int) -> slice:
    first = min(int(start * length), length - 1)
    return slice(first, max(first + 1, min(length, round(stop * length))))


def _blended(
    below: NDArray[np.float32], drawn: NDArray[np.float32], blending: str, opacity: float
) -> NDArray[np.float32]:
    colours, alpha = drawn[..., :3], drawn[..., 3:] * opacity
    if blending == "additive":
        return below + colours * alpha
    if blending == "minimum":
        return np.minimum(below, colours) if below.any() else colours
    return colours * alpha + below * (1 - alpha)


def _outline(picture: NDArray[np.uint8], box: tuple[int, int, int, int], colour: str) -> None:
    """Draw a frame around a box, light within dark, so that it is seen on everything."""
    light = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    for out, value in ((1, light), (2, light), (3, DARK)):
        top, left, bottom, right = box[0] - out, box[1] - out, box[2] + out, box[3] + out
        last = len(picture) - 1
        top, left = (max(0, at) for at in (top, left))
        bottom, right = (min(last, at - 1) for at in (bottom, right))
        picture[top, left : right + 1] = picture[bottom, left : right + 1] = value
        picture[top : bottom + 1, left] = picture[top : bottom + 1, right] = value


class LastFile:
    """The layers of the file that was read last: matches of one file follow each other."""

    def __init__(self) -> None:
        self._last: tuple[object, tuple[FileLayer, ...]] = (None, ())

    def layers(self, path: Path) -> tuple[FileLayer, ...]:
        """Return the image layers of a file; for one worker thread."""
        stamp = path, path.stat().st_mtime_ns
        if self._last[0] != stamp:
            self._last = stamp, read_file(path)[0]
        return self._last[1]


@dataclass(frozen=True, eq=False)
class FileThumbnailJob:
    """Reads what lies around a patch of a file that is not open, in grey as it was embedded.

    Attributes
    ----------
    place : ChosenPlace
    stored : StoredPlane
    files : LastFile
    size : int
    colour : str
        See `ThumbnailJob`.
    """

    place: ChosenPlace
    stored: StoredPlane
    files: LastFile
    size: int
    colour: str

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send the picture, or why there is none."""
        if token.cancelled:
            return
        try:
            look = self._look()
        except Exception as error:  # the file may be gone, or be another one by now
            post(Failure.of(error, "plane", self.place.plane.key))
            return
        ThumbnailJob(self.place, (look,), self.size, self.colour)(post, token)

    def _look(self) -> LayerLook:
        from napari.utils.colormaps import ensure_colormap

        path = self.place.plane.key.layer_id
        assert isinstance(path, Path)  # noqa: S101
        layer = self.files.layers(path)[self.stored.layer]
        window = self.stored.windows[0] if self.stored.windows else None
        limits = (0.0, 1.0) if window is None else (window.low, window.high)
        gray = ensure_colormap("gray")
        name = self.place.plane.name
        return LayerLook(name, layer.levels, layer.rgb, limits, 1.0, 1.0, gray, "opaque")


@dataclass(frozen=True, eq=False)
class _Kept:
    """A picture, or the note that one cannot be made, and what it was made from."""

    made_from: object
    picture: NDArray[np.uint8] | None


class Thumbnails:
    """Keeps the pictures of the places that are shown, and has the others made.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    files : StoredFiles or None
        Where places of files that are not open are found, if there may be any.
    fail : callable
        Bound method, called with every `Failure`.
    ready : callable
        Called with the id of a place when its picture is there.
    """

    def __init__(
        self,
        scene: Scene,
        runner: Runner,
        files: StoredFiles | None,
        fail: Callable[[Failure], None],
        ready: Callable[[PatchId], None],
    ) -> None:
        self._scene, self._runner, self._files = scene, runner, files
        self._open = LastFile()
        self._fail, self._ready = fail, ready
        self._kept: dict[PatchId, _Kept] = {}
        self._coming: dict[PatchId, tuple[object, CancelToken | None]] = {}
        self._failed: set[PlaneKey] = set()

    @property
    def pending(self) -> bool:
        """Whether a picture is on its way."""
        return bool(self._coming)

    def get(self, place: ChosenPlace, size: int, colour: str) -> NDArray[np.uint8] | None:
        """Return the picture of a place; where there is none yet, have it made."""
        stored = None if self._files is None else self._files.of(place.plane.key)
        looks = self._looks(place) if stored is None else ()
        job: ThumbnailJob | FileThumbnailJob
        if stored is not None:
            job = FileThumbnailJob(place, stored, self._open, size, colour)
        elif looks:
            job = ThumbnailJob(place, looks, size, colour)
        else:
            return None
        made_from = (size, colour, tuple(look.token for look in looks))
        kept = self._kept.get(place.id)
        if kept is None or kept.made_from != made_from:
            self._start(place, made_from, job)
            kept = self._kept.get(place.id)
        return None if kept is None else kept.picture

    def _looks(self, place: ChosenPlace) -> tuple[LayerLook, ...]:
        """Return the layers of the image as they are drawn; hidden ones, if none is shown."""
        layers = self._scene.layers_of(place.plane.key.layer_id)
        seen = [layer for layer in layers if layer.visible] or list(layers)
        ordered = sorted(seen, key=self._scene.viewer.layers.index)
        return tuple(LayerLook.of(layer) for layer in ordered)

    def _start(
        self,
        place: ChosenPlace,
        made_from: object,
        job: ThumbnailJob | FileThumbnailJob,
    ) -> None:
        coming = self._coming.get(place.id)
        if coming is not None:
            if coming[0] == made_from:
                return
            self._give_up(place.id)
        self._coming[place.id] = (made_from, None)
        receive = partial(self._receive, place, made_from)
        token = self._runner.submit("thumbnails", job, receive)
        if place.id in self._coming:
            self._coming[place.id] = (made_from, token)

    def _receive(self, place: ChosenPlace, made_from: object, message: Message) -> None:
        coming = self._coming.get(place.id)
        if coming is None or coming[0] != made_from:
            return  # nobody wants it any more
        if isinstance(message, Computed):
            self._kept[place.id] = _Kept(made_from, message.value)  # type: ignore[arg-type]
            self._ready(place.id)
        elif isinstance(message, Failure):
            self._kept[place.id] = _Kept(made_from, None)
            if place.plane.key not in self._failed:  # one sentence for all places of a plane
                self._failed.add(place.plane.key)
                self._fail(message)
        elif isinstance(message, Finished):
            del self._coming[place.id]

    def _give_up(self, patch: PatchId) -> None:
        _, token = self._coming.pop(patch)
        if token is not None:
            token.cancel()

    def keep_only(self, wanted: AbstractSet[PatchId]) -> None:
        """Let go of all other pictures, also of those on their way."""
        self._kept = {patch: kept for patch, kept in self._kept.items() if patch in wanted}
        for patch in [patch for patch in self._coming if patch not in wanted]:
            self._give_up(patch)

    def close(self) -> None:
        """Give up what is on its way."""
        self.keep_only(set())
