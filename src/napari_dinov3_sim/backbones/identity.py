"""The remembered identity of a model, by which it is known before it is loaded again.

The identity is its fingerprint, which decides what stored embeddings belong to the model, and the
patch size. Reading it imports neither torch nor transformers and needs no network. It is valid as
long as the weights are the same files on the same computer; whoever loads the model later must
still compare the fingerprints.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import zlib
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones.errors import ModelError
from napari_dinov3_sim.backbones.files.locate import as_path, locate_here
from napari_dinov3_sim.store.atomic_files import write_atomically
from napari_dinov3_sim.store.embedding_store import default_folder

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim.backbones.backbone import DINOv3Backbone
    from napari_dinov3_sim.backbones.files.locate import ModelFiles

Facts = dict[str, Any]


@dataclass(frozen=True)
class ModelIdentity:
    """A model as it was when it was last loaded; the attributes are those of `DINOv3Backbone`.

    Attributes
    ----------
    name, label : str
    patch_size, dim : int
    device, dtype : str
    fingerprint : str
    is_builtin : bool
    licence : str
    """

    name: str
    label: str
    patch_size: int
    dim: int
    device: str
    dtype: str
    fingerprint: str
    is_builtin: bool
    licence: str


@dataclass(frozen=True)
class LoadRequest:
    """What `load_backbone` was asked for.

    Attributes
    ----------
    model : str or os.PathLike
    device, dtype : str
    """

    model: str | os.PathLike[str]
    device: str = "auto"
    dtype: str = "auto"


def known_identity(
    model: str | os.PathLike[str], device: str = "auto", dtype: str = "auto"
) -> ModelIdentity | None:
    """Return what is known of a model without loading it.

    Parameters
    ----------
    model, device, dtype
        As for `load_backbone`.

    Returns
    -------
    ModelIdentity or None
        None if the model was never loaded in this way, or its files are not here or have changed
        since. Files are compared by path, size and time of change.
    """
    request = LoadRequest(model, device, dtype)
    try:
        material = locate_here(model)
        if material is None:
            return None
        facts = facts_of(request, material)
        content = json.loads(_place(request, facts).read_text(encoding="utf-8"))
        if content["facts"] != facts or content["crc32"] != _checksum(content["identity"]):
            return None
        return _checked(content["identity"])
    except (ModelError, OSError, ValueError, TypeError, LookupError, RecursionError):
        return None


def facts_of(request: LoadRequest, material: ModelFiles) -> Facts:
    """Return what must not have changed for an identity to be true, as JSON holds it.

    Called before the weights are read, so that a change in the meantime is noticed.
    """
    return {
        "model": material.name,
        "device": request.device,
        "dtype": request.dtype,
        "files": [_file(path) for path in material.paths],
        "config": material.config,
        "preprocessor": material.preprocessor,
        # "auto" is another device where a home is shared, or a GPU is hidden.
        "computer": [platform.node(), os.environ.get("CUDA_VISIBLE_DEVICES")],
        "versions": [_version(name) for name in ("napari-dinov3-sim", "torch", "openvino")],
    }


def remember(request: LoadRequest, facts: Facts, backbone: DINOv3Backbone) -> None:
    """Write the identity of a loaded model; where that fails, it is loaded again next time.

    Parameters
    ----------
    request : LoadRequest
    facts : dict
        From `facts_of`, before the weights were read.
    backbone : DINOv3Backbone
    """
    identity = {field.name: getattr(backbone, field.name) for field in fields(ModelIdentity)}
    content = json.dumps(
        {"facts": facts, "identity": identity, "crc32": _checksum(identity)}, indent=1
    )
    place = _place(request, facts)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content.encode())
    except OSError:
        return


def identity_folder() -> Path:
    """Return the folder of all identities of a user, beside that of the embeddings."""
    return default_folder().parent / "models"


def _place(request: LoadRequest, facts: Facts) -> Path:
    path = as_path(request.model)
    model = os.fspath(request.model) if path is None else str(path.resolve())
    # By where the files lie: environments that share a home each have their own.
    files = [found[0] for found in facts["files"]]
    key = repr((model, request.device, request.dtype, files)).encode()
    return identity_folder() / f"{hashlib.sha256(key).hexdigest()[:32]}.json"


def _file(path: Path) -> list[str | int]:
    real = path.resolve()
    try:
        seen = real.stat()
    except OSError:  # whoever reads it says why
        return [str(real)]
    return [str(real), seen.st_size, seen.st_mtime_ns]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # not installed by a package manager
        return ""


def _checksum(identity: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(identity, sort_keys=True).encode()):08x}"


def _checked(content: dict[str, Any]) -> ModelIdentity:
    identity = ModelIdentity(**content)
    types = {"patch_size": int, "dim": int, "is_builtin": bool}
    for name, value in asdict(identity).items():
        if type(value) is not types.get(name, str):
            raise ValueError(name)
    if identity.patch_size < 1 or not identity.fingerprint:
        raise ValueError(identity)
    return identity
