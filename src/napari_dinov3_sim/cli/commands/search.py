"""``napari-dinov3-sim search``: search images with a saved query."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones import ModelError
from napari_dinov3_sim.backbones.errors import DeviceError
from napari_dinov3_sim.backbones.registry import lookup
from napari_dinov3_sim.cli.embeddings import recipe_of
from napari_dinov3_sim.cli.errors import UsageError
from napari_dinov3_sim.cli.model import open_model
from napari_dinov3_sim.cli.output.thresholds import AskedClasses
from napari_dinov3_sim.cli.pipeline import Search, check_embeddings_folder
from napari_dinov3_sim.cli.reading.paths import InputPaths, listed_paths, without_repeats
from napari_dinov3_sim.cli.terminal import PROGRAM, note, open_progress
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.images.file_signatures import is_image_file
from napari_dinov3_sim.core.state import same_weights
from napari_dinov3_sim.store.query_files import load_query

if TYPE_CHECKING:
    import argparse

    from napari_dinov3_sim.cli.model import CommandModel
    from napari_dinov3_sim.cli.terminal import ProgressBars
    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.search.saved_query import SavedQuery


def check_model_name(arguments: argparse.Namespace, query: SavedQuery) -> None:
    """Raise `UsageError` if another model of the registry than that of the query is named."""
    name = arguments.model
    if name is None or Path(name).exists() or arguments.ask_again:
        return
    named, own = lookup(name), lookup(query.model)
    if named and own and named != own:
        raise UsageError(
            f"{arguments.query} was made with the model {query.model}, and --model chooses "
            f"{name}; leave --model out, or add --ask-again."
        )


def open_model_of(
    arguments: argparse.Namespace, query: SavedQuery, bars: ProgressBars
) -> CommandModel:
    """Return the model that `--model` names, by default that of the query.

    Raises
    ------
    UsageError
        It is not that of the query, or the latter cannot be loaded by its name.
    ModelError
        The model that was named cannot be loaded.
    """
    model = _open(arguments, query, bars)
    if not arguments.ask_again and not same_weights(model.identity.fingerprint, query.fingerprint):
        raise UsageError(_mismatch(arguments, query))
    return model


def _open(arguments: argparse.Namespace, query: SavedQuery, bars: ProgressBars) -> CommandModel:
    name = arguments.model or query.model
    try:
        return open_model(name, arguments.device, arguments.dtype, bars)
    except DeviceError:
        raise
    except ModelError as error:
        if arguments.model:
            raise
        # What else could be loaded would not be the model of the query.
        cure = error.cure.removesuffix(", or load `builtin`")
        raise UsageError(
            f"{arguments.query} was made with the model {name}, which cannot be loaded by its "
            f"name ({error.reason}); {cure}, or give its weights file or folder with --model."
        ) from error


def _mismatch(arguments: argparse.Namespace, query: SavedQuery) -> str:
    made = f"{arguments.query} was made with the model {query.model}"
    if arguments.model:
        return (
            f"{made}, and --model {arguments.model} has other weights; "
            f"leave --model out, give the weights of {query.model} with it, or add --ask-again."
        )
    return (
        f"{made}, and what has this name here has other weights; give the weights of the query "
        "with --model, or add --ask-again, which takes its pictures in place of its vectors."
    )


def run_search(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from napari_dinov3_sim.core.search.asked_again import ask_again, with_pictures

    check_embeddings_folder(arguments)
    query, paths = _read_names(arguments)
    query = with_pictures(query) if arguments.ask_again else query
    check_model_name(arguments, query)
    classes, bars = [one.name for one in query.classes], open_progress(arguments.progress)
    search = Search.of(arguments, classes, paths, bars=bars, thresholds=query.thresholds)
    lists = [] if arguments.files_from is None else [arguments.files_from]
    search.check(inputs=[arguments.query, *lists])
    with closing(search.planes), closing(bars), search.folder() as folder:
        bars.tell("model", model=arguments.model or query.model)
        model = open_model_of(arguments, query, bars)
        if arguments.ask_again:
            query = ask_again(query, model.load, recipe_of(arguments))
        _note_difference(query, recipe_of(arguments), model)
        results = search.results(search.finder(model, bars), query.score)
        colours = {one.name: one.colour for one in query.classes}
        queries = tuple(one.query() for one in query.classes)
        about = AskedClasses(queries, query.combination, colours)
        written = search.write(results, folder, about)
    asked = {"query": str(arguments.query), "combination": query.combination}
    images = [entry.nested() for entry in written.entries]
    return search.tell(written, folder, model, asked, images, bars=bars)


def _read_names(arguments: argparse.Namespace) -> tuple[SavedQuery, list[Path]]:
    """Return the query and the images, each once, or raise what is wrong with any of them."""
    names, loaded = InputPaths(), []

    def load(path: Path) -> list[Path]:
        loaded.append(_load(path))
        return []

    names.read(arguments.query, load)
    paths = names.read_all(arguments.targets)
    names.check()
    if arguments.files_from is not None:
        paths += listed_paths(arguments.files_from)
    if not paths:
        raise UsageError("No image is named; name images to search, or a list with --files-from.")
    return loaded[0], without_repeats(paths)


def _load(path: Path) -> SavedQuery:
    try:
        return load_query(path)
    except StoreError as error:
        if not is_image_file(path):
            raise
        raise UsageError(
            f"{path} is a picture, not a saved query; name first the file that `{PROGRAM} "
            f"similarity --save-query` wrote, or click in the picture with `{PROGRAM} similarity "
            f"{path} --at X Y`."
        ) from error


def _note_difference(query: SavedQuery, recipe: Recipe, model: CommandModel) -> None:
    remark = query.remark(recipe.factor, recipe.cell_size(model.identity.patch_size))
    if remark:
        note(f"note: the query finds less: {remark}; choose --resolution and --shifts to match.")
