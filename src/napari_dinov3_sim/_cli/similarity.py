"""``napari-dinov3-sim similarity``: click in one image, search all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.embedding import ImageEmbedder, recipe_of
from napari_dinov3_sim._cli.errors import InputError, UsageError
from napari_dinov3_sim._cli.images import read_all_once, read_image
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
from napari_dinov3_sim.core.geometry import PatchGrid, convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.store import DiskStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinov3_sim._cli.model import LazyModel
    from napari_dinov3_sim.core.combine import Combination, KindQuery
    from napari_dinov3_sim.core.similarity import Point

COLOUR = "#00ffff"
"""Of the kind in a saved query; the dock may show it."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    images = without_repeats([arguments.query, *arguments.targets])
    stems = unique_stems(images)
    wanted = Wanted(arguments.threshold, arguments.min_area, arguments.peaks)
    points, negatives = _points(arguments.at), _points(arguments.negatives or ())
    _check(arguments, images, (*points, *negatives), stems, wanted)
    folder = open_folder(arguments.out)
    with Bars() as bars:
        model = open_model(arguments.model, arguments.device, arguments.dtype, bars)
        store = DiskStore(arguments.embeddings, warn=note) if arguments.embeddings else None
        embedder = ImageEmbedder(model, store, bars, recipe_of(arguments))
        kind, results = _search(images, points, negatives, arguments.combine, embedder)
    written = write_results(results, stems, [kind.name], wanted, folder)
    saved = _save(arguments, kind, results[0], model) if arguments.save_query else None
    if arguments.json:
        report = {
            "query": str(images[0]),
            "points": [list(point) for point in points],
            "negatives": [list(point) for point in negatives],
            "combination": arguments.combine,
            **describe_model(model.identity),
            **written.summary(),
            "images": [entry.flat() for entry in written.entries],
            "saved_query": saved,
        }
        say(json.dumps(report))
    else:
        say_model(model.identity)
        say_results(written, folder)
        if saved:
            say(f"The query is in {saved}; `napari-dinov3-sim search` asks it of other images.")
    return 0


def _points(pairs: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in pairs)


def _check(
    arguments: argparse.Namespace,
    images: Sequence[Path],
    points: Sequence[Point],
    stems: Sequence[str],
    wanted: Wanted,
) -> None:
    """Find every mistake that can be found before the model is loaded."""
    check_embeddings_folder(arguments.embeddings)
    height, width = read_image(arguments.query).shape[:2]
    for x, y in points:
        convert_pixel_coordinates_to_patch_index(x, y, PatchGrid((height, width), 1))
    read_all_once(images[1:])
    outputs = [arguments.out / name for name in output_names(stems, [images[0].stem], wanted)]
    if arguments.save_query:
        if not arguments.save_query.absolute().parent.is_dir():
            raise UsageError(
                f"There is no folder for {arguments.save_query}; make it, or save the query "
                "elsewhere."
            )
        outputs.append(arguments.save_query)
    check_inputs_survive(images, outputs)
    note_renamed(images, stems)


def _search(
    images: Sequence[Path],
    points: tuple[Point, ...],
    negatives: tuple[Point, ...],
    combination: Combination,
    embedder: ImageEmbedder,
) -> tuple[KindQuery, list[Result]]:
    """Return what is asked and the map of each image, the clicked one first.

    Only maps are kept in memory.
    """
    from napari_dinov3_sim.core.combine import kind_of_points, score_kinds

    clicked = embedder.embed(images[0])
    kind = kind_of_points(
        images[0].stem,
        [(clicked.state, point) for point in points],
        [(clicked.state, point) for point in negatives],
    )
    results: list[Result] = []
    for path in images:
        found = embedder.embed(path) if results else clicked
        maps = tuple(score_kinds([kind], found.state, combination))
        clicks = ((), ()) if results else (points, negatives)
        stored = found.stored is not None
        results.append(Result(path, maps, found.state.window, stored, *clicks))
    return kind, results


def _save(arguments: argparse.Namespace, kind: KindQuery, result: Result, model: LazyModel) -> str:
    from napari_dinov3_sim.core.saved_query import SavedKind, SavedQuery, make_thumbnail
    from napari_dinov3_sim.query_files import save_query

    image = read_image(result.path)
    if image.shape[:2] != result.maps[0].grid.image_shape:
        raise InputError(f"{result.path} was changed in the meantime; run the command again.")
    pictures = [make_thumbnail(image, result.window, point) for point in result.points]
    query = SavedQuery(
        (SavedKind.of(kind, COLOUR, pictures),),
        arguments.combine,
        model.identity.fingerprint,
        model.identity.name,
        result.maps[0].grid.patch_size,
    )
    return str(save_query(query, arguments.save_query))
