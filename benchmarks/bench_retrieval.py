"""Mean average precision of one click on annotated images, within the image and across images.

Run `python benchmarks/bench_retrieval.py FOLDER [FOLDER …] [--models builtin MODEL …] [--baselines
raw rgb lbp hog filters]`. The folders and the measure are those of `napari-dinov3-sim
compare-models` (see *Models* in the documentation); besides, sets may be chosen, enlarged and
averaged in groups, and features centred. Sets of small objects without a `set.json` are enlarged,
such as by `--zoom nuclei_colour=2 nuclei_brightfield=2 nuclei_fluorescence=3 camvid=2`; four
images of each set are enough for a first look: `--max-images 4`.

A click is a patch that lies at least 75 % in a class. Patches at least 50 % in it are positive;
those of the clicked object are left out. The mean is taken over clicks, then over classes.
Differences to the first way have intervals of 95 %, by a paired bootstrap over classes and clicks.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from napari_dinov3_sim.backbones import load_backbone
from napari_dinov3_sim.cli.comparison import ways
from napari_dinov3_sim.cli.comparison.annotated_sets import SetOptions, find_sets
from napari_dinov3_sim.cli.comparison.compare import compare
from napari_dinov3_sim.cli.comparison.report import as_object, class_table, mean_table
from napari_dinov3_sim.cli.terminal import say_table
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.evaluation.baselines import BASELINES


def main() -> None:
    """Print one row per class and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", metavar="FOLDER", type=Path, nargs="+")
    parser.add_argument("--models", nargs="*", default=["builtin"], help="names, folders or files")
    parser.add_argument("--baselines", nargs="*", default=[], choices=list(BASELINES))
    parser.add_argument("--centre", action="store_true", help="take the mean of each image away")
    parser.add_argument("--sets", nargs="+", default=[], help="their names (default: all)")
    parser.add_argument("--clicks", type=int, default=3, help="at most, per class and image")
    parser.add_argument(
        "--max-images", metavar="N", nargs="+", default=[], help="of a set; SET=N for one of them"
    )
    parser.add_argument(
        "--zoom", metavar="SET=N", nargs="+", default=[], help="in place of that of set.json"
    )
    parser.add_argument(
        "--groups", metavar="NAME=SET,SET", nargs="+", default=[], help="sets with a mean"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures")
    options = parser.parse_args()
    numbers = {
        name: {key: int(value) for key, value in map(named, getattr(options, name))}
        for name in ("max_images", "zoom")
    }
    groups = {name: sets.split(",") for name, sets in map(named, options.groups)}
    try:
        chosen = SetOptions(options.sets, numbers["zoom"], numbers["max_images"])
        sets = find_sets(options.folders, chosen)
        found = compare(sets, chosen_ways(options), options.clicks, show)
    except SimilarityError as error:
        sys.exit(str(error))
    print(file=sys.stderr)
    print("Each: mean average precision within / across images.")
    say_table(class_table(found))
    print()
    say_table(mean_table(found, groups))
    if options.json is not None:
        options.json.write_text(json.dumps(as_object(found, groups), indent=1))


def chosen_ways(options: argparse.Namespace) -> list[ways.Way]:
    """Return the models, then the baselines."""
    centre, device = options.centre, options.device
    models = [
        ways.model(name, partial(load_backbone, name, device=device), centre=centre)
        for name in options.models
    ]
    return models + [ways.baseline(name, centre=centre) for name in options.baselines]


def named(text: str) -> tuple[str, str]:
    """Return name and value of ``name=value``; the name is empty where there is none."""
    name, _, value = text.rpartition("=")
    return name, value


def show(name: str, done: int, total: int) -> None:
    """Show how far a way is."""
    print(f"\r{name[-40:]}: {done} of {total} images ", end="", file=sys.stderr)


if __name__ == "__main__":
    main()
