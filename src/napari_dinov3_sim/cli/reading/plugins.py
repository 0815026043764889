"""The reader plugins of napari: which of them opens a path, and what it gives."""

from __future__ import annotations

import os
import re
import warnings
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.readers.addresses import Address
from napari_dinov3_sim.readers.errors import InputError, brief
from napari_dinov3_sim.readers.image_layer import Calibration, ImageLayer, is_colour
from napari_dinov3_sim.readers.reader import format_of

if TYPE_CHECKING:
    from pathlib import Path

    from npe2 import PluginManager

OWN, NAPARI = "napari-dinov3-sim", "napari"
"""Names of this package and of napari's own reader, as plugins."""

CURES = {
    ".czi": "napari-bioio-reader bioio-czi",
    ".nd2": "napari-bioio-reader bioio-nd2",
    ".lif": "napari-bioio-reader bioio-lif",
    ".oib": "napari-bioformats",
    ".oif": "napari-bioformats",
    ".vsi": "napari-bioformats",
    ".ims": "napari-bioformats",
    ".dv": "napari-dv",
    ".mrc": "napari-mrcfile-reader",
    ".rec": "napari-mrcfile-reader",
    ".map": "napari-mrcfile-reader",
    ".nrrd": "napari-itk-io",
    ".mha": "napari-itk-io",
    ".mhd": "napari-itk-io",
    ".nii": "napari-nifti",
    ".nii.gz": "napari-nifti",
    ".dcm": "napari-itk-io",
    ".dicom": "napari-itk-io",
    ".h5": "napari-h5",
    ".hdf5": "napari-h5",
    ".mrxs": "napari-lazy-openslide",
}
"""What reads a format that neither this package nor napari does, by its suffix."""


NEVER_BY_NAPARI = (".h5", ".hdf5", ".hdf", ".dcm", ".dicom")
"""Suffixes that napari's own reader claims, and for which it has nothing, or, of DICOM, reads
other files of the folder with the one that is named.
"""


def cure_of_format(path: Path) -> str:
    """Say what to do about a file that nothing here reads."""
    package = _cure_by_suffix(path)
    if package is None:
        return "save it as PNG, JPEG, TIFF or .npy"
    return f"install a reader with `pip install {package}`, or save it as TIFF"


def _cure_by_suffix(path: Path) -> str | None:
    name = path.name.lower()
    return next((package for end, package in CURES.items() if name.endswith(end)), None)


def plugin_of(path: Path, wanted: str | None) -> tuple[str, str]:
    """Return the name of the plugin that reads a path, and a note where others could, too.

    The plugins of the user come first, see `_ranked`, unless napari's preferences say otherwise,
    then this package,
    for what it knows by its content, then the reader of napari itself.

    Raises
    ------
    InputError
        Nothing reads it, or not the plugin that is wanted.
    """
    names = _compatible(path)
    if wanted is not None:
        if wanted != OWN and wanted not in names:
            others = ", ".join(dict.fromkeys((*names, OWN)))
            raise InputError(
                f"{path} cannot be read with {wanted}, which is not installed or does not know "
                f"such files; choose with --reader one of {others}, or leave --reader out."
            )
        return wanted, ""
    users = [name for name in names if name not in (OWN, NAPARI)]
    if users:
        return _preferred(path, _ranked(path, users), names)
    # A suffix that nothing claims but a plugin that is not installed: what it begins with may be
    # a picture, as that of a MIRAX slide is, and not the image.
    is_for_others = not names and _cure_by_suffix(path) is not None
    if OWN in names or (not is_for_others and format_of(path) is not None):
        return OWN, ""
    if NAPARI in names and not path.name.lower().endswith(NEVER_BY_NAPARI):
        return NAPARI, ""
    raise InputError(
        f"{path} is not an image that can be read (no reader knows such files); "
        f"{cure_of_format(path)}."
    )


def _ranked(path: Path, users: list[str]) -> list[str]:
    """Return the plugins of the user that may read a path, those that are made for it first.

    Some of those in `CURES` claim TIFF and PNG, too, and lose what these say of their axes, or
    need Java for it. They are taken for what they are named for, and for what nothing else reads.
    """
    named = (_cure_by_suffix(path) or "").split()
    known = " ".join(CURES.values()).split()
    made_for_it = [name for name in users if name in named]
    others = [name for name in users if name not in known]
    rest = [name for name in users if name in known and name not in named]
    return [*made_for_it, *others, *(rest if format_of(path) is None else ())]


