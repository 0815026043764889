"""Regions from files of other programs: GeoJSON, ROIs of ImageJ, and label images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.text import plain_utf8
from napari_dinov3_sim.exchange.geojson import read_geojson
from napari_dinov3_sim.exchange.imagej import read_rois
from napari_dinov3_sim.exchange.shapes import ExchangeError
from napari_dinov3_sim.readers.errors import InputError, brief
from napari_dinov3_sim.readers.zarr_folders import is_zarr

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim.exchange.shapes import Shape
    from napari_dinov3_sim.readers.lazy import OpenFiles


@dataclass(frozen=True, eq=False)
class LabelRegion:
    """A label image of a file.

    Attributes
    ----------
    labels : array_like of int, shape (…, rows, columns)
        Read where it is needed.
    class_name : str or None
        What the file calls its objects; None where it does not say it.
    """

    labels: Any = field(repr=False)
    class_name: str | None = None


@dataclass(frozen=True, eq=False)
class RegionFile:
    """What a file holds: shapes, or label images."""

    path: Path
    shapes: tuple[Shape, ...] = ()
    labels: tuple[LabelRegion, ...] = ()

    @property
    def classes(self) -> tuple[str | None, ...]:
        """Classes in the order in which they first occur; None for what has none."""
        found = [*(shape.class_name for shape in self.shapes)]
        found += [label.class_name for label in self.labels]
        return tuple(dict.fromkeys(found))

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each class that has one: that of its first shape."""
        named = [shape for shape in reversed(self.shapes) if shape.class_name]
        return {str(shape.class_name): shape.colour for shape in named}


def read_regions(path: Path, files: OpenFiles | None = None) -> RegionFile:
    """Read the regions of a file by its content.

    Parameters
    ----------
    path : Path
        GeoJSON, a ROI or ROI set of ImageJ, or an image of labels in any format that is read.
    files : OpenFiles, optional
        What has to stay open until label images have been read; without it they are read now.

    Raises
    ------
    ExchangeError
        The file is damaged, empty, or holds something else; one sentence says the cure.
    """
    try:
        found = _read(path, files)
    except OSError as error:
        raise ExchangeError(
            f"{path} cannot be read ({error.strerror or error}); check the spelling and the "
            "folder."
        ) from error
    except InputError as error:
        raise ExchangeError(f"{error} Or name a GeoJSON file, or ROIs of ImageJ.") from error
    if not found.shapes and not found.labels:
        raise ExchangeError(f"{path} holds no regions; export them again.")
    return found


def _read(path: Path, files: OpenFiles | None) -> RegionFile:
    if path.is_dir():
        return RegionFile(path, labels=_labels(path, files))
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith((b"Iout", b"PK\3\4", b"PK\5\6")):
        return RegionFile(path, shapes=tuple(read_rois(path)))
    if plain_utf8(start).lstrip().startswith((b"{", b"[")):
        return RegionFile(path, shapes=tuple(read_geojson(path)))
    return RegionFile(path, labels=_labels(path, files))


def _labels(path: Path, files: OpenFiles | None) -> tuple[LabelRegion, ...]:
    from napari_dinov3_sim.readers.lazy import OpenFiles

    if files is not None:
        return tuple(_label_images(path, files))
    opened = OpenFiles()
    try:
        return tuple(
            replace(one, labels=np.asarray(one.labels)) for one in _label_images(path, opened)
        )
    finally:
        opened.close()


def _label_images(path: Path, files: OpenFiles) -> list[LabelRegion]:
    from napari_dinov3_sim.readers.reader import open_image_file

    found = []
    try:
        groups = _label_groups(path)
    except Exception as error:  # attributes may be anything
        raise ExchangeError(
            f"{path} cannot be read as OME-Zarr ({brief(error)}); write it again."
        ) from error
    for place, name in groups:
        for layer in open_image_file(place, "auto", files).layers:
            data = layer.levels[0]
            if layer.rgb or not _are_numbers_of_objects(data.dtype):
                raise ExchangeError(
                    f"{place} holds {'colours' if layer.rgb else data.dtype} and no labels; name "
                    "a file in which each pixel is the whole number of its object."
                )
            if layer.series:
                raise ExchangeError(
                    f"{path} has several images; name a file with the labels of one image."
                )
            found.append(LabelRegion(data, name or layer.title.strip() or None))
    return found


def _are_numbers_of_objects(dtype: Any) -> bool:
    return bool(np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.bool_))


def _label_groups(path: Path) -> list[tuple[Path, str]]:
    """Return the label images of an OME-Zarr with their names, or the file itself."""
    if not is_zarr(path):
        return [(path, "")]
    import zarr

    for folder in (path / "labels", path):
        if is_zarr(folder):
            attributes: Any = zarr.open(str(folder), mode="r").attrs
            names = attributes.get("ome", attributes).get("labels")
            if isinstance(names, list):
                places = [folder / str(name) for name in names]
                within = [place for place in places if place.resolve().parent == folder.resolve()]
                return [(place, _class_of(place)) for place in within]
    return [(path, _class_of(path))]


def _class_of(folder: Path) -> str:
    """Return the class of a label image: that of its properties, else its name."""
    import zarr

    attributes: Any = zarr.open(str(folder), mode="r").attrs
    about: Any = attributes.get("ome", attributes)
    listed = (about.get("image-label") or {}).get("properties") or []
    names = {str(one["class"]) for one in listed if isinstance(one, dict) and "class" in one}
    if len(names) == 1:
        return names.pop()
    return folder.name if "image-label" in about else ""
