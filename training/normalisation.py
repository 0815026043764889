"""What student and teacher are shown: colours less the mean of photographs, over their spread."""

from __future__ import annotations

import torch

from napari_dinov3_sim.backbones.registry import LVD_MEAN, LVD_STD

MEAN, STD = (torch.tensor(values)[:, None, None] for values in (LVD_MEAN, LVD_STD))


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Images in 0 … 1, of shape (n, 3, size, size), as the networks take them."""
    return (images - MEAN) / STD
