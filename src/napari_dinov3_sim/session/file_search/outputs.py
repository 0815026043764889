"""What a search of files writes, as a person chooses it and as the command line is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class SearchOutput:
    """Something that is written for each image.

    Attributes
    ----------
    name : str
        By which scripts choose it.
    label, tip : str
        For the dock.
    option : str, optional
        What asks the command line for it, unless the choice of maps or labels does.
    has_threshold : bool, optional
        Whether it depends on the thresholds of the classes.
    export : str, optional
        The format of ``--export`` that it is.
    """

    name: str
    label: str
    tip: str
    option: str = ""
    has_threshold: bool = False
    export: str = ""


OUTPUTS = (
    SearchOutput(
        "heatmaps", "Heatmaps", "Each image with its heatmap over it, as a picture (PNG)"
    ),
    SearchOutput("scores", "Scores", "The score of every pixel, as an image of numbers (TIFF)"),
    SearchOutput(
        "objects",
        "Objects",
        "The objects inside the contours, numbered, as Labels (TIFF)",
        has_threshold=True,
    ),
    SearchOutput(
        "table",
        "Table",
        "Size, shape and intensity of each object, and a summary of all images, as tables (CSV)",
        "--measure",
        has_threshold=True,
    ),
    SearchOutput(
        "peaks",
        "Peaks",
        "The best places of each image, with position and score, as a table (CSV)",
        "--peaks",
        has_threshold=True,
    ),
    SearchOutput(
        "geojson",
        "QuPath",
        "The objects as GeoJSON, which QuPath opens",
        has_threshold=True,
        export="geojson",
    ),
    SearchOutput(
        "imagej",
        "ImageJ",
        "The objects as a set of ROIs, which ImageJ and Fiji open",
        has_threshold=True,
        export="imagej",
    ),
)
"""Everything that can be chosen, in the order of the dock."""

DEFAULT_OUTPUTS = ("heatmaps", "objects", "table", "peaks")


def checked_outputs(names: Iterable[str]) -> tuple[SearchOutput, ...]:
    """Return what names mean, in the order of `OUTPUTS`.

    Raises
    ------
    SimilarityError
        There is no such output, or none is named.
    """
    wanted, known = set(names), [output.name for output in OUTPUTS]
    unknown = sorted(wanted.difference(known))
    if unknown:
        raise SimilarityError(
            f"There is nothing to write that is called {unknown[0]}; choose from "
            f"{', '.join(known)}."
        )
    if not wanted:
        raise SimilarityError("Nothing is chosen to be written; tick at least one result.")
    return tuple(output for output in OUTPUTS if output.name in wanted)


def output_options(outputs: Iterable[SearchOutput]) -> tuple[str, ...]:
    """Return the options of the command line that ask for outputs, without thresholds.

    Examples
    --------
    >>> output_options(checked_outputs(["heatmaps", "peaks"]))
    ('--maps', 'heatmap', '--no-labels', '--peaks')
    """
    chosen = {output.name: output for output in outputs}
    pairs = (("heatmaps", "heatmap"), ("scores", "cosine"))
    maps = [option for name, option in pairs if name in chosen]
    which = "all" if len(maps) == 2 else "".join(maps) or "none"
    labels = () if "objects" in chosen else ("--no-labels",)
    exports = ",".join(output.export for output in chosen.values() if output.export)
    return (
        "--maps",
        which,
        *labels,
        *(output.option for output in chosen.values() if output.option),
        *(("--export", exports) if exports else ()),
    )
