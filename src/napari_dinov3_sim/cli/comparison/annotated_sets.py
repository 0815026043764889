"""Folders of annotated images.

A set is a folder. Beside each image ``NAME.png`` (any format that the package reads) lies
``NAME.classes.png`` or ``.tif``, the class of each pixel, or ``NAME.instances.tif`` or ``.png``,
the object of each pixel, or both; such as a Labels layer that napari has saved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.cli.errors import UsageError
from napari_dinov3_sim.core.evaluation.clicks import IGNORED, AnnotatedPatches
from napari_dinov3_sim.core.images.intensity import convert_to_rgb, window_of
from napari_dinov3_sim.core.text import does_not_exist
from napari_dinov3_sim.readers.errors import InputError, reading
from napari_dinov3_sim.readers.lazy import OpenFiles
from napari_dinov3_sim.readers.reader import images_in, open_image_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

ANNOTATIONS = (".classes", ".instances")

ENDINGS = (".png", ".tif", ".tiff")
"""Of files with classes or objects."""

OBJECT = "object"
"""The class of all objects, where only objects are known."""

MOST_ZOOM = 4


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its annotation.

    Attributes
    ----------
    path : Path
    classes, objects : Path or None
        One of them at least.
    zoom : int
        How many times larger it is asked, along each side.
    """

    path: Path
    classes: Path | None
    objects: Path | None
    zoom: int = 1

    def read_pixels(self) -> NDArray[np.uint8]:
        """Return it as RGB, (H, W, 3).

        8-bit images are used as they are; all others are drawn from percentile 0.1 to 99.9.
        """
        image = _read(self.path, colours=True)
        window = None if image.dtype == np.uint8 else window_of(image)
        rgb = convert_to_rgb(image, window)
        if self.zoom > 1:
            from skimage.transform import resize

            height, width = rgb.shape[:2]
            rgb = resize(rgb, (height * self.zoom, width * self.zoom), order=1)
        found: NDArray[np.uint8] = (rgb * 255).round().astype(np.uint8)
        return found

    def read_annotation(self) -> AnnotatedPatches:
        """Return what its patches hold."""
        classes, objects = (
            None if path is None else self._numbers(path) for path in (self.classes, self.objects)
        )
        if classes is None:
            classes = (np.asarray(objects) > 0).astype(np.uint8)
        return AnnotatedPatches(classes, objects)

    def _numbers(self, path: Path) -> NDArray[np.integer]:
        numbers: NDArray[np.integer] = _read(path, colours=False)
        with OpenFiles() as files:
            shape = open_image_file(self.path, "auto", files).layers[0].shape
        if numbers.shape != shape:
            raise InputError(
                f"{path} has {_size(numbers.shape)} pixels, and {self.path.name} has "
                f"{_size(shape)}; both must be of one size."
            )
        return numbers.repeat(self.zoom, 0).repeat(self.zoom, 1)


@dataclass(frozen=True)
class AnnotatedSet:
    """Images that are asked for the same classes, also across each other.

    Attributes
    ----------
    name : str
    images : tuple of AnnotatedImage
    classes : dict of int to str
        Names by number; empty where none are given.
    """

    name: str
    images: tuple[AnnotatedImage, ...]
    classes: dict[int, str]

    def names_of(self, annotations: Iterable[AnnotatedPatches]) -> dict[int, str]:
        """Return the names of the classes, those that are annotated where none are given."""
        if self.classes:
            return self.classes
        if all(image.classes is None for image in self.images):
            return {1: OBJECT}
        found = sorted({int(n) for one in annotations for n in np.unique(one.classes)})
        return {number: f"class {number}" for number in found if number not in (0, IGNORED)}


@dataclass(frozen=True)
class SetOptions:
    """Which sets are used, and how.

    Attributes
    ----------
    only : collection of str
        Names of sets; empty for all.
    zoom : mapping of str to int
        For a set, or with an empty name for all; else that of its ``set.json``, else 1.
    most_images : mapping of str to int
        At most, likewise.
    """

    only: Collection[str] = ()
    zoom: Mapping[str, int] | None = None
    most_images: Mapping[str, int] | None = None


