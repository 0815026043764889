"""A path, opened as layers of planes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinov3_sim.cli.reading.layer import Layer
from napari_dinov3_sim.cli.reading.numbered_files import is_stack, planes_of
from napari_dinov3_sim.cli.reading.options import ReadOptions
from napari_dinov3_sim.cli.reading.paths import check_there, split_series
from napari_dinov3_sim.cli.reading.plugins import OWN, plugin_of, read_by_plugin
from napari_dinov3_sim.readers.errors import InputError, reading
from napari_dinov3_sim.readers.file_stack import open_stack
from napari_dinov3_sim.readers.lazy import OpenFiles
from napari_dinov3_sim.readers.reader import open_image_file

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim.readers.image_layer import ImageLayer


class OpenFile:
    """The layers of a file; close it when they have been read.

    Parameters
    ----------
    path : Path
        With ``:series=1`` behind it, one of the images that it holds.
    how : ReadOptions, optional

    Attributes
    ----------
    layers : list of Layer
    notes : tuple of str
        How the file was read, where it leaves that open.

    Raises
    ------
    InputError
        The file is missing or holds nothing that can be embedded.
    """

    def __init__(self, path: Path, how: ReadOptions | None = None) -> None:
        self._files, self._how = OpenFiles(), how or ReadOptions()
        self.notes: tuple[str, ...] = ()
        try:
            check_there(path)
            file, series = split_series(path)
            images = _chosen(path, self._images(file), series)
            with reading(file):
                self.layers = [Layer.of(path, image) for image in images]
                for layer in self.layers:
                    layer.check()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._files.close()

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _images(self, path: Path) -> list[ImageLayer]:
        if is_stack(path):
            stack = open_stack(planes_of(path), self._how.read_as, self._files)
            return list(stack.layers)
        with reading(path):
            plugin, note = plugin_of(path, self._how.reader)
        self.notes = (note,) if note else ()
        if plugin == OWN:
            file = open_image_file(path, self._how.read_as, self._files)
            self.notes += file.notes
            return list(file.layers)
        images = read_by_plugin(path, plugin)
        if len(images) > 1:
            images = [
                image if image.channel is not None else replace(image, channel=number)
                for number, image in enumerate(images)
            ]
        return images


def _chosen(path: Path, images: list[ImageLayer], series: int | None) -> list[ImageLayer]:
    if series is None:
        return images
    found = [image for image in images if (image.series or 0) == series]
    if not found:
        last = max(image.series or 0 for image in images)
        raise InputError(f"{path}: there are the images 0 to {last}; choose one of them.")
    return found
