"""The command line: `napari-dinov3-sim similarity`, `search`, `embed`, `models` and `demo`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from napari_dinov3_sim import __version__
from napari_dinov3_sim._cli.errors import UsageError, lines_of, one_line
from napari_dinov3_sim._cli.options import (
    MODEL_HELP,
    add_clicks,
    add_model,
    add_reading,
    add_recipe,
    add_results,
)
from napari_dinov3_sim._cli.terminal import PROGRAM, note
from napari_dinov3_sim.backbones.registry import BUILTIN
from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; anything unforeseen; a user's mistake; Ctrl-C."""

_PATTERN_HELP = "or a pattern such as 'scans/*.tif'"

_IMAGE_HELP = "a PNG, JPEG, TIFF or .npy file, also a stack; a Zarr or OME-Zarr folder"


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
    except Exception as error:
        note(f"error: unexpected {type(error).__name__}: {one_line(error)}")
        return FAILED


def _run(argv: list[str]) -> int:
    if argv and argv[0] in _COMMANDS:
        parser = _Parser(prog=f"{PROGRAM} {argv[0]}", description=_SUMMARIES[argv[0]])
        run = _COMMANDS[argv[0]](parser)
        # Images may stand before and after the options, which subparsers do not allow.
        return run(parser.parse_intermixed_args(argv[1:]))
    _main_parser().parse_args(argv)
    return DONE


def _main_parser() -> _Parser:
    commands = "\n".join(f"  {name:<12}{text}" for name, text in _SUMMARIES.items())
    parser = _Parser(
        prog=PROGRAM,
        description="Click on something in one image; see where the same kind is in every image.",
        epilog=f"commands:\n{commands}\n\nEach has its own --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("command", choices=list(_COMMANDS), help="what to do, see below")
    return parser


def _similarity(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "query", metavar="QUERY", type=Path, help=f"the image that is clicked; {_IMAGE_HELP}"
    )
    parser.add_argument(
        "targets",
        metavar="TARGET",
        type=Path,
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
        "query", metavar="QUERYFILE", type=Path, help="what `similarity --save-query` wrote"
    )
    parser.add_argument(
        "targets",
        metavar="TARGET",
        type=Path,
        nargs="+",
        help=f"to search, all its planes; {_IMAGE_HELP}; {_PATTERN_HELP}",
    )
    add_results(parser)
    add_reading(parser)
    add_recipe(parser)
    add_model(parser, None, "the model the query was made with (default: by its name)")
    return _run_search


def _embed(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "images", metavar="IMAGE", type=Path, nargs="+", help=f"{_IMAGE_HELP}; {_PATTERN_HELP}"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder for the embeddings"
    )
    add_reading(parser)
    add_recipe(parser)
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


def _demo(parser: _Parser) -> Callable[[argparse.Namespace], int]:
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("demo-output"),
        help="folder for the pictures (default: %(default)s)",
    )
    parser.add_argument("--model", default=BUILTIN, help=MODEL_HELP)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument(
        "--gui",
        action=argparse.BooleanOptionalAction,
        help="open napari with the first pair, or do not (default: where there is a screen)",
    )
    return _run_demo


def _run_similarity(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim._cli import similarity

    return similarity.run(arguments)


def _run_search(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim._cli import search

    return search.run(arguments)


def _run_embed(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim._cli import embed

    return embed.run(arguments)


def _run_models(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim._cli import models

    return models.run(arguments)


def _run_demo(arguments: argparse.Namespace) -> int:
    from napari_dinov3_sim import demo

    return demo.run(arguments.out, arguments.model, arguments.device, gui=arguments.gui)


_COMMANDS = {
    "similarity": _similarity,
    "search": _search,
    "embed": _embed,
    "models": _models,
    "demo": _demo,
}

_SUMMARIES = {
    "similarity": "Write cosine maps and heatmaps of what is like the clicked pixels.",
    "search": "Ask a saved query of other images.",
    "embed": "Embed images once, for many searches.",
    "models": "List the models and say which are here.",
    "demo": "Show the plugin on pictures that ship with scikit-image.",
}
