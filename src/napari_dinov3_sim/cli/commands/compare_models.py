"""``napari-dinov3-sim compare-models``: which model finds best on annotated images."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.comparison.annotated_sets import SetOptions, find_sets
from napari_dinov3_sim.cli.comparison.compare import compare
from napari_dinov3_sim.cli.comparison.report import as_object, class_table, in_words, mean_table
from napari_dinov3_sim.cli.comparison.ways import baseline, model
from napari_dinov3_sim.cli.errors import DONE, SOME_FAILED, lines_of
from napari_dinov3_sim.cli.model import describe_model, load_model
from napari_dinov3_sim.cli.terminal import ProgressBars, note, say, say_table
from napari_dinov3_sim.core.text import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_dinov3_sim.backbones import DINOv3Backbone
    from napari_dinov3_sim.cli.comparison.annotated_sets import AnnotatedSet
    from napari_dinov3_sim.core.errors import SimilarityError
    from napari_dinov3_sim.core.evaluation.comparison import Comparison


def run_compare_models(arguments: argparse.Namespace) -> int:
    """Run the command; a model that cannot be loaded is told, and the others are compared."""
    zoom, most = (
        None if value is None else {"": value}  # for all sets
        for value in (arguments.zoom, arguments.max_images)
    )
    sets = find_sets(arguments.folders, SetOptions(zoom=zoom, most_images=most))
    failures: list[str] = []
    descriptions: dict[str, dict[str, Any]] = {}

    def failed(error: SimilarityError) -> None:
        failures.extend(lines_of(error))
        note(f"error: {failures[-1]}")

    with closing(ProgressBars()) as bars:

        def load(text: str, name: str) -> DINOv3Backbone:
            backbone = load_model(text, arguments.device, arguments.dtype, bars)
            descriptions[name] = describe_model(backbone)
            return backbone

        ways = [
            model(name, partial(load, text, name))
            for text, name in short_names(arguments.models).items()
        ]
        ways += [baseline(name) for name in dict.fromkeys(arguments.baselines)]
        found = compare(sets, ways, arguments.clicks, bars.images, failed)
    if arguments.json:
        content = {"models": descriptions, **as_object(found), "failures": failures}
        say(json.dumps(content))
    else:
        _tell(found, sets)
    return SOME_FAILED if failures else DONE


def short_names(models: Sequence[str]) -> dict[str, str]:
    """Return what each model is called in a table: of a path the last part, if that tells it."""
    lasts = {text: Path(text).name if Path(text).exists() else text for text in models}
    names = list(lasts.values())
    return {text: last if names.count(last) == 1 else text for text, last in lasts.items()}


def _tell(found: Comparison, sets: Sequence[AnnotatedSet]) -> None:
    images = sum(len(one.images) for one in sets)
    count = plural(images, "image")
    say(f"Mean average precision of one click, within / across images, of {count}; 1 is perfect.")
    say("")
    say_table(class_table(found))
    say("")
    say_table(mean_table(found))
    say("")
    say(in_words(found))
