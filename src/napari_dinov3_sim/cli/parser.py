"""The command line: `napari-dinov3-sim similarity`, `search`, `embed`, `models`, …."""

from __future__ import annotations

import argparse
import errno
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from napari_dinov3_sim import __version__
from napari_dinov3_sim.backbones.registry import BUILTIN, DEFAULT_MODEL
from napari_dinov3_sim.cli.errors import UsageError, lines_of, one_line
from napari_dinov3_sim.cli.output.thresholds import Threshold
from napari_dinov3_sim.cli.reading.numbered_files import as_stacks
from napari_dinov3_sim.cli.reading.paths import image_path, local_path
from napari_dinov3_sim.cli.terminal import PROGRAM, note
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.objects.sizes import Area

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


DEVICE_HELP = "auto, cpu, openvino (the CPU, with OpenVINO), cuda, cuda:1 or mps"

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
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
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
        help="a clicked pixel of QUERY: column and row from the top left, in the finest level; "
        "may be repeated",
    )
    parser.add_argument(
        "--regions",
        metavar="FILE",
        type=local_path,
        help="what is marked in QUERY, in place of --at or besides: GeoJSON of QuPath, ROIs of "
        "ImageJ or an image of labels; each class that the file names is a class",
    )
    parser.add_argument(
        "--not",
        dest="negatives",
        metavar=("X", "Y"),
        nargs=2,
        type=coordinate,
        action="append",
        help="a negative point: a pixel of QUERY on what is not meant; may be repeated",
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
        help="the clicked channel of QUERY, where it has several, from 0",
    )
    parser.add_argument(
        "--combine",
        choices=("auto", "mean", "best", "contrast", "learned"),
        default="auto",
        help="how several pixels make one score; auto is the mean without --not, learned with",
    )
    parser.add_argument(
        "--class",
        "--kind",  # its name before 0.2
        dest="class_name",
        metavar="NAME",
        type=name,
        help="name of the class that is clicked, for tables and the saved query (default: the "
        "name of the saved query, or class 1)",
    )
    parser.add_argument(
        "--save-query", metavar="FILE", type=local_path, help="keep the query for `search`"
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add what a search writes."""
    parser.add_argument(
        "--out", metavar="DIR", type=local_path, required=True, help="folder for the results"
    )
    parser.add_argument(
        "--threshold",
        metavar="T",
        type=_threshold,
        action="append",
        help="write objects of at least this cosine as labels; otsu chooses one for all images; "
        "NAME=T is the threshold of one class, and may be repeated",
    )
    parser.add_argument(
        "--labels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with --threshold: write these objects, or use the threshold for the rest alone "
        "(default: write them)",
    )
    parser.add_argument(
        "--objects",
        action="store_true",
        help="write objects also without --threshold: from the score on that is saved with the "
        "query, or else follows from it, as in the dock",
    )
    parser.add_argument(
        "--outline",
        choices=("edges", "patches"),
        default="edges",
        help="where objects end: at the edges of the image, or with patches (default: edges)",
    )
    parser.add_argument(
        "--split", action="store_true", help="part objects that touch where they are narrow"
    )
    parser.add_argument(
        "--min-area",
        metavar="AREA",
        type=_area,
        help="drop smaller objects: pixels, or an area such as 50um2 in images with a pixel size "
        "(default: keep all)",
    )
    parser.add_argument(
        "--max-area", metavar="AREA", type=_area, help="drop larger objects, as for --min-area"
    )
    parser.add_argument(
        "--export",
        metavar="FORMATS",
        type=_object_formats,
        help="write the objects for other programs, too: geojson for QuPath, imagej for a ROI "
        "set, ome-tiff, ome-zarr or png; several are separated by commas",
    )
    parser.add_argument(
        "--peaks",
        action="store_true",
        help="write the places of greatest cosine as a table, from the threshold on",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="count and measure the objects, as --objects makes them: a table for each image, "
        "and a summary of all",
    )
    parser.add_argument(
        "--maps",
        choices=("all", "cosine", "heatmap", "none"),
        default="all",
        help="which maps are written for each image: the cosines as TIFF, the heatmap over the "
        "image as PNG, both or neither (default: all)",
    )
    parser.add_argument(
        "--limits",
        metavar=("LOW", "HIGH"),
        nargs=2,
        type=_cosine,
        help="the cosines that are darkest and brightest in the heatmaps (default: the least and "
        "the greatest of this search)",
    )
    parser.add_argument(
        "--embeddings",
        metavar="DIR",
        type=local_path,
        help="folder that `embed` filled with the same model, resolution, shifts and padding",
    )
    parser.add_argument(
        "--keep-embeddings",
        action="store_true",
        help="with --embeddings: make the folder if need be, and keep there what is embedded, so "
        "that a search that was interrupted goes on with the same command and --overwrite",
    )
    parser.add_argument(
        "--progress",
        choices=("bar", "json"),
        default="bar",
        help="how progress is shown: bars on a terminal, or a JSON object a line on the standard "
        "output in place of the tables (default: bar)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that already have the names of the results",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add how files are read that do not say what their planes are."""
    parser.add_argument(
        "--read-as",
        choices=("auto", "rgb", "stack", "channels"),
        default="auto",
        help="what the planes of a file are: the colours of one image (rgb), planes of one stack "
        "(stack), or channels, each an image of its own; auto goes by the file, and says what it "
        "chose where the file leaves it open",
    )
    parser.add_argument(
        "--stack",
        action="store_true",
        help="take the files of each folder, and of each pattern, for the planes of one stack, in "
        "the order of their numbers; quote a pattern, so that the shell leaves it",
    )
    parser.add_argument(
        "--reader",
        metavar="PLUGIN",
        help="the napari plugin that reads the images, such as napari-ome-zarr, or napari for "
        "its own reader (default: that of napari's preferences, else this package)",
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


def _object_formats(text: str) -> list[str]:
    return _formats(text, ("geojson", "imagej", "ome-tiff", "ome-zarr", "png"))


def _embedding_formats(text: str) -> list[str]:
    return _formats(text, ("npz", "zarr"))


def _formats(text: str, known: Sequence[str]) -> list[str]:
    """Return formats that are separated by commas, each once."""
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    other = [name for name in found if name not in known]
    if other or not found:
        what = repr(other[0]) if other else "nothing"
        raise argparse.ArgumentTypeError(f"{what} is none of {', '.join(known)}")
    return found


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


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _threshold(text: str) -> Threshold:
    """Return the threshold of all classes or, after its name and ``=``, of one."""
    class_name, equals, level = text.rpartition("=")
    if level == "otsu" and not equals:
        return Threshold(None, "otsu")
    try:
        value = float(level)
    except ValueError:
        value = math.nan
    if not -1 <= value <= 1 or (equals and not class_name.strip()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither otsu nor a cosine from -1 to 1, nor NAME= and such a cosine"
        )
    return Threshold(class_name.strip() if equals else None, value)


def _cosine(text: str) -> float:
    value = coordinate(text)
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no cosine from -1 to 1")
    return value


def _area(text: str) -> Area:
    try:
        return Area.parse(text)
    except SimilarityError as error:
        raise argparse.ArgumentTypeError(str(error).removesuffix(".")) from None


def _factor(text: str) -> float:
    """Return a resolution; ½ may be written as 0.5, 1/2 or ½."""
    try:
        return {"½": 0.5, "1/2": 0.5}.get(text) or float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of 0.5, 1, 2 and 4") from None


DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; anything unforeseen; a user's mistake; Ctrl-C."""

_PATTERN_HELP = "or a folder, or a pattern such as 'scans/*.tif'"

_IMAGE_HELP = (
    "any image that napari opens, also a stack, or the URL of one; FILE:series=N for one of "
    "several images"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        0 done, 2 wrong usage or unreadable input, 1 anything else, 130 interrupted.
    """
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as finished:  # --help and --version
        return int(finished.code or DONE)
    except SimilarityError as error:
        for line in lines_of(error):
            note(f"error: {line}")
        return REFUSED
    except KeyboardInterrupt:
        note("interrupted; files already written are whole.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output is gone. What Python still has to write at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return INTERRUPTED
    except OSError as error:
        if os.name == "nt" and error.errno == errno.EINVAL and error.filename is None:
            return INTERRUPTED  # what Windows says of a pipe whose reader is gone
        if error.filename is None:
            return _unexpected(error)
        why = error.strerror or type(error).__name__
        note(f"error: {error.filename} cannot be used ({why}); check its name and its folder.")
        return REFUSED
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    note(f"error: unexpected {type(error).__name__}: {one_line(error)}")
    return FAILED


def _run(argv: list[str]) -> int:
    if argv and argv[0] in _COMMANDS:
        parser = _Parser(prog=f"{PROGRAM} {argv[0]}", description=_SUMMARIES[argv[0]])
        run = _COMMANDS[argv[0]](parser)
        # Images may stand before and after the options, which subparsers do not allow.
        arguments = parser.parse_intermixed_args(argv[1:])
        if getattr(arguments, "stack", False):
            _name_stacks(arguments, argv[0])
        return run(arguments)
    _main_parser().parse_args(argv)
    return DONE


def _name_stacks(arguments: argparse.Namespace, command: str) -> None:
    """Let each folder and each pattern be one image."""
    for images in {"images", "targets"} & vars(arguments).keys():
        setattr(arguments, images, as_stacks(getattr(arguments, images)))
    if command == "similarity":  # of `search`, it is a saved query
        (arguments.query,) = as_stacks([arguments.query])


def _main_parser() -> _Parser:
    commands = "\n".join(f"  {name:<16}{text}" for name, text in _SUMMARIES.items())
    parser = _Parser(
        prog=PROGRAM,
        description="Click on a structure in one image; every image shows where similar ones are.",
        epilog=f"commands:\n{commands}\n\nEach has its own --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("command", choices=list(_COMMANDS), help="what to do, see below")
    return parser


def _similarity(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "query", metavar="QUERY", type=image_path, help=f"the image that is clicked; {_IMAGE_HELP}"
    )
    parser.add_argument(
        "targets",
        metavar="TARGET",
        type=image_path,
        nargs="*",
        help=f"other images to search, all their planes; {_PATTERN_HELP}",
    )
    add_clicks(parser)
    add_results(parser)
    add_reading(parser)
    add_recipe(parser)
    add_model(parser)
    return _run_similarity


def _search(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "query", metavar="QUERYFILE", type=local_path, help="what `similarity --save-query` wrote"
    )
    parser.add_argument(
        "targets",
        metavar="TARGET",
        type=image_path,
        nargs="*",
        help=f"to search, all its planes; {_IMAGE_HELP}; {_PATTERN_HELP}",
    )
    parser.add_argument(
        "--files-from",
        metavar="LIST",
        type=local_path,
        help="a file that names more images: one a line, or each ended by a NUL byte as `find "
        "-print0` writes them",
    )
    add_results(parser)
    add_reading(parser)
    add_recipe(parser)
    add_model(parser, None, "the model the query was made with (default: by its name)")
    parser.add_argument(
        "--ask-again",
        action="store_true",
        help="search with any model: embed the pictures of what was clicked, which are in the "
        "query, in place of its vectors; negative points and thresholds do not carry over",
    )
    return _run_search


def _embed(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "images",
        metavar="IMAGE",
        type=image_path,
        nargs="+",
        help=f"{_IMAGE_HELP}; {_PATTERN_HELP}",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=local_path, required=True, help="folder for the embeddings"
    )
    add_reading(parser)
    add_recipe(parser)
    parser.add_argument(
        "--export",
        metavar="FORMATS",
        type=_embedding_formats,
        help="write the embeddings with the places of the patches for other programs, too: npz, "
        "zarr or both, separated by a comma",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="with --export: replace files that already have these names; what is embedded is not "
        "embedded again",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the workers of this dask.distributed scheduler, such as tcp://10.0.0.1:8786",
    )
    add_model(parser)
    return _run_embed


def _models(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return _run_models


def _compare_models(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "folders",
        metavar="FOLDER",
        type=local_path,
        nargs="+",
        help="annotated images, or folders of them: beside NAME.png (or .tif …) lies "
        "NAME.classes.png (or .tif) with the class of each pixel as a number, or "
        "NAME.instances.tif with the number of its object",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=[BUILTIN],
        help=f"names that `models` lists, folders, weights files or hub ids (default: {BUILTIN}); "
        "the others are compared with the first",
    )
    parser.add_argument(
        "--baselines",
        nargs="*",
        choices=("raw", "rgb", "lbp", "hog", "filters"),
        default=["raw", "rgb"],
        help="features without a model: pixels, mean and spread of the colours, local binary "
        "patterns, histograms of gradients, a filter bank (default: raw rgb)",
    )
    parser.add_argument(
        "--clicks",
        metavar="N",
        type=_count,
        default=3,
        help="on each class in each image, at most (default: 3)",
    )
    parser.add_argument(
        "--max-images",
        metavar="N",
        type=_count,
        help="of each folder, evenly chosen (default: all)",
    )
    parser.add_argument(
        "--zoom",
        metavar="N",
        type=int,
        choices=(1, 2, 3, 4),
        help="how many times larger the images are searched, for objects smaller than two patches "
        "(default: 1, or what set.json in the folder says)",
    )
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16"), help="arithmetic"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return _run_compare_models


def _demo(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=local_path,
        default=Path("demo-output"),
        help="folder for the pictures (default: %(default)s)",
    )
    parser.add_argument("--model", default=BUILTIN, help=MODEL_HELP)
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    parser.add_argument(
        "--gui",
        action=argparse.BooleanOptionalAction,
        help="open napari with the first pair, or do not (default: where there is a screen)",
    )
    return _run_demo


def _run_similarity(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim.cli.commands import similarity

    return similarity.run_similarity(arguments)


def _run_search(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim.cli.commands import search

    return search.run_search(arguments)


def _run_embed(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim.cli.commands import embed

    return embed.run_embed(arguments)


def _run_models(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim.cli.commands import models

    return models.run_models(arguments)


def _run_compare_models(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim.cli.commands import compare_models

    return compare_models.run_compare_models(arguments)


def _run_demo(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim.cli.commands import demo

    return demo.run_demo(arguments.out, arguments.model, arguments.device, gui=arguments.gui)


_COMMANDS = {
    "similarity": _similarity,
    "search": _search,
    "embed": _embed,
    "models": _models,
    "compare-models": _compare_models,
    "demo": _demo,
}

_SUMMARIES = {
    "similarity": "Click in one image; write cosine maps and heatmaps of all images.",
    "search": "Search other images with a saved query.",
    "embed": "Embed images once, for many searches.",
    "models": "List the models, and which are on this computer.",
    "compare-models": "Measure on annotated images which model finds best.",
    "demo": "Show the plugin on images that come with scikit-image.",
}
