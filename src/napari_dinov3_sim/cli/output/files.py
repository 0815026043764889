"""Files of results: their folder, their names, their encodings."""

from __future__ import annotations

import io
import os
import re
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_dinov3_sim.cli.errors import OutputError, UsageError
from napari_dinov3_sim.cli.output.thresholds import AskedClasses, Levels, WantedLevels
from napari_dinov3_sim.cli.reading.layer import NO_GRID, PixelGrid
from napari_dinov3_sim.cli.reading.paths import unique_stems
from napari_dinov3_sim.cli.terminal import note
from napari_dinov3_sim.core.objects.sizes import NO_LEAST, NO_MOST, Area
from napari_dinov3_sim.core.text import file_name_part, name_key
from napari_dinov3_sim.exchange.objects import SUFFIXES, ObjectFormat
from napari_dinov3_sim.exchange.ome_tiff import FAST, PlaneStack, write_ome_tiff
from napari_dinov3_sim.exchange.pictures import png_resolution
from napari_dinov3_sim.exchange.placement import METRES, Axis
from napari_dinov3_sim.readers.tiff_metadata import SOFTWARE
from napari_dinov3_sim.store.atomic_files import cure_of, replacing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.search.similarity import SimilarityMap


@dataclass(frozen=True)
class OutputFolder:
    """A folder that exists and can be written; see `open_folder`."""

    path: Path

    def write(self, name: str, content: bytes) -> Path:
        """Write a file whole or not at all, and return its path."""
        with self.writing(name) as part:
            part.write_bytes(content)
        return self.path / name

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Lend a path whose file then gets its name here, unless an error is raised."""
        target = self.path / name
        try:
            with replacing(target) as part:
                yield part
        except OSError as error:
            raise _cannot_write(target, error) from error


def open_folder(path: Path) -> OutputFolder:
    """Make a folder if need be, and find out now whether files can be written into it.

    Raises
    ------
    OutputError
        They cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError as error:
        raise OutputError(
            f"{path} is a file, not a folder; choose another folder with --out."
        ) from error
    except OSError as error:
        raise _cannot_write(path, error) from error
    return OutputFolder(path)


@contextmanager
def lent_folder(path: Path) -> Iterator[OutputFolder]:
    """Lend a folder from `open_folder`; what was made for it goes again if it is left empty."""
    made = [one for one in (path, *path.parents) if not os.path.lexists(one)]
    try:
        yield open_folder(path)
    finally:
        for folder in made:  # the innermost first
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}); {cure_of(error)} with --out."
    )


def check_inputs_survive(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Raise `OutputError` if a result would replace an image that is read, or lie within one."""
    read = {key: path for path in inputs for key in _keys(path)}
    for output in outputs:
        found = [read[key] for key in (*_keys(output), *output.resolve().parents) if key in read]
        if found:
            raise OutputError(
                f"{output} would replace {found[0]}, which is read as an image, or lie in it; "
                "choose another folder with --out, another name for --save-query, or leave that "
                "image out."
            )


def check_outputs_differ(query: Path, results: Iterable[Path]) -> None:
    """Raise `OutputError` if a result would replace the query that is saved besides."""
    keys = _keys(query)
    for result in results:
        if not keys.isdisjoint(_keys(result)):
            raise OutputError(
                f"The query would be replaced by the result {result}; give --save-query another "
                "name, such as one that ends in .query.safetensors."
            )


def check_nothing_is_replaced(
    outputs: Iterable[Path], cure: str = "choose another folder with --out, or add --overwrite"
) -> None:
    """Raise `OutputError` if there already is a file of the name of a result."""
    there = [output for output in outputs if output.exists() or output.is_symlink()]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise OutputError(f"{there[0]}{more} would be replaced; {cure}.")


def _keys(path: Path) -> set[object]:
    """Return by what a file is known; case does not tell names apart on every file system."""
    resolved = path.resolve()
    by_name: set[object] = {resolved, resolved.with_name(name_key(resolved.name))}
    try:
        facts = resolved.stat()
    except OSError:
        return by_name
    # Some network folders of Windows give no file a number.
    return {resolved, (facts.st_dev, facts.st_ino)} if facts.st_ino else by_name


def metres_of(pixel: PixelGrid) -> tuple[float, float] | None:
    """Return height and width of a pixel in metres; None where they are not known."""
    factor = METRES.get(pixel.unit)
    return None if factor is None else (pixel.size[0] * factor, pixel.size[1] * factor)


def encode_png(
    picture: NDArray[np.uint8],
    pixel: PixelGrid | None = None,
    step: int = 1,
    software: str = SOFTWARE,
) -> bytes:
    """Return an RGB picture as PNG, quickly rather than as small as possible.

    Parameters
    ----------
    picture : ndarray
    pixel : PixelGrid, optional
        Where the pixels of its image lie.
    step : int, optional
        How many of these pixels one of the picture spans.
    software : str, optional
        What it says that it was made by.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text("Software", software)
    stream, options = io.BytesIO(), dict[str, Any](pnginfo=about)
    size = None if pixel is None else metres_of(pixel)
    if size is not None:
        options |= png_resolution([one * step for one in size])
    Image.fromarray(picture).save(stream, "PNG", compress_level=FAST, **options)
    return stream.getvalue()


def encode_tif(values: NDArray[Any], software: str = SOFTWARE) -> bytes:
    """Return a plane of numbers as TIFF, losslessly compressed."""
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream, values, software=software, compression="zlib", photometric="minisblack"
    )
    return stream.getvalue()


