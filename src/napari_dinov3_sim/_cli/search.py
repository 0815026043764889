"""``napari-dinov3-sim search``: ask a saved query of other images."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.embedding import recipe_of
from napari_dinov3_sim._cli.errors import UsageError
from napari_dinov3_sim._cli.images import ARRAY_SUFFIXES, picture_shape
from napari_dinov3_sim._cli.outputs import without_repeats
from napari_dinov3_sim._cli.patterns import Names
from napari_dinov3_sim._cli.query_model import check_model_name, open_model_of
from napari_dinov3_sim._cli.searching import Search, check_embeddings_folder
from napari_dinov3_sim._cli.tasks import last_file
from napari_dinov3_sim._cli.terminal import PROGRAM, Bars, note
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.store.query_files import load_query

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from napari_dinov3_sim._cli.model import LazyModel
    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.search.saved_query import SavedQuery


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    check_embeddings_folder(arguments.embeddings)
    query, paths = _read_names(arguments)
    check_model_name(arguments, query)
    search = Search.of(arguments, [kind.name for kind in query.kinds], paths)
    with closing(last_file), Bars() as bars:
        search.check(inputs=[arguments.query])
        folder = search.open_folder()
        model = open_model_of(arguments, query, bars)
        _note_difference(query, recipe_of(arguments), model)
        results = list(search.results(search.finder(model, bars), query.score))
        written = search.write(results, folder)
    asked = {"query": str(arguments.query), "combination": query.combination}
    images = [entry.nested() for entry in written.entries]
    return search.tell(written, folder, model, asked, images)


def _read_names(arguments: argparse.Namespace) -> tuple[SavedQuery, list[Path]]:
    """Return the query and the images, each once, or raise what is wrong with any of them."""
    names, loaded = Names(), []

    def load(path: Path) -> list[Path]:
        loaded.append(_load(path))
        return []

    names.read(arguments.query, load)
    paths = without_repeats(names.read_all(arguments.targets))
    names.check()
    return loaded[0], paths


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


def _note_difference(query: SavedQuery, recipe: Recipe, model: LazyModel) -> None:
    remark = query.remark(recipe.factor, recipe.cell_size(model.identity.patch_size))
    if remark:
        note(f"note: the query finds less: {remark}; choose --resolution and --shifts to match.")
