"""Stand-ins for a model: a tiny random DINOv3, and maps so simple that one can think them."""

from __future__ import annotations

import numpy as np
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Dinov3Backbone:
    """Adapts a `DINOv3ViTModel` to what ring 1 asks of a backbone."""

    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, model, name="tiny"):
        self.model = model.eval()
        self.name = name
        self.fingerprint = f"{name}:float32"
        self.patch_size = model.config.patch_size
        self.dim = model.config.hidden_size

    @torch.inference_mode()
    def embed_patches(self, pixel_values):
        return self.model(pixel_values).last_hidden_state[:, 1 + 4 :].float()


def tiny_dinov3(*, dim=64, heads=4, layers=3, gated=False, seed=0):
    """A random `DINOv3ViTModel` in which every parameter matters (no zeros, no ones)."""
    config = DINOv3ViTConfig(
        hidden_size=dim,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        intermediate_size=2 * dim,
        num_register_tokens=4,
        use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
        image_size=224,
    )
    model = DINOv3ViTModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.3 * noise)
            elif "layer_scale" in name:
                parameter.copy_(0.5 + 0.3 * noise)
            elif name.endswith("proj.weight"):
                parameter.copy_(1.5 * noise / parameter.shape[1] ** 0.5)
            elif name.endswith("patch_embeddings.weight"):
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:  # biases and tokens
                parameter.copy_(0.5 * noise)
    return Dinov3Backbone(model, f"tiny-{'gated' if gated else 'mlp'}-{dim}-{seed}")


def arrays_of(backbone):
    return {key: value.numpy() for key, value in backbone.model.state_dict().items()}


class FakeBackbone:
    """Base of the simple maps; `seen` holds every batch that came in."""

    name = "fake"
    fingerprint = "fake:1"
    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, patch_size=4, dim=5):
        self.patch_size = patch_size
        self.dim = dim
        self.seen = []

    def patches(self, pixel_values):
        """(B, 3, H', W') as (B, rows * columns, 3 * P * P)."""
        side = self.patch_size
        batch, channels, height, width = pixel_values.shape
        assert height % side == 0
        assert width % side == 0
        cut = pixel_values.reshape(
            batch, channels, height // side, side, width // side, side
        ).permute(0, 2, 4, 1, 3, 5)
        return cut.reshape(batch, -1, channels * side * side)

    def embed_patches(self, pixel_values):
        self.seen.append(pixel_values.clone())
        return self.embed(pixel_values)


class LinearBackbone(FakeBackbone):
    """A fixed linear map of each patch alone: blind to position and surroundings.

    Integer weights and a loop over the pixels of a patch, so that the sums come out the same to
    the last bit, however many patches are embedded at once.
    """

    def embed(self, pixel_values):
        patches = self.patches(pixel_values)
        rng = np.random.default_rng(0)
        weights = torch.from_numpy(
            rng.integers(-8, 9, (patches.shape[-1], self.dim)).astype(np.float32)
        )
        total = torch.ones(*patches.shape[:2], self.dim)
        for column, weight in zip(patches.unbind(-1), weights, strict=True):
            total += column[..., None] * weight
        return total


class MeanColourBackbone(FakeBackbone):
    """Mean colour of each patch, back in [0, 1]: shows what the pixels were when they came in."""

    def __init__(self, patch_size=4):
        super().__init__(patch_size, dim=3)

    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)

    def embed(self, pixel_values):
        patches = self.patches(pixel_values)
        return patches.reshape(*patches.shape[:2], 3, -1).mean(-1)


class OutputBackbone(FakeBackbone):
    """Returns what it is told to, whatever it is given."""

    def __init__(self, output, **kwargs):
        super().__init__(**kwargs)
        self.output = output

    def embed(self, pixel_values):
        return self.output
