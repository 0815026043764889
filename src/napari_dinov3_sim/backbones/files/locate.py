"""The files of the model that a user names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones.errors import (
    CorruptWeightsError,
    DownloadError,
    GatedModelError,
    ModelError,
    ModelNotFoundError,
    OfflineError,
    WrongModelError,
)
from napari_dinov3_sim.backbones.files import hub
from napari_dinov3_sim.backbones.files.weights import CONFIG, PREPROCESSOR, find_weights, read_json
from napari_dinov3_sim.backbones.registry import (
    BUILTIN,
    BUILTIN_VERSION,
    DEFAULT_MODEL,
    MODELS,
    ModelRecord,
    find_model,
    lookup,
)

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones.files.hub import Progress

BUILTIN_FOLDER = Path(__file__).parents[1] / f"builtin_{BUILTIN_VERSION}"

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
_SUFFIXES = (".safetensors", ".pth", ".pt")
_HELPFUL = (OfflineError, GatedModelError, DownloadError, ModelNotFoundError)


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model and what is known of it.

    Attributes
    ----------
    name : str
        What messages call it.
    paths : tuple of Path
        Its weights.
    cure : str
        What to do when the files are damaged.
    record : ModelRecord or None
        When it is a model of the registry.
    config, preprocessor : dict
        The JSON files beside the weights; empty when there are none.
    """

    name: str
    paths: tuple[Path, ...]
    cure: str
    record: ModelRecord | None = None
    config: dict[str, Any] = field(default_factory=dict)
    preprocessor: dict[str, Any] = field(default_factory=dict)


def as_path(model: str | os.PathLike[str]) -> Path | None:
    """Return the path when the user means one, None when it is a name."""
    text = os.fspath(model)
    path = Path(text).expanduser()
    if isinstance(model, os.PathLike) or _looks_like_path(text, path):
        return path
    has_separator = os.sep in text or "/" in text
    return path if (has_separator or not lookup(text)) and text and _exists(path) else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, or a folder that may not be looked into
        return False


def _looks_like_path(text: str, path: Path) -> bool:
    relative = text.startswith(("./", "../", "~", ".\\", "..\\"))
    return relative or path.is_absolute() or text.endswith(_SUFFIXES)


def locate(model: str | os.PathLike[str], progress: Progress | None) -> ModelFiles:
    """Find the files of a model, downloading them when they are not here.

    Parameters
    ----------
    model : str or os.PathLike
        A registry name or alias, a hub id "owner/name", a folder or a weights file.
    progress : callable or None
        For the download.

    Returns
    -------
    ModelFiles

    Raises
    ------
    ModelError
        The files cannot be had.
    """
    path = as_path(model)
    if path is not None:
        return _from_path(path)
    name = os.fspath(model)
    record = lookup(name)
    if record is None and _HUB_ID.match(name):
        return _from_hub(name, progress)
    record = record or find_model(name)
    return _builtin(record) if record.is_builtin else _from_registry(record, progress)


def locate_here(model: str | os.PathLike[str]) -> ModelFiles | None:
    """Find the files of a model as `locate` does, or None where they would be downloaded.

    Raises
    ------
    ModelError
        The files are not what their names say.
    """
    if as_path(model) is not None:
        return locate(model, None)
    record = lookup(os.fspath(model))
    if record is None:
        repo = os.fspath(model)
        return _cached_from_hub(repo) if _HUB_ID.match(repo) else None
    return _builtin(record) if record.is_builtin else _cached_from_registry(record)


def is_here(model: str | os.PathLike[str]) -> bool:
    """Whether a model can be loaded without a network."""
    path = as_path(model)
    if path is not None:
        return _exists(path)
    record = lookup(os.fspath(model))
    if record is not None and record.is_builtin:
        return BUILTIN_FOLDER.is_dir()
    repos = [source.repo for source in record.sources] if record else [os.fspath(model)]
    return any(_HUB_ID.match(repo) and hub.cached_weights(repo) for repo in repos)


def first_choice() -> str:
    """Return the name of a model to begin with that needs no download.

    The default one if its weights are here, else the first other DINOv3 model that is, else the
    built-in one.
    """
    names = (DEFAULT_MODEL, *(name for name in MODELS if name != DEFAULT_MODEL))
    for name in names:
        if any(hub.has_snapshot(source.repo) for source in MODELS[name].sources):
            return name
    return BUILTIN


