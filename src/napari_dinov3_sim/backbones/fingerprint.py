"""What identifies a backbone: its weights and its arithmetic, whatever file they came in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

_MASK = "embeddings.mask_token"


def fingerprint_of(state: Mapping[str, torch.Tensor], *facts: object) -> str:
    """Return the sha256 of canonical weights and of the facts that change the embeddings.

    The mask token and query, key and value biases of zeros are left out: they change nothing,
    and timm's files do not have them.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Canonical float32 weights, see `naming.canonical`.
    *facts : object
        Arithmetic, statistics, patch size and so on; hashed by their `repr`.

    Returns
    -------
    str
        64 hex digits.
    """
    digest = hashlib.sha256(repr(facts).encode())
    for key in sorted(state):
        if not _changes_nothing(key, state[key]):
            digest.update(f"{key}{tuple(state[key].shape)}".encode())
            digest.update(state[key].numpy().data.cast("B"))
    return digest.hexdigest()


def _changes_nothing(key: str, tensor: torch.Tensor) -> bool:
    is_bias = key.endswith(("q_proj.bias", "k_proj.bias", "v_proj.bias"))
    return key == _MASK or not tensor.numel() or (is_bias and not bool(tensor.any()))
