"""A script and a command line that do again what a session does."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.readers.addresses import path_or_address
from napari_dinov3_sim.session.file_search.outputs import DEFAULT_OUTPUTS, checked_outputs
from napari_dinov3_sim.session.results.summaries import answered_images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.objects.sizes import Area
    from napari_dinov3_sim.session.file_search.settings import SearchSettings
    from napari_dinov3_sim.session.results.computations import AnsweredImage
    from napari_dinov3_sim.session.scene import Scene

SCRIPT = '''"""Search these images as they were searched in the dock of DINOv3 similarity."""

import numpy as np
from napari.components import ViewerModel
from npe2 import PluginManager

import napari_dinov3_sim as nds

QUERY = {query!r}
IMAGES = {{  # with the plugin that reads each of them
{images}
}}
THRESHOLDS = {thresholds!r}

PluginManager.instance().discover()  # the readers
viewer = ViewerModel()  # napari.Viewer() shows all this in a window
for path, reader in IMAGES.items():
    viewer.open(path, plugin=reader)
session = nds.SimilaritySession(
    viewer,
    backbone=nds.load_backbone({model!r}, device={device!r}, dtype={dtype!r}),
    recipe=nds.Recipe(factor={factor!r}, shifts={shifts!r}, padding={padding!r}),
)
session.results.load_query(QUERY)
session.all_planes = {all_planes!r}
session.outline, session.split_touching = {outline!r}, {split!r}
session.min_area, session.max_area = {min_area}, {max_area}
for name, threshold in THRESHOLDS.items():
    session.class_name, session.threshold = name, threshold
session.wait()
session.results.labels()
session.wait()

for name in THRESHOLDS:
    for image, heatmap in session.heatmaps_of(name).items():
        scores = np.asarray(heatmap.data)
        print(image.name, name, "best score", round(float(np.nanmax(scores)), 3))
    found = session.found[name]
    print(name, found.objects, "objects in", found.images, "images")
'''


FILES_SCRIPT = '''"""Search these files as the dock of DINOv3 similarity searches them."""

from napari_dinov3_sim.cli.parser import main

QUERY = {query!r}
IMAGES = [  # files, and folders whose images are meant
{images}
]
RESULTS = {out!r}
OPTIONS = [
{options}
]

if __name__ == "__main__":
    raise SystemExit(main(["search", QUERY, *IMAGES, "--out", RESULTS, *OPTIONS]))
'''


@dataclass(frozen=True)
class ChosenSources:
    """Files and folders that were chosen, which need not be open, and how they are searched.

    Attributes
    ----------
    sources : tuple of Path
        Absolute.
    out : Path
        The folder of results.
    options : tuple of str
        All options of the command line but those that name files.
    """

    sources: tuple[Path, ...]
    out: Path
    options: tuple[str, ...]

    def command(self, query: Path) -> str:
        """Return a command line that searches them with a saved query."""
        names = [str(path) for path in self.sources]
        return _line(["search", str(query), *names, "--out", str(self.out), *self.options])

    def script(self, query: Path) -> str:
        """Return a Python script that searches them with a saved query."""
        return FILES_SCRIPT.format(
            query=str(query),
            images="\n".join(f"    {str(path)!r}," for path in self.sources),
            out=str(self.out),
            options="\n".join(f"    {option!r}," for option in self.options),
        )


@dataclass(frozen=True)
class OpenedFiles:
    """The images that are open from files, and how they are searched.

    Attributes
    ----------
    readers : dict of str to str or None
        The plugin that has read each file, by its path.
    settings : SearchSettings
    classes : tuple of str
    all_planes : bool
        Whether more of a stack is searched than the plane that is shown.
    """

    readers: dict[str, str | None]
    settings: SearchSettings
    classes: tuple[str, ...]
    all_planes: bool

    @classmethod
    def of(cls, scene: Scene, settings: SearchSettings) -> OpenedFiles:
        """Return those that are searched now.

        Raises
        ------
        SimilarityError
            There is no heatmap yet, or no image was opened from a file.
        """
        images = answered_images(scene)
        shown = [image.plane.key.layer_id for image in images]
        sources = [layer.source for image_id in shown for layer in scene.layers_of(image_id)]
        readers = {
            str(path_or_address(source.path).absolute()): source.reader_plugin
            for source in sources
            if source.path
        }
        if not readers:
            raise SimilarityError(
                "No image that is searched was opened from a file; save the images, and open the "
                "files."
            )
        several = any(len(image.maps) > 1 for image in images)
        return cls(readers, settings, classes_of(images), several)

    @property
    def levels(self) -> dict[str, float]:
        """The threshold of each class that is asked."""
        levels = self.settings.levels
        return {name: levels[name] for name in self.classes if name in levels}


def classes_of(images: Sequence[AnsweredImage]) -> tuple[str, ...]:
    """Return the classes that images have scores of."""
    maps = [one for image in images for one in image.maps.values()]
    return tuple(dict.fromkeys(name for one in maps for name in one.cosines))


def write_script(opened: OpenedFiles, query: Path) -> str:
    """Return a Python script that searches open files with a saved query.

    Parameters
    ----------
    opened : OpenedFiles
    query : Path
        Absolute.
    """
    settings = opened.settings
    images = "\n".join(f"    {path!r}: {reader!r}," for path, reader in opened.readers.items())
    return SCRIPT.format(
        query=str(query),
        images=images,
        thresholds=opened.levels,
        model=settings.model,
        device=settings.device,
        dtype=settings.dtype,
        factor=settings.factor,
        shifts=settings.shifts,
        padding=settings.padding,
        outline=settings.objects.outline,
        split=settings.objects.split,
        min_area=_area(settings.objects.min_area),
        max_area=_area(settings.objects.max_area),
        all_planes=opened.all_planes,
    )


def _area(area: Area) -> str:
    """Return an area as a script sets it."""
    return repr(str(area)) if area.unit else f"float({str(area.value)!r})"


def write_command(opened: OpenedFiles, query: Path, out: Path) -> str:
    """Return a command line that searches open files with a saved query.

    Parameters
    ----------
    opened : OpenedFiles
    query : Path
        Absolute.
    out : Path
        Folder of results.
    """
    options = opened.settings.options(checked_outputs(DEFAULT_OUTPUTS), opened.classes)
    return _line(["search", str(query), *opened.readers, "--out", str(out), *options])


def _line(arguments: Sequence[str]) -> str:
    words = ["napari-dinov3-sim", *arguments]
    return subprocess.list2cmdline(words) if os.name == "nt" else " ".join(map(quoted, words))


def quoted(word: str) -> str:
    r"""Return a word as a shell takes it; bytes that are not UTF-8 as bash and zsh write them.

    Examples
    --------
    >>> print(quoted("two words"), quoted("caf\udce9"))
    'two words' $'caf\351'
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        parts = (
            chr(byte) if 32 <= byte < 127 and chr(byte) not in "'\\" else f"\\{byte:03o}"
            for byte in os.fsencode(word)
        )
        return f"$'{''.join(parts)}'"
    return shlex.quote(word)
