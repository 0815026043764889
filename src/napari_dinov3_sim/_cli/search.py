"""``napari-dinov3-sim search``: ask a saved query of other images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.embedding import recipe_of
from napari_dinov3_sim._cli.errors import UsageError
from napari_dinov3_sim._cli.images import ARRAY_SUFFIXES, picture_shape
from napari_dinov3_sim._cli.patterns import all_matching
from napari_dinov3_sim._cli.query_model import check_model_name, open_model_of
from napari_dinov3_sim._cli.results import Result
from napari_dinov3_sim._cli.searching import Search
from napari_dinov3_sim._cli.terminal import PROGRAM, Bars, note
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.query_files import load_query

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinov3_sim._cli.embedding import ImageEmbedder
    from napari_dinov3_sim._cli.model import LazyModel
    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.saved_query import SavedQuery


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    query = _load(arguments.query)
    kinds = [kind.name for kind in query.kinds]
    search = Search.of(arguments, all_matching(arguments.targets), kinds)
    search.check(inputs=[arguments.query])
    check_model_name(arguments, query)
    folder = search.open_folder()
    with Bars() as bars:
        model = open_model_of(arguments, query, bars)
        _note_difference(query, recipe_of(arguments), model)
        results = _search(search.images, query, search.embedder(model, bars))
    written = search.write(results, folder)
    asked = {"query": str(arguments.query), "combination": query.combination}
    search.tell(written, folder, model, asked, [entry.nested() for entry in written.entries])
    return 0


def _load(path: Path) -> SavedQuery:
    try:
        return load_query(path)
    except StoreError as error:
        if not _is_picture(path):
            raise
        raise UsageError(
            f"{path} is a picture, not a saved query; name first the file that `{PROGRAM} "
            f"similarity --save-query` wrote, or click in the picture with `{PROGRAM} similarity "
            f"{path} --at X Y`."
        ) from error


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return path.is_file()
    try:
        return bool(picture_shape(path))
    except Exception:  # whatever it is, Pillow does not know it
        return False


def _search(images: Sequence[Path], query: SavedQuery, embedder: ImageEmbedder) -> list[Result]:
    """Return the maps of each image; only maps are kept in memory."""
    results = []
    for path in images:
        found = embedder.embed(path)
        maps = tuple(query.score(found.state))
        results.append(Result(path, maps, found.state.window, found.stored is not None))
    return results


def _note_difference(query: SavedQuery, recipe: Recipe, model: LazyModel) -> None:
    remark = query.remark(recipe.factor, recipe.cell_size(model.identity.patch_size))
    if remark:
        note(f"note: the query finds less: {remark}; choose --resolution and --shifts to match.")
