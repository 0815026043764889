"""What a search writes for each image and kind, and what it tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.entries import Entry, Written, summarise
from napari_dinov3_sim._cli.errors import InputError, UsageError
from napari_dinov3_sim._cli.outputs import OutputFolder, encode_png, encode_tif, unique_stems
from napari_dinov3_sim._cli.overlay import NEGATIVE, OUTLINE, draw_heatmap, outline_patches
from napari_dinov3_sim._cli.terminal import note
from napari_dinov3_sim.peak_files import PeakRow, peaks_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim._cli.overlay import Limits
    from napari_dinov3_sim.core.intensity import IntensityWindow
    from napari_dinov3_sim.core.similarity import Point, SimilarityMap

COSINE, HEATMAP, LABELS = ".cosine.tif", ".heatmap.png", ".labels.tif"
WINNER, PEAKS = ".winner.tif", ".peaks.csv"
MAX_KIND = 40
"""Characters of a kind's name in the name of a file."""


@dataclass(frozen=True)
class Wanted:
    """What is written besides maps and heatmaps.

    Attributes
    ----------
    threshold : float, 'otsu' or None
        In units of the cosine; None for no labels.
    min_area : float
        Pixels of the smallest object that is kept.
    peaks : bool
        Whether a table of peaks is written.
    """

    threshold: float | str | None
    min_area: float
    peaks: bool

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Wanted:
        """Return what the command line wants.

        Raises
        ------
        UsageError
            A least area of objects, where none are written.
        """
        if arguments.min_area is not None and arguments.threshold is None:
            raise UsageError(
                "--min-area drops small objects, and none are written without --threshold; add "
                "--threshold otsu or a cosine, or leave --min-area out."
            )
        return cls(arguments.threshold, arguments.min_area or 0.0, arguments.peaks)

    def level(self, maps: Sequence[SimilarityMap]) -> float | None:
        """Return the threshold for these maps; peaks have Otsu's if none was given."""
        from napari_dinov3_sim.core.thresholds import otsu_threshold

        if isinstance(self.threshold, float):
            return self.threshold
        return otsu_threshold(maps) if self.threshold or self.peaks else None