def made_by(path: Path) -> str:
    """Return what a PNG or TIFF says that it was made by; empty where it says nothing."""
    import tifffile
    from PIL import Image

    try:
        if path.suffix == ".tif":
            with tifffile.TiffFile(path) as file:
                return str(file.pages.first.software)
        with Image.open(path) as picture:
            return str(picture.info.get("Software", ""))
    except (OSError, ValueError):  # no picture at all
        return ""


def write_map(
    path: Path,
    values: NDArray[Any],
    grid: PatchGrid,
    pixel: PixelGrid = NO_GRID,
    title: str = "",
) -> None:
    """Write a number for each patch as an OME-TIFF of the size of the image, which is never whole.

    Parameters
    ----------
    path : Path
    values : ndarray, shape (rows, columns)
    grid : PatchGrid
    pixel : PixelGrid, optional
        Where the pixels of the image lie.
    title : str, optional
        Name of its one channel.
    """
    columns = np.arange(grid.image_shape[1]) // grid.patch_size

    def rows_of(_plane: tuple[int, ...], top: int, end: int) -> NDArray[Any]:
        return values[np.ix_(np.arange(top, end) // grid.patch_size, columns)]

    axes = axes_of(pixel)
    write_ome_tiff(path, PlaneStack(grid.image_shape, values.dtype, axes, rows_of, (title,)))


def axes_of(pixel: PixelGrid) -> tuple[Axis, Axis]:
    """Return rows and columns of a plane as the files of other programs have them."""
    placed = zip("yx", pixel.size, pixel.origin, strict=True)
    down, across = (Axis(name, size, origin, pixel.unit) for name, size, origin in placed)
    return down, across


COSINE, HEATMAP, LABELS = ".cosine.tif", ".heatmap.png", ".labels.tif"
CLASS_MAP, PEAKS, OBJECTS = ".class-map.tif", ".peaks.csv", ".objects.csv"
SUMMARY = "summary.csv"
FORMER_CLASS_MAP = ".winner.tif"
"""What a class map ended in before 0.2."""

ENDS = (
    *(COSINE, HEATMAP, LABELS, CLASS_MAP, FORMER_CLASS_MAP, PEAKS, OBJECTS),
    *(SUFFIXES[name] for name in get_args(ObjectFormat)),
)
"""Of the names of all results, also of an earlier search."""

MAX_CLASS = 40
"""Bytes of a class's name in the name of a file."""


@dataclass(frozen=True)
class WantedObjects:
    """What counts as an object.

    Attributes
    ----------
    outline : {'edges', 'patches'}
        Where objects end.
    split : bool
        Whether objects that touch are split.
    min_area, max_area : Area
    """

    outline: str = "edges"
    split: bool = False
    min_area: Area = NO_LEAST
    max_area: Area = NO_MOST

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> WantedObjects:
        """Return what the command line wants."""
        least, most = arguments.min_area or NO_LEAST, arguments.max_area or NO_MOST
        return cls(arguments.outline, arguments.split, least, most)


@dataclass(frozen=True)
class OutputOptions:
    """What is written.

    Attributes
    ----------
    thresholds : WantedLevels
        Without any there are no labels.
    objects : WantedObjects
        What counts as an object.
    peaks : bool
        Whether a table of peaks is written.
    maps : {'all', 'cosine', 'heatmap', 'none'}
        Which maps of each class are written.
    limits : tuple of two float, optional
        The cosines drawn darkest and brightest; by default those of all maps.
    writes_labels : bool, optional
        Whether objects are written where there are thresholds.
    measure : bool, optional
        Whether objects are measured.
    exports : tuple of str, optional
        Formats of other programs in which objects are written, too.
    """

    thresholds: WantedLevels
    objects: WantedObjects = WantedObjects()
    peaks: bool = False
    maps: str = "all"
    limits: tuple[float, float] | None = None
    writes_labels: bool = True
    measure: bool = False
    exports: tuple[ObjectFormat, ...] = ()

    @property
    def labels(self) -> bool:
        """Whether objects are written."""
        return self.writes_labels and bool(self.thresholds)

    @property
    def seeks_objects(self) -> bool:
        """Whether objects are sought: to be written, measured or exported."""
        return self.labels or self.measure or bool(self.exports)

    @property
    def cosine(self) -> bool:
        """Whether cosines are written."""
        return self.maps in ("all", "cosine")

    @property
    def heatmap(self) -> bool:
        """Whether heatmaps are drawn."""
        return self.maps in ("all", "heatmap")

    @classmethod
    def of(
        cls, arguments: argparse.Namespace, saved: Mapping[str, float] | None = None
    ) -> OutputOptions:
        """Return what the command line wants.

        Parameters
        ----------
        arguments : argparse.Namespace
        saved : mapping of str to float, optional
            Thresholds of a saved query, by class.

        Raises
        ------
        UsageError
            A least area of objects, where none are written, or areas or limits in the wrong order.
        """
        objects = arguments.objects or arguments.measure or bool(arguments.export)
        thresholds = WantedLevels.of(arguments.threshold, saved, automatic=objects)
        for option in ("min_area", "max_area", "split"):
            if getattr(arguments, option) and not thresholds:
                name = f"--{option.replace('_', '-')}"
                raise UsageError(
                    f"{name} is about objects, and none are written without --objects or "
                    f"--threshold; add --objects, or leave {name} out."
                )
        wanted = WantedObjects.of(arguments)
        if wanted.min_area.exceeds(wanted.max_area):
            raise UsageError(
                f"No object has {wanted.min_area} or more and {wanted.max_area} or less; give "
                "--max-area more than --min-area."
            )
        limits = tuple(arguments.limits) if arguments.limits else None
        if limits is not None and limits[0] >= limits[1]:
            raise UsageError("--limits go from the lower to the higher cosine, such as 0.2 0.9.")
        return cls(
            thresholds,
            wanted,
            arguments.peaks,
            arguments.maps,
            limits,
            arguments.labels,
            arguments.measure,
            tuple(arguments.export or ()),
        )

    def scale(
        self,
        classes: Sequence[str],
        maps: Sequence[SimilarityMap] = (),
        asked: AskedClasses | None = None,
    ) -> tuple[tuple[float, float] | None, Levels] | None:
        """Return limits of the heatmaps and thresholds; peaks have Otsu's if none was given.

        Parameters
        ----------
        classes : sequence of str
        maps : sequence of SimilarityMap, optional
            Of all planes.
        asked : AskedClasses, optional
            For automatic thresholds.

        Returns
        -------
        tuple or None
            None where they depend on the maps, and none are given. Limits are None where no
            heatmap is drawn.
        """
        from napari_dinov3_sim.core.search.similarity import shared_limits

        limits, levels = self.limits, self.thresholds.known(classes)
        if self.peaks and not self.thresholds:
            levels = None
        if maps:
            limits = limits or shared_limits(one.cosine for one in maps)
            levels = levels or self.thresholds.chosen(classes, maps, asked)
        if levels is None or (limits is None and self.heatmap):
            return None
        return limits, levels


def output_names(stems: Iterable[str], classes: Sequence[str], wanted: OutputOptions) -> list[str]:
    """Return the name of every file that will be written."""
    ends = [COSINE] * wanted.cosine + [HEATMAP] * wanted.heatmap
    ends += [LABELS] * wanted.labels
    together = [CLASS_MAP] * (len(classes) > 1) + [PEAKS] * wanted.peaks
    together += [SUFFIXES[name] for name in wanted.exports]
    parts = [f"{part}{end}" for part in class_parts(classes) for end in ends]
    return [f"{stem}{name}" for stem in stems for name in (*parts, *together)]


def table_names(image_stems: Iterable[str]) -> list[str]:
    """Return the names of the tables of measured objects, and of their summary."""
    return [*(f"{stem}{OBJECTS}" for stem in dict.fromkeys(image_stems)), SUMMARY]


def class_parts(classes: Sequence[str]) -> list[str]:
    """Return what tells the files of classes apart; nothing for one."""
    if len(classes) == 1:
        return [""]
    plain = [
        file_name_part(re.sub(r"\W+", "-", class_name), MAX_CLASS).strip("-") or "class"
        for class_name in classes
    ]
    return [f".{stem}" for stem in unique_stems(plain)]


MOST_NAMED = 6
"""Files that are named in one line."""


def note_leftovers(folder: Path, stems: Iterable[str], written: Iterable[str]) -> None:
    """Tell which files of the same images this search has not written; they stay.

    Parameters
    ----------
    folder : Path
        Of the results.
    stems : iterable of str
        By which the results of this search are called.
    written : iterable of str
        Its files.
    """
    mine, new = set(stems), {Path(path).name for path in written}
    # A folder that was made for this search is gone again if nothing could be written.
    found = folder.iterdir() if folder.is_dir() else ()
    names = sorted(path.name for path in found if path.name not in new)
    left = [name for name in names if _stems(name) & mine]
    if left:
        more = len(left) - MOST_NAMED
        named = ", ".join(left[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        what = "they do" if len(left) > 1 else "it does"
        note(
            f"note: {folder} also holds {named} of an earlier search; {what} not belong to these "
            "results."
        )


def _stems(name: str) -> set[str]:
    """Return what the image of a result may be called, with and without a class behind it."""
    for end in ENDS:
        if name.endswith(end):
            parts = name.removesuffix(end).split(".")
            return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return set()
