"""The options that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from napari_dinov3_sim.backbones.registry import BUILTIN, DEFAULT_MODEL

MODEL_HELP = (
    "a name that `models` lists, a folder, a weights file or a hub id; "
    f"{BUILTIN} needs no download (default: %(default)s)"
)


def add_model(
    parser: argparse.ArgumentParser,
    default: str | None = DEFAULT_MODEL,
    help_text: str = MODEL_HELP,
) -> None:
    """Add which model is used, and `--json`."""
    parser.add_argument("--model", default=default, help=help_text)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16"), help="arithmetic"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_clicks(parser: argparse.ArgumentParser) -> None:
    """Add what is clicked, and where."""
    parser.add_argument(
        "--at",
        metavar=("X", "Y"),
        nargs=2,
        type=coordinate,
        action="append",
        required=True,
        help="a clicked pixel of QUERY: column and row from the top left, in the finest level; "
        "may be repeated",
    )
    parser.add_argument(
        "--not",
        dest="negatives",
        metavar=("X", "Y"),
        nargs=2,
        type=coordinate,
        action="append",
        help="a pixel of QUERY on what is not meant; may be repeated",
    )
    parser.add_argument(
        "--plane",
        metavar=("I", "J"),
        nargs="+",
        type=_index,
        help="the clicked plane of QUERY, where it has several: its index on each axis before "
        "rows and columns, counted from 0 as by the sliders of napari",
    )
    parser.add_argument(
        "--channel",
        metavar="C",
        type=_index,
        help="the clicked channel of QUERY, where it is an OME-Zarr image of several, from 0",
    )
    parser.add_argument(
        "--combine",
        choices=("auto", "mean", "best", "contrast"),
        default="auto",
        help="how several pixels make one score; auto is the mean without --not, contrast with",
    )
    parser.add_argument(
        "--kind",
        metavar="NAME",
        type=name,
        help="what is clicked, for tables and the saved query (default: the name of the saved "
        "query, or kind 1)",
    )
    parser.add_argument(
        "--save-query", metavar="FILE", type=Path, help="keep the query for `search`"
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add what a search writes."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder for the results"
    )
    parser.add_argument(
        "--threshold",
        metavar="T",
        type=_threshold,
        help="write objects of at least this cosine as labels; otsu chooses one for all images",
    )
    parser.add_argument(
        "--min-area",
        metavar="PX",
        type=_area,
        help="with --threshold: drop objects of fewer pixels (default: keep all)",
    )
    parser.add_argument(
        "--peaks",
        action="store_true",
        help="write the places of greatest cosine as a table, from the threshold on",
    )
    parser.add_argument(
        "--embeddings",
        metavar="DIR",
        type=Path,
        help="folder that `embed` filled with the same model, resolution, shifts and padding",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add how files are read that do not say what their planes are."""
    parser.add_argument(
        "--read-as",
        choices=("auto", "rgb", "stack"),
        default="auto",
        help="what a TIFF or .npy file of 3 or 4 planes is: one RGB or RGBA image, or a stack; "
        "auto goes by the file, and says what it chose where the file leaves it open; with stack "
        "the channels of an OME-Zarr image are planes of one stack, too",
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add how pixels become embeddings."""
    parser.add_argument(
        "--resolution",
        type=_factor,
        choices=(0.5, 1.0, 2.0, 4.0),
        default=1.0,
        help="how much larger the image goes through the model: 0.5, 1, 2 or 4 (default: 1)",
    )
    parser.add_argument(
        "--shifts",
        type=int,
        choices=(1, 2, 4),
        default=1,
        help="into how many cells a patch is split along each side (default: 1)",
    )
    parser.add_argument(
        "--padding",
        choices=("zeros", "reflect"),
        default="zeros",
        help="what lies beyond the right and the bottom border (default: zeros)",
    )


def coordinate(text: str) -> float:
    """Return a number of pixels."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels")
    return value


def _index(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an index, which counts from 0; name images before it, or after "
            "another option"
        )
    return int(text)


def name(text: str) -> str:
    """Return a name without the space around it."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a name needs at least one letter")
    return text.strip()


def _threshold(text: str) -> float | str:
    if text == "otsu":
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither otsu nor a cosine from -1 to 1")
    return value


def _area(text: str) -> float:
    value = coordinate(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an area in pixels")
    return value


def _factor(text: str) -> float:
    """Return a resolution; ½ may be written as 0.5, 1/2 or ½."""
    try:
        return {"½": 0.5, "1/2": 0.5}.get(text) or float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of 0.5, 1, 2 and 4") from None