@dataclass(frozen=True, eq=False)
class Result:
    """The maps of one image, and what is needed to draw them.

    Attributes
    ----------
    path : Path
    maps : tuple of SimilarityMap
        One per kind.
    window : IntensityWindow or None
    stored : bool
        Whether stored embeddings were used.
    points, negatives : tuple of (x, y)
        The clicks, in the image that was clicked; empty elsewhere.
    """

    path: Path
    maps: tuple[SimilarityMap, ...]
    window: IntensityWindow | None
    stored: bool
    points: tuple[Point, ...] = ()
    negatives: tuple[Point, ...] = ()

    def pixels(self, read: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
        """Read the image again."""
        image = read(self.path)
        if image.shape[:2] != self.maps[0].grid.image_shape:
            raise InputError(f"{self.path} was changed in the meantime; run the command again.")
        return image


def check_embeddings_folder(folder: Path | None) -> None:
    """Raise `UsageError` for a folder of embeddings that is not there."""
    if folder and not folder.is_dir():
        raise UsageError(
            f"There is no folder {folder}; make it with `napari-dinov3-sim embed`, or leave "
            "--embeddings out."
        )


def note_renamed(images: Iterable[Path], stems: Iterable[str]) -> None:
    """Tell which results are not called as their image."""
    for path, stem in zip(images, stems, strict=True):
        if path.stem != stem:
            note(f"note: the results of {path} are called {stem}, because {path.stem} is taken.")


def output_names(stems: Iterable[str], kinds: Sequence[str], wanted: Wanted) -> list[str]:
    """Return the name of every file that will be written."""
    ends = [COSINE, HEATMAP] + [LABELS] * (wanted.threshold is not None)
    together = [WINNER] * (len(kinds) > 1) + [PEAKS] * wanted.peaks
    parts = [f"{part}{end}" for part in _kind_parts(kinds) for end in ends]
    return [f"{stem}{name}" for stem in stems for name in (*parts, *together)]


def _kind_parts(kinds: Sequence[str]) -> list[str]:
    """Return what tells the files of kinds apart; nothing for one."""
    if len(kinds) == 1:
        return [""]
    plain = [re.sub(r"\W+", "-", kind)[:MAX_KIND].strip("-") or "kind" for kind in kinds]
    return [f".{stem}" for stem in unique_stems([Path(f"{name}.x") for name in plain])]


def write_results(
    results: Sequence[Result],
    stems: Sequence[str],
    kinds: Sequence[str],
    wanted: Wanted,
    folder: OutputFolder,
    *,
    read: Callable[[Path], NDArray[Any]],
) -> Written:
    """Write the files of all images, on one scale and with one threshold.

    Parameters
    ----------
    results : sequence of Result
    stems : sequence of str
        A name for each result.
    kinds : sequence of str
        Names of the kinds, in the order of the maps.
    wanted : Wanted
    folder : OutputFolder
    read : callable
        Returns the pixels of an image again.
    """
    from napari_dinov3_sim.core.similarity import shared_limits

    maps = [one for result in results for one in result.maps]
    limits, level = shared_limits(one.cosine for one in maps), wanted.level(maps)
    writer = _Writer(folder, kinds, wanted, limits, level, read)
    entries = [writer.write(result, stem) for result, stem in zip(results, stems, strict=True)]
    return Written(entries, limits, level)


@dataclass(frozen=True, eq=False)
class _Writer:
    folder: OutputFolder
    kinds: Sequence[str]
    wanted: Wanted
    limits: Limits
    level: float | None
    read: Callable[[Path], NDArray[Any]]

    def write(self, result: Result, stem: str) -> Entry:
        image = result.pixels(self.read)
        about = {
            "image": str(result.path),
            "clicked": bool(result.points),
            "shape": list(result.maps[0].grid.image_shape),
            "stored_embeddings": result.stored,
        }
        parts = zip(self.kinds, _kind_parts(self.kinds), result.maps, strict=True)
        kinds = [
            {"kind": kind, **self._write_kind(result, image, one, f"{stem}{part}")}
            for kind, part, one in parts
        ]
        return Entry(about, kinds, self._write_together(result, stem))

    def _write_kind(
        self, result: Result, image: NDArray[Any], one: SimilarityMap, stem: str
    ) -> dict[str, Any]:
        cosine = self.folder.write(f"{stem}{COSINE}", encode_tif(one.full_resolution()))
        picture = draw_heatmap(image, result.window, one, self.limits)
        picture = outline_patches(picture, one.grid, result.points, OUTLINE)
        picture = outline_patches(picture, one.grid, result.negatives, NEGATIVE)
        heatmap = self.folder.write(f"{stem}{HEATMAP}", encode_png(picture))
        about = {**summarise(one), "cosine": str(cosine), "heatmap": str(heatmap)}
        return about | self._write_labels(one, stem)

    def _write_labels(self, one: SimilarityMap, stem: str) -> dict[str, Any]:
        from napari_dinov3_sim.core.similarity import upsample_nearest
        from napari_dinov3_sim.core.thresholds import threshold_labels

        if self.wanted.threshold is None or self.level is None:
            return {}
        labels = threshold_labels(one, self.level, self.wanted.min_area)
        content = encode_tif(upsample_nearest(labels, one.grid))
        path = self.folder.write(f"{stem}{LABELS}", content)
        return {"labels": str(path), "objects": int(labels.max())}

    def _write_together(self, result: Result, stem: str) -> dict[str, str]:
        from napari_dinov3_sim.core.combine import winner
        from napari_dinov3_sim.core.similarity import upsample_nearest

        files = {}
        if len(self.kinds) > 1:
            level = None if self.wanted.threshold is None else self.level
            numbers = upsample_nearest(winner(result.maps, level), result.maps[0].grid)
            files["winner"] = self.folder.write(f"{stem}{WINNER}", encode_tif(numbers))
        if self.wanted.peaks:
            content = peaks_table(self._peaks(result)).encode()
            files["peaks"] = self.folder.write(f"{stem}{PEAKS}", content)
        return {name: str(path) for name, path in files.items()}

    def _peaks(self, result: Result) -> Iterator[PeakRow]:
        from napari_dinov3_sim.core.peaks import find_peaks

        for kind, one in zip(self.kinds, result.maps, strict=True):
            for peak in find_peaks(one, self.level):
                yield PeakRow(result.path.name, kind, peak.x, peak.y, peak.score)
