"""The student: a small vision transformer of DINOv3's architecture, and its heads."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from training.normalisation import normalised, products_in_bfloat16
from training.teacher import WIDTH as TEACHER_WIDTH

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = 5
"""Class token and four registers come before the patches."""


def student_config(layers: int = 8, width: int = 192) -> DINOv3ViTConfig:
    """Patch 16, heads of 64 numbers, four registers; 3.7 million parameters as it stands."""
    return DINOv3ViTConfig(
        patch_size=16,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_register_tokens=PREFIX - 1,
        image_size=256,
        pos_embed_rescale=2.0,
        layerscale_value=1.0,
    )


class Student(nn.Module):
    """The encoder, a projection for half of the contrast, and a head towards the teacher."""

    def __init__(self, config: DINOv3ViTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.encoder = DINOv3ViTModel(config)
        self.projection = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, 128)
        )
        self.teacher_head = nn.Linear(width, TEACHER_WIDTH)

    def patches(self, images: Tensor) -> Tensor:
        """Patch features of images in 0 … 1, (n, 3, size, size): (n, patches, width), float32."""
        with products_in_bfloat16():
            hidden = self.encoder(normalised(images)).last_hidden_state
        return hidden[:, PREFIX:].float()


class MovingAverage:
    """An exponential moving average of the encoder's weights; the shipped model is one."""

    def __init__(self, student: Student, decay: float = 0.998) -> None:
        self.decay = decay
        self.student = copy.deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, student: Student, step: int) -> None:
        """Move towards the present weights; faster in the first steps."""
        decay = min(self.decay, step / (step + 10))
        present = student.state_dict()
        for name, tensor in self.student.state_dict().items():
            tensor.lerp_(present[name], 1 - decay)

    def save(self, folder: Path) -> None:
        """Write the averaged encoder as a model folder of transformers."""
        self.student.encoder.save_pretrained(folder)
