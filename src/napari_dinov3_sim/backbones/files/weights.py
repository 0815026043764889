"""Weights files on disk: which there are, whether they are intact, what is in them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones.errors import (
    CorruptWeightsError,
    ModelNotFoundError,
    WrongModelError,
)
from napari_dinov3_sim.core.state import LOW_PRECISION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import torch


_MASK = "embeddings.mask_token"


def fingerprint_of(state: Mapping[str, torch.Tensor], arithmetic: str, *facts: object) -> str:
    """Return the sha256 of canonical weights and of the facts that change the embeddings.

    The arithmetic is told after it, so that the same weights are known again
    (`core.state.same_weights`).

    The mask token and query, key and value biases of zeros are left out: they change nothing,
    and timm's files do not have them.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Canonical float32 weights, see `tensor_names.canonical`.
    arithmetic : str
        "float32" or "bfloat16".
    *facts : object
        Statistics, patch size and so on; hashed by their `repr`.

    Returns
    -------
    str
        64 hex digits, followed by `LOW_PRECISION` for bfloat16.
    """
    # With the name of the first arithmetic, as fingerprints have been from the beginning.
    digest = hashlib.sha256(repr(("float32", *facts)).encode())
    for key in sorted(state):
        if not _changes_nothing(key, state[key]):
            digest.update(f"{key}{tuple(state[key].shape)}".encode())
            digest.update(state[key].numpy().data.cast("B"))
    return digest.hexdigest() + (LOW_PRECISION if arithmetic == "bfloat16" else "")


def _changes_nothing(key: str, tensor: torch.Tensor) -> bool:
    is_bias = key.endswith(("q_proj.bias", "k_proj.bias", "v_proj.bias"))
    return key == _MASK or not tensor.numel() or (is_bias and not bool(tensor.any()))


SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

_META_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")
_TORCH_SUFFIXES = (".pth", ".pt")
_CHUNK = 1 << 24


def meta_hash_of(name: str) -> str:
    """Return the 8 hex digits that end the name of a .pth file of Meta, or an empty string."""
    match = _META_NAME.search(name)
    return match[1] if match else ""


def find_weights(folder: Path) -> tuple[Path, ...]:
    """Return the weights files of a model folder.

    Parameters
    ----------
    folder : Path
        Holds `model.safetensors`, its sharded form with an index, or one weights file.

    Returns
    -------
    tuple of Path

    Raises
    ------
    ModelNotFoundError
        There is no weights file, a shard is missing, or there are several to choose from.
    """
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    if (folder / INDEX).is_file():
        return _shards(folder)
    files = sorted(
        path for path in folder.iterdir() if path.suffix in (".safetensors", *_TORCH_SUFFIXES)
    )
    if len(files) == 1:
        return (files[0],)
    if files:
        names = ", ".join(path.name for path in files[:4])
        raise ModelNotFoundError(
            str(folder), f"the folder holds several weights files ({names})", "name one of them"
        )
    raise ModelNotFoundError(
        str(folder),
        f"the folder holds no weights ({SINGLE})",
        f'fill it, for example `hf download OWNER/NAME --local-dir "{folder}"`',
    )


def _shards(folder: Path) -> tuple[Path, ...]:
    shards = tuple(folder / name for name in shard_names(folder / INDEX, str(folder)))
    for shard in shards:
        if not shard.is_file():
            raise ModelNotFoundError(
                str(folder),
                f"the part {shard.name} of the weights is missing",
                f'complete it, for example `hf download OWNER/NAME --local-dir "{folder}"`',
            )
    return shards


def shard_names(index: Path, model: str) -> tuple[str, ...]:
    """Return the names of the files that an index of sharded weights lists.

    Raises
    ------
    CorruptWeightsError
        The index is not one.
    """
    weight_map = read_json(index, model).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(map(_is_file_name, names)):
        raise CorruptWeightsError(model, f"{index} lists no weights", "download it again")
    return tuple(sorted(set(names)))


def _is_file_name(name: Any) -> bool:
    """Whether a name is one of a file in the same folder."""
    return isinstance(name, str) and bool(name) and PurePath(name).name == name != ".."


def read_json(path: Path, model: str) -> dict[str, Any]:
    """Return a JSON object, empty when there is no such file.

    Raises
    ------
    CorruptWeightsError
        The file is no JSON object.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CorruptWeightsError(model, f"{path} is not readable JSON", "download it again")
    return content


def check_hash(
    path: Path, model: str, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Compare a file whose name ends in its hash, as Meta's do, with that hash.

    Raises
    ------
    CorruptWeightsError
        The content has another sha256 than the name says.
    """
    expected = meta_hash_of(path.name)
    if not expected:
        return
    found = _sha256(path, progress)[: len(expected)]
    if found != expected:
        raise CorruptWeightsError(
            model,
            f"the name of {path.name} promises the sha256 {expected}… and it is {found}…",
            "download it again, or rename it if it was changed on purpose",
        )


def _sha256(path: Path, progress: Callable[[str, int, int], None] | None) -> str:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(f"Checking {path.name}", done, total)
    return digest.hexdigest()


def read_weights(paths: Sequence[Path], model: str, cure: str) -> dict[str, torch.Tensor]:
    """Read the tensors of one or several files.

    Parameters
    ----------
    paths : sequence of Path
        A .safetensors file or its shards, or a .pth or .pt file, which is read without
        unpickling anything but tensors.
    model, cure : str
        For the message.

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    CorruptWeightsError
        A file is truncated, is not what its name says or holds more than tensors.
    WrongModelError
        A .pth file holds no named tensors, or a file is something else, such as a picture.
    """
    state: dict[str, torch.Tensor] = {}
    for path in paths:
        reader = _read_torch if path.suffix in _TORCH_SUFFIXES else _read_safetensors
        state |= reader(path, model, cure)
    return state


def _read_safetensors(path: Path, model: str, cure: str) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        if path.suffix not in ("", ".safetensors"):
            raise WrongModelError(
                model,
                f"{path} holds no weights",
                "name a .safetensors, .pth or .pt file, or the folder of one",
            ) from error
        raise CorruptWeightsError(
            model, f"the file {path} is truncated or damaged ({_brief(error)})", cure
        ) from error


def _read_torch(path: Path, model: str, cure: str) -> dict[str, torch.Tensor]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged stream may break its reader in any way
        raise CorruptWeightsError(
            model,
            f"the file {path} is damaged or holds more than tensors ({type(error).__name__})",
            cure,
        ) from error
    return _tensors(content, path, model)


def _tensors(content: Any, path: Path, model: str) -> dict[str, torch.Tensor]:
    import torch

    for key in ("teacher", "model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {
        key.removeprefix("module.").removeprefix("backbone."): value
        for key, value in (content.items() if isinstance(content, dict) else ())
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise WrongModelError(
            model, f"{path} holds no named tensors", "choose a file of DINOv3 weights"
        )
    return tensors


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(".")
