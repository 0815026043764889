"""``napari-dinov3-sim similarity``: click in one image, search all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.embedding import recipe_of
from napari_dinov3_sim._cli.errors import UsageError
from napari_dinov3_sim._cli.model import open_model
from napari_dinov3_sim._cli.patterns import all_matching, the_match
from napari_dinov3_sim._cli.results import Result
from napari_dinov3_sim._cli.searching import Search
from napari_dinov3_sim._cli.terminal import Bars, say
from napari_dinov3_sim.core.geometry import PatchGrid, convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.query_files import QUERY_SUFFIX, save_query

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_dinov3_sim._cli.embedding import ImageEmbedder
    from napari_dinov3_sim._cli.model import LazyModel
    from napari_dinov3_sim.core.combine import KindQuery
    from napari_dinov3_sim.core.similarity import Point

COLOUR = "#00ffff"
"""Of the kind in a saved query; the dock may show it."""

DEFAULT_KIND = "kind 1"
"""As in the dock."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    images = [the_match(arguments.query), *all_matching(arguments.targets)]
    search = Search.of(arguments, images, [_kind(arguments)])
    points, negatives = _points(arguments.at), _points(arguments.negatives or ())
    _check(search, (*points, *negatives))
    folder = search.open_folder()
    with Bars() as bars:
        model = open_model(arguments.model, arguments.device, arguments.dtype, bars)
        kind, results = _search(search, points, negatives, search.embedder(model, bars))
    written = search.write(results, folder)
    saved = _save(search, kind, results[0], model) if arguments.save_query else None
    asked = {
        "query": str(search.images[0]),
        "points": [list(point) for point in points],
        "negatives": [list(point) for point in negatives],
        "kind": kind.name,
        "combination": arguments.combine,
        "saved_query": saved,
    }
    search.tell(written, folder, model, asked, [entry.flat() for entry in written.entries])
    if saved and not arguments.json:
        say(f"The query is in {saved}; `napari-dinov3-sim search` asks it of other images.")
    return 0


def _kind(arguments: argparse.Namespace) -> str:
    if arguments.kind or not arguments.save_query:
        return arguments.kind or DEFAULT_KIND
    file: str = arguments.save_query.name
    return file.removesuffix(QUERY_SUFFIX).removesuffix(".safetensors") or DEFAULT_KIND


def _points(pairs: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in pairs)


def _check(search: Search, points: Sequence[Point]) -> None:
    """Find every mistake that can be found before the model is loaded."""
    height, width = search.read(search.images[0]).shape[:2]
    for x, y in points:
        convert_pixel_coordinates_to_patch_index(x, y, PatchGrid((height, width), 1))
    saved = search.arguments.save_query
    if saved and not saved.absolute().parent.is_dir():
        raise UsageError(f"There is no folder for {saved}; make it, or save the query elsewhere.")
    search.check(outputs=[saved] if saved else [])


def _search(
    search: Search,
    points: tuple[Point, ...],
    negatives: tuple[Point, ...],
    embedder: ImageEmbedder,
) -> tuple[KindQuery, list[Result]]:
    """Return what is asked and the map of each image, the clicked one first.

    Only maps are kept in memory.
    """
    from napari_dinov3_sim.core.combine import kind_of_points, score_kinds

    clicked = embedder.embed(search.images[0])
    kind = kind_of_points(
        search.kinds[0],
        [(clicked.state, point) for point in points],
        [(clicked.state, point) for point in negatives],
    )
    results: list[Result] = []
    for path in search.images:
        found = embedder.embed(path) if results else clicked
        maps = tuple(score_kinds([kind], found.state, search.arguments.combine))
        clicks = ((), ()) if results else (points, negatives)
        stored = found.stored is not None
        results.append(Result(path, maps, found.state.window, stored, *clicks))
    return kind, results


def _save(search: Search, kind: KindQuery, result: Result, model: LazyModel) -> str:
    from napari_dinov3_sim.core.saved_query import SavedKind, SavedQuery, make_thumbnail

    image = result.pixels(search.read)
    pictures = [make_thumbnail(image, result.window, point) for point in result.points]
    query = SavedQuery(
        (SavedKind.of(kind, COLOUR, pictures),),
        search.arguments.combine,
        model.identity.fingerprint,
        model.identity.name,
        result.maps[0].grid.patch_size,
        recipe_of(search.arguments).factor,
    )
    return str(save_query(query, search.arguments.save_query))