@cache
def _plugin_manager() -> PluginManager:
    """Return what knows the plugins; finding them takes half a second, and is done once."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    return manager


def _compatible(path: Path) -> list[str]:
    manager = _plugin_manager()
    named = path.without_query if isinstance(path, Address) else str(path)
    found = {reader.plugin_name for reader in manager.iter_compatible_readers([named])}
    return sorted(found)


def _preferred(path: Path, users: list[str], names: list[str]) -> tuple[str, str]:
    # napari is imported only where there is a choice that its preferences decide.
    from napari.plugins.utils import get_preferred_reader
    from napari.settings import get_settings

    disabled = set(get_settings().plugins.disabled_plugins)
    users = [name for name in users if name not in disabled]
    preferred = get_preferred_reader(path)
    if preferred in names:
        return str(preferred), ""
    if not users:
        return OWN, ""
    others = ", ".join([*users[1:], OWN])
    return users[0], f"is read with {users[0]}; choose another with --reader: {others}."


def read_by_plugin(path: Path, plugin: str) -> list[ImageLayer]:
    """Return the images that a plugin makes of a path.

    Raises
    ------
    InputError
        It makes none.
    """
    from npe2.io_utils import read_get_reader

    try:
        # What they print would stand among the results.
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")  # of other packages, which are no news to the user
            found, _ = read_get_reader([_for_plugin(path)], plugin_name=plugin, stack=False)
            layers = [one for entry in found for one in _layers_of(entry)]
    except Exception as error:  # every plugin fails in its own way
        raise InputError(
            f"{path} cannot be read with {plugin} ({_own_words(path, error)}); "
            f"{cure_of_format(path)}, or choose another reader with --reader."
        ) from error
    if not layers:
        raise InputError(
            f"{path} holds no image as {plugin} reads it; choose another reader with --reader."
        )
    return layers


def _for_plugin(path: Path) -> str:
    """Return what a plugin is given: of an address, where it is a Zarr, else its copy."""
    if not isinstance(path, Address):
        return str(path)
    return path.without_query if path.is_dir() else os.fspath(path)


def _own_words(path: Path, error: Exception) -> str:
    """Return what a plugin says, without the path and without its lists."""
    text = brief(error).replace(str(path), path.name)
    return re.split(r"(?<=[.;:]) |\n", text, maxsplit=1)[0].rstrip(".;: ")


def _layers_of(entry: tuple[Any, ...]) -> list[ImageLayer]:
    rest: tuple[Any, ...] = ({}, "image")
    data, attributes, layer_type = (*entry, *rest[len(entry) - 1 :])
    if data is None or layer_type != "image":
        return []
    multiscale = attributes.get("multiscale")
    is_pyramid = isinstance(data, list | tuple) if multiscale is None else bool(multiscale)
    levels = tuple(data) if is_pyramid else (data,)
    rgb, axis = attributes.get("rgb"), attributes.get("channel_axis")
    if axis is None:
        is_rgb = is_colour(tuple(levels[0].shape)) if rgb is None else bool(rgb)
        return [_layer(levels, is_rgb, attributes)]
    names = attributes.get("name")
    whole = ImageLayer.of(levels[0], rgb=False)
    axis = int(axis) % len(whole.axes)
    key = (slice(None),) * axis
    return [
        _layer(
            tuple(level[(*key, number)] for level in levels),
            bool(rgb),
            {**attributes, "name": names[number] if isinstance(names, list | tuple) else ""},
            number,
        )
        for number in range(int(levels[0].shape[axis]))
    ]


def _layer(
    levels: tuple[Any, ...], rgb: bool, attributes: dict[str, Any], channel: int | None = None
) -> ImageLayer:
    layer = ImageLayer.of(levels[0], rgb)
    ndim = len(layer.axes)
    none = Calibration.none(ndim)
    scale, translate = (attributes.get(key) for key in ("scale", "translate"))
    units = attributes.get("units")
    where = Calibration(
        none.scale if scale is None else tuple(map(float, scale)),
        none.translate if translate is None else tuple(map(float, translate)),
        none.units if units is None or isinstance(units, str) else tuple(map(str, units)),
    )
    title = attributes.get("name") if channel is not None else ""
    return ImageLayer(levels, rgb, layer.axes, where, str(title or ""), channel=channel)