def _from_path(path: Path) -> ModelFiles:
    if not _exists(path):
        raise ModelNotFoundError(
            str(path),
            "there is no such file or folder",
            "check the path, or choose a model that `napari-dinov3-sim models` lists",
        )
    folder = path if path.is_dir() else path.parent
    paths = find_weights(path) if path.is_dir() else (path,)
    name = path.resolve().name if path.is_dir() else path.stem
    config = checked_config(read_json(folder / CONFIG, name), name)
    cure = "download the file again and compare its size with the source's"
    return ModelFiles(
        name, paths, cure, config=config, preprocessor=read_json(folder / PREPROCESSOR, name)
    )


def _builtin(record: ModelRecord) -> ModelFiles:
    cure = "reinstall the package: `pip install --force-reinstall napari-dinov3-sim`"
    try:
        paths = find_weights(BUILTIN_FOLDER)
    except (ModelNotFoundError, OSError) as error:
        reason = "the files of the built-in network are missing"
        raise CorruptWeightsError(BUILTIN, reason, cure) from error
    return ModelFiles(BUILTIN, paths, cure, record, read_json(BUILTIN_FOLDER / CONFIG, BUILTIN))


def _cached_from_registry(record: ModelRecord) -> ModelFiles | None:
    for source in record.sources:
        if paths := hub.cached_weights(source.repo):
            return ModelFiles(
                record.name, paths, f"run `{source.command} --force-download`", record
            )
    return None


def _from_registry(record: ModelRecord, progress: Progress | None) -> ModelFiles:
    cached = _cached_from_registry(record)
    if cached is not None:
        return cached
    failures: list[ModelError] = []
    for source in record.sources:
        cure = f"run `{source.command} --force-download`"
        try:
            command = record.sources[0].command
            paths = hub.download_weights(source.repo, record.name, command, progress)
            return ModelFiles(record.name, paths, cure, record)
        except OfflineError:
            raise  # the next source is on the same hub
        except ModelError as error:
            failures.append(error)
    raise min(failures, key=_helpfulness)


def _helpfulness(error: ModelError) -> int:
    ranks = [rank for rank, error_type in enumerate(_HELPFUL) if isinstance(error, error_type)]
    return min(ranks, default=len(_HELPFUL))


def _cached_from_hub(repo: str) -> ModelFiles | None:
    paths = hub.cached_weights(repo)
    return _of_hub(repo, paths) if paths else None


def _from_hub(repo: str, progress: Progress | None) -> ModelFiles:
    cached = _cached_from_hub(repo)
    if cached is not None:
        return cached
    command = f"hf download {repo}"
    _download_json(repo, CONFIG, command)
    checked_config(_cached_json(repo, CONFIG), repo)  # before much is downloaded
    _download_json(repo, PREPROCESSOR, command)
    return _of_hub(repo, hub.download_weights(repo, repo, command, progress))


def _of_hub(repo: str, paths: tuple[Path, ...]) -> ModelFiles:
    config = checked_config(_cached_json(repo, CONFIG), repo)
    preprocessor = _cached_json(repo, PREPROCESSOR)
    cure = f"run `hf download {repo} --force-download`"
    return ModelFiles(repo, paths, cure, config=config, preprocessor=preprocessor)


def _download_json(repo: str, filename: str, command: str) -> None:
    try:
        hub.download_file(repo, filename, repo, command, None)
    except hub.MissingFileError:
        return  # both JSON files are a help, not a must


def _cached_json(repo: str, filename: str) -> dict[str, Any]:
    path = hub.cached_file(repo, filename)
    return {} if path is None else read_json(path, repo)


def checked_config(config: dict[str, Any], model: str) -> dict[str, Any]:
    """Return a config.json, refusing that of another sort of model.

    Raises
    ------
    WrongModelError
        transformers' `model_type` or timm's `architecture` is that of another model.
    """
    model_type = config.get("model_type", "dinov3_vit")
    timm = str(config.get("architecture", "vit_dinov3"))
    if model_type == "dinov3_vit" and timm.startswith("vit") and "dinov3" in timm:
        return config
    found = f"model_type {model_type}" if model_type != "dinov3_vit" else f"architecture {timm}"
    raise WrongModelError(
        model,
        f"its config.json says {found}, not dinov3_vit",
    )