def find_sets(folders: Iterable[Path], options: SetOptions | None = None) -> list[AnnotatedSet]:
    """Return the sets of some folders: each is a set, or holds folders that are.

    Raises
    ------
    SimilarityError
        No image is annotated, or a file cannot be read.
    """
    options = options or SetOptions()
    found: list[AnnotatedSet] = []
    for folder in folders:
        if not folder.exists():
            raise UsageError(does_not_exist(folder))
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file; name its folder.")
        inner = sorted(path for path in folder.iterdir() if path.is_dir())
        sets = [_read_set(place, options) for place in (folder, *inner)]
        if not any(one.images for one in sets):
            raise UsageError(
                f"{folder} holds no annotated image; put NAME.classes.png, with the number of the "
                "class of each pixel, or NAME.instances.tif, with the number of its object, "
                "beside NAME.png."
            )
        found += [one for one in sets if one.images]
    unknown = set(options.only) - {one.name for one in found}
    if unknown:
        names = ", ".join(one.name for one in found)
        raise UsageError(f"There is no set {sorted(unknown)[0]!r}; choose from {names}.")
    return [one for one in found if not options.only or one.name in options.only]


def _read_set(folder: Path, options: SetOptions) -> AnnotatedSet:
    name = folder.resolve().name
    zoom = _of_set(options.zoom, name) or _stored_zoom(folder)
    names = {path.name: path for path in folder.iterdir()}
    images = []
    for path in images_in(folder):
        if path.stem.endswith(ANNOTATIONS):
            continue
        classes, objects = (_beside(path, what, names) for what in ANNOTATIONS)
        if classes is not None or objects is not None:
            images.append(AnnotatedImage(path, classes, objects, zoom))
    images.sort(key=lambda image: image.path.name)
    most = _of_set(options.most_images, name) or len(images)
    evenly = images[:: max(1, len(images) // max(most, 1))][:most]
    return AnnotatedSet(name, tuple(evenly), _stored_classes(folder))


def _beside(image: Path, what: str, names: Mapping[str, Path]) -> Path | None:
    found = (names.get(f"{image.stem}{what}{ending}") for ending in ENDINGS)
    return next((path for path in found if path is not None), None)


def _of_set(values: Mapping[str, int] | None, name: str) -> int | None:
    return None if values is None else values.get(name, values.get(""))


def _stored_zoom(folder: Path) -> int:
    zoom = _stored(folder / "set.json").get("zoom", 1)
    if not isinstance(zoom, int) or not 1 <= zoom <= MOST_ZOOM:
        raise InputError(
            f"{folder / 'set.json'} has the zoom {zoom!r}; write a whole number from 1 to "
            f"{MOST_ZOOM}."
        )
    return zoom


def _stored_classes(folder: Path) -> dict[int, str]:
    names = _stored(folder / "classes.json")
    if not all(number.isdecimal() for number in names):
        raise InputError(
            f'{folder / "classes.json"} must give names to numbers, such as {{"1": "nucleus"}}; '
            "write it so."
        )
    return {int(number): str(name) for number, name in names.items()}


def _stored(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())  # with or without a mark of its encoding
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON object; write it again, or remove it.")
    return content


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, reversed(shape)))


def _read(path: Path, *, colours: bool) -> NDArray[Any]:
    """Return the only plane of a file, as whole numbers unless it may have colours."""
    with OpenFiles() as files:
        layers = open_image_file(path, "auto", files).layers
        layer = layers[0]
        if len(layers) > 1 or len(layer.shape) != 2:
            raise InputError(
                f"{path} has several planes or channels; save the annotated plane as an image of "
                "its own."
            )
        with reading(path):
            pixels = np.asarray(layer.levels[0])
    if not colours and (layer.rgb or not np.isdtype(pixels.dtype, ("bool", "integral"))):
        raise InputError(
            f"{path} holds {'colours' if layer.rgb else pixels.dtype} and no numbers of classes "
            "or objects; save the Labels layer as TIFF."
        )
    return pixels
