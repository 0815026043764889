"""``napari-dinov3-sim search``: ask a saved query of other images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.embedding import ImageEmbedder, recipe_of
from napari_dinov3_sim._cli.images import read_all_once
from napari_dinov3_sim._cli.model import describe_model, open_model, say_model
from napari_dinov3_sim._cli.outputs import (
    check_inputs_survive,
    open_folder,
    unique_stems,
    without_repeats,
)
from napari_dinov3_sim._cli.results import (
    Result,
    Wanted,
    check_embeddings_folder,
    note_renamed,
    output_names,
    say_results,
    write_results,
)
from napari_dinov3_sim._cli.terminal import Bars, note, say
from napari_dinov3_sim.query_files import load_query
from napari_dinov3_sim.store import DiskStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.saved_query import SavedQuery


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    query = load_query(arguments.query)
    images = without_repeats(arguments.targets)
    stems = unique_stems(images)
    wanted = Wanted(arguments.threshold, arguments.min_area, arguments.peaks)
    _check(arguments, images, stems, query, wanted)
    folder = open_folder(arguments.out)
    with Bars() as bars:
        name = arguments.model or query.model
        model = open_model(name, arguments.device, arguments.dtype, bars)
        query.check_model(model.identity.fingerprint, model.identity.name)
        store = DiskStore(arguments.embeddings, warn=note) if arguments.embeddings else None
        embedder = ImageEmbedder(model, store, bars, recipe_of(arguments))
        results = _search(images, query, embedder)
    written = write_results(results, stems, [kind.name for kind in query.kinds], wanted, folder)
    if arguments.json:
        report = {
            "query": str(arguments.query),
            "combination": query.combination,
            **describe_model(model.identity),
            **written.summary(),
            "images": [entry.nested() for entry in written.entries],
        }
        say(json.dumps(report))
    else:
        say_model(model.identity)
        say_results(written, folder)
    return 0


def _check(
    arguments: argparse.Namespace,
    images: Sequence[Path],
    stems: Sequence[str],
    query: SavedQuery,
    wanted: Wanted,
) -> None:
    """Find every mistake that can be found before the model is loaded."""
    check_embeddings_folder(arguments.embeddings)
    read_all_once(images)
    kinds = [kind.name for kind in query.kinds]
    outputs = [arguments.out / name for name in output_names(stems, kinds, wanted)]
    check_inputs_survive([arguments.query, *images], outputs)
    note_renamed(images, stems)


def _search(images: Sequence[Path], query: SavedQuery, embedder: ImageEmbedder) -> list[Result]:
    """Return the maps of each image; only maps are kept in memory."""
    results = []
    for path in images:
        found = embedder.embed(path)
        maps = tuple(query.score(found.state))
        results.append(Result(path, maps, found.state.window, found.stored is not None))
    if results[0].maps[0].grid.patch_size != query.cell_size:
        note(
            f"note: the query was made with one vector per {query.cell_size} pixels; choose "
            "--resolution and --shifts to match."
        )
    return results
