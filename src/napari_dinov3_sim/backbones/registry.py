"""The registry of the official DINOv3 ViTs, one record each."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from napari_dinov3_sim.backbones.errors import ModelNotFoundError

Statistics = tuple[float, float, float]
Naming = Literal["huggingface", "timm", "meta"]

LVD_MEAN: Statistics = (0.485, 0.456, 0.406)
LVD_STD: Statistics = (0.229, 0.224, 0.225)
SAT_MEAN: Statistics = (0.430, 0.411, 0.296)
SAT_STD: Statistics = (0.213, 0.156, 0.143)

DINOV3_LICENCE = (
    "DINOv3 License (https://ai.meta.com/resources/models-and-libraries/dinov3-license/)"
)

BUILTIN = "builtin"
BUILTIN_VERSION = "v1"
"""Of the weights that ship with the package, in the folder ``builtin_VERSION``. The first record
below says of them what their config.json says."""

DEFAULT_MODEL = "dinov3-vits16plus"


@dataclass(frozen=True)
class Source:
    """A repository of the Hugging Face Hub that holds the weights.

    Attributes
    ----------
    repo : str
        Hub id, "owner/name".
    format : {"huggingface", "timm", "meta"}
        How its tensors are named.
    gated : bool
        Whether access must be asked for.
    """

    repo: str
    format: Naming
    gated: bool

    @property
    def command(self) -> str:
        """The shell command that puts the weights into the local cache."""
        pattern = ' --include "*.safetensors*"' if self.gated else " model.safetensors"
        return f"hf download {self.repo}{pattern}"


@dataclass(frozen=True)
class ModelRecord:
    """What is known of a model before its weights are read.

    Attributes
    ----------
    name : str
        Name in the registry.
    label : str
        Name for people.
    sources : tuple of Source
        In order of preference, ungated before gated; empty for what ships with the package.
    patch_size, dim, layers, heads, ffn : int
        The architecture; `ffn` is the width of the feed-forward layer.
    swiglu : bool
        Whether the feed-forward layer is gated (SwiGLU) instead of an MLP.
    qv_bias : bool
        Whether the query and value projections have biases.
    parameters : int
        Number of parameters, mask token included.
    mean, std : tuple of float
        Statistics of the training images, for RGB in [0, 1].
    licence : str
        Licence of the weights.
    spair : float or None
        SPair PCK of the DINOv3 paper (arXiv:2508.10104), table 14; None where not published.
    meta_hash : str
        First 8 hex digits of the sha256 of Meta's .pth file; it ends the file's name.
    note : str
        One sentence for the user.
    """

    name: str
    label: str
    sources: tuple[Source, ...]
    dim: int
    layers: int
    heads: int
    ffn: int
    swiglu: bool
    parameters: int
    patch_size: int = 16
    qv_bias: bool = True
    mean: Statistics = LVD_MEAN
    std: Statistics = LVD_STD
    licence: str = DINOV3_LICENCE
    spair: float | None = None
    meta_hash: str = ""
    note: str = ""

    @property
    def is_builtin(self) -> bool:
        """Whether the weights ship with this package."""
        return not self.sources

    @property
    def aliases(self) -> tuple[str, ...]:
        """The hub ids and their last parts."""
        repos = [source.repo for source in self.sources]
        return (*repos, *(repo.partition("/")[2] for repo in repos))


def _sources(timm: str, official: str) -> tuple[Source, ...]:
    # The timm repositories hold the same weights without a gate, with Meta's consent
    # (github.com/facebookresearch/dinov3/issues/145).
    return (
        Source(f"timm/vit_{timm}", "timm", gated=False),
        Source(f"facebook/dinov3-{official}", "huggingface", gated=True),
    )


def _records() -> tuple[ModelRecord, ...]:
    return (
        ModelRecord(
            BUILTIN, "Built-in first look (not a Meta checkpoint)", (),
            192, 8, 3, 768, False, 3_709_632, licence="BSD-3-Clause",
            note="A small network of our own for a first look without a download; "
            "it has DINOv3's architecture but is not a DINOv3 checkpoint of Meta.",
        ),
        ModelRecord(
            "dinov3-vits16", "DINOv3 ViT-S/16",
            _sources("small_patch16_dinov3.lvd1689m", "vits16-pretrain-lvd1689m"),
            384, 12, 6, 1536, False, 21_596_544, spair=50.4, meta_hash="08c60483",
            note="The smallest of Meta's models.",
        ),
        ModelRecord(
            "dinov3-vits16plus", "DINOv3 ViT-S+/16",
            _sources("small_plus_patch16_dinov3.lvd1689m", "vits16plus-pretrain-lvd1689m"),
            384, 12, 6, 1536, True, 28_692_864, spair=55.2, meta_hash="4057cbaa",
            note="The better small model: a good start on any computer.",
        ),
        ModelRecord(
            "dinov3-vitb16", "DINOv3 ViT-B/16",
            _sources("base_patch16_dinov3.lvd1689m", "vitb16-pretrain-lvd1689m"),
            768, 12, 12, 3072, False, 85_660_416, spair=57.2, meta_hash="73cec8be",
            note="Between S+ and L in quality and cost.",
        ),
        ModelRecord(
            "dinov3-vitl16", "DINOv3 ViT-L/16",
            _sources("large_patch16_dinov3.lvd1689m", "vitl16-pretrain-lvd1689m"),
            1024, 24, 16, 4096, False, 303_129_600, spair=61.2, meta_hash="8aa4cbdd",
            note="The best correspondence for its size; a GPU is advised.",
        ),
        ModelRecord(
            "dinov3-vith16plus", "DINOv3 ViT-H+/16",
            _sources("huge_plus_patch16_dinov3.lvd1689m", "vith16plus-pretrain-lvd1689m"),
            1280, 32, 20, 5120, True, 840_592_640, spair=56.3, meta_hash="7c1da9a5",
            note="Needs a GPU and 3.4 GB of memory for the weights.",
        ),
        ModelRecord(
            "dinov3-vit7b16", "DINOv3 ViT-7B/16",
            _sources("7b_patch16_dinov3.lvd1689m", "vit7b16-pretrain-lvd1689m"),
            4096, 40, 32, 8192, True, 6_716_035_072, qv_bias=False, spair=58.7,
            meta_hash="a955f4ea", note="Needs a GPU and 27 GB of memory for the weights.",
        ),
        ModelRecord(
            "dinov3-vitl16-sat493m", "DINOv3 ViT-L/16 (satellite)",
            _sources("large_patch16_dinov3.sat493m", "vitl16-pretrain-sat493m"),
            1024, 24, 16, 4096, False, 303_129_600, mean=SAT_MEAN, std=SAT_STD,
            meta_hash="eadcf0ff", note="Trained on satellite images.",
        ),
        ModelRecord(
            "dinov3-vit7b16-sat493m", "DINOv3 ViT-7B/16 (satellite)",
            _sources("7b_patch16_dinov3.sat493m", "vit7b16-pretrain-sat493m"),
            4096, 40, 32, 8192, True, 6_716_035_072, qv_bias=False, mean=SAT_MEAN, std=SAT_STD,
            meta_hash="a6675841", note="Trained on satellite images; 27 GB of weights.",
        ),
    )  # fmt: skip


MODELS: dict[str, ModelRecord] = {record.name: record for record in _records()}
"""Every model of the registry by name, in order of size."""

_ALIASES = {alias: record for record in MODELS.values() for alias in record.aliases}


def list_models() -> tuple[ModelRecord, ...]:
    """Return the record of every model, the built-in one first.

    Returns
    -------
    tuple of ModelRecord
    """
    return tuple(MODELS.values())


def lookup(name: str) -> ModelRecord | None:
    """Return the record of a registry name, a hub id or its last part; None when unknown."""
    return MODELS.get(name) or _ALIASES.get(name)


def find_model(name: str) -> ModelRecord:
    """Return the record of a registry name, a hub id of it or the last part of that id.

    Parameters
    ----------
    name : str
        For example "dinov3-vits16" or "facebook/dinov3-vits16-pretrain-lvd1689m".

    Returns
    -------
    ModelRecord

    Raises
    ------
    ModelNotFoundError
        No model has this name; the message suggests the closest one.
    """
    record = lookup(name)
    if record is None:
        close = get_close_matches(name, [*MODELS, *_ALIASES], n=1)
        meant = f"perhaps {close[0]} is meant, " if close else ""
        raise ModelNotFoundError(
            name or '""',
            "no model has this name",
            f"{meant}`napari-dinov3-sim models` lists all names",
        )
    return record
