"""Batches: groups and photographs from the folders, turned, flipped and changed in light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray
Random = np.random.Generator


class Shards:
    """The groups of all shards whose name begins with `prefix`, read from disk when needed."""

    def __init__(self, folder: Path, prefix: str) -> None:
        files = sorted(folder.glob(f"{prefix}-*.images.npy"))
        self.images = [np.load(f, mmap_mode="r") for f in files]
        partners = [f.with_name(f.name.replace("images", "shares")) for f in files]
        self.shares = [np.load(f, mmap_mode="r") for f in partners]
        self.lengths = np.array([len(i) for i in self.images], int)

    def __len__(self) -> int:
        return int(self.lengths.sum())

    def draw(self, rng: Random) -> tuple[Tensor, Tensor]:
        """One group: images (n, 3, size, size) in 0 … 1, and shares (n, rows, columns, 16)."""
        shard = int(rng.choice(len(self.lengths), p=self.lengths / self.lengths.sum()))
        k = int(rng.integers(self.lengths[shard]))
        images = (
            torch.from_numpy(np.array(self.images[shard][k])).permute(0, 3, 1, 2).float() / 255
        )
        shares = torch.from_numpy(np.array(self.shares[shard][k])).float() / 255
        turns = int(rng.integers(4))
        images, shares = torch.rot90(images, turns, (2, 3)), torch.rot90(shares, turns, (1, 2))
        if rng.random() < 0.5:
            images, shares = images.flip(3), shares.flip(2)
        return change_light(rng, images), shares


class Photographs:
    """Crops of photographs, and the teacher's features of them."""

    def __init__(self, folder: Path) -> None:
        self.images = np.load(folder / "photographs.images.npy", mmap_mode="r")
        self.features = np.load(folder / "photographs.features.npy", mmap_mode="r")
        sample = np.asarray(self.features[:: max(1, len(self.features) // 200)], np.float32)
        self.mean = torch.from_numpy(sample.reshape(-1, sample.shape[-1]).mean(0))

    def draw(self, rng: Random, count: int) -> tuple[Tensor, Tensor]:
        """Images (count, 3, 256, 256) in 0 … 1, and centred features of the teacher."""
        chosen = np.sort(rng.choice(len(self.images), count, replace=False))
        images = torch.from_numpy(self.images[chosen]).permute(0, 3, 1, 2).float() / 255
        features = torch.from_numpy(self.features[chosen].astype(np.float32)) - self.mean
        if rng.random() < 0.5:
            images = images.flip(3)
            rows = int(features.shape[1] ** 0.5)
            features = features.unflatten(1, (rows, rows)).flip(2).flatten(1, 2)
        return change_light(rng, images, colours=False), features


class Unlabelled:
    """Groups of real images without annotations."""

    def __init__(self, file: Path) -> None:
        self.images = np.load(file, mmap_mode="r")

    def draw(self, rng: Random) -> tuple[Tensor, Tensor]:
        """One group as it is, and once more in another light; (4, 3, 256, 256) in 0 … 1."""
        chosen = np.array(self.images[int(rng.integers(len(self.images)))])
        images = torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255
        images = torch.rot90(images, int(rng.integers(4)), (2, 3))
        if rng.random() < 0.5:
            images = images.flip(3)
        return images, change_light(rng, images)


def change_light(rng: Random, images: Tensor, *, colours: bool = True) -> Tensor:
    """Contrast, brightness, noise and blur, different in each image.

    What may swap bright and dark, or one colour and another, is alike in all of them.
    """
    gains = torch.from_numpy(rng.uniform(0.7, 1.3, (3, 1, 1))).float()
    grey = rng.random() < 0.25
    inverted = colours and rng.random() < 0.15
    tinted = colours and rng.random() < 0.3
    changed = []
    for image in images:
        new = image
        if grey:
            new = new.mean(0, keepdim=True).expand(3, -1, -1)
        if inverted:
            new = 1 - new
        if tinted:
            new = new * gains
        new = (new - 0.5) * rng.uniform(0.65, 1.35) + 0.5 + rng.uniform(-0.1, 0.1)
        if rng.random() < 0.2:
            new = new + 0.04 * torch.from_numpy(rng.standard_normal(new.shape)).float()
        if rng.random() < 0.2:
            new = functional.avg_pool2d(new[None], 3, 1, 1)[0]
        changed.append(new.clamp(0, 1))
    return torch.stack(changed)
