"""The model of a saved query: the one that it was made with, or an error that names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import UsageError
from napari_dinov3_sim._cli.model import open_model
from napari_dinov3_sim.backbones import ModelError
from napari_dinov3_sim.backbones.errors import DeviceError
from napari_dinov3_sim.backbones.registry import lookup

if TYPE_CHECKING:
    import argparse

    from napari_dinov3_sim._cli.model import LazyModel
    from napari_dinov3_sim._cli.terminal import Bars
    from napari_dinov3_sim.core.search.saved_query import SavedQuery


def check_model_name(arguments: argparse.Namespace, query: SavedQuery) -> None:
    """Raise `UsageError` if another model of the registry than that of the query is named."""
    name = arguments.model
    if name is None or Path(name).exists():
        return
    named, own = lookup(name), lookup(query.model)
    if named and own and named != own:
        raise UsageError(
            f"{arguments.query} was made with the model {query.model}, and --model chooses "
            f"{name}; leave --model out, or make the query again with {name}."
        )


def open_model_of(arguments: argparse.Namespace, query: SavedQuery, bars: Bars) -> LazyModel:
    """Return the model that `--model` names, by default that of the query.

    Raises
    ------
    UsageError
        It is not that of the query, or the latter cannot be loaded by its name.
    ModelError
        The model that was named cannot be loaded.
    """
    model = _open(arguments, query, bars)
    if model.identity.fingerprint != query.fingerprint:
        raise UsageError(_mismatch(arguments, query, model))
    return model


def _open(arguments: argparse.Namespace, query: SavedQuery, bars: Bars) -> LazyModel:
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


def _mismatch(arguments: argparse.Namespace, query: SavedQuery, model: LazyModel) -> str:
    made = f"{arguments.query} was made with the model {query.model}"
    if arguments.dtype != "auto" and arguments.model in (None, query.model):
        return f"{made} in another arithmetic than {arguments.dtype}; leave --dtype out."
    if arguments.model:
        return (
            f"{made}, and --model {arguments.model} has other weights or another arithmetic; "
            f"leave --model out, or give the weights of {query.model} with it."
        )
    return (
        f"{made}, and what has this name here has other weights, or another arithmetic "
        f"({model.identity.dtype}); give the weights of the query with --model, choose its "
        "--dtype, or make the query again."
    )
