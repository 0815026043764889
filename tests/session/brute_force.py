"""A backbone without a network, and a brute-force recomputation of what a session shows."""

from __future__ import annotations

import threading

import numpy as np
import torch

PATCH = 16
DIM = 12
PROJECTION = np.random.default_rng(7).normal(size=(PATCH * PATCH * 3, DIM)).astype(np.float32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PatchProjection:
    """Satisfies `Backbone`: a fixed linear map of each patch, so that brute force is simple."""

    name = "projection"
    patch_size, dim, mean, std = PATCH, DIM, MEAN, STD

    def __init__(self, fingerprint: str = "projection-1", sign: float = 1.0) -> None:
        self.fingerprint, self._sign = fingerprint, sign
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def embed_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.entered.set()
        self.gate.wait(20)
        patches = torch.nn.functional.unfold(pixel_values, PATCH, stride=PATCH).transpose(1, 2)
        return patches @ torch.from_numpy(PROJECTION) + self._sign


def reference_embeddings(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """Unit embeddings (rows, columns, DIM) of a grayscale plane, patch by patch."""
    height, width = plane.shape
    rows, columns = -(-height // PATCH), -(-width // PATCH)
    padded = np.zeros((rows * PATCH, columns * PATCH), np.float32)
    span = max(high - low, 1e-30)
    padded[:height, :width] = np.clip((plane.astype(float) - low) / span, 0, 1)
    out = np.empty((rows, columns, DIM), np.float32)
    for row in range(rows):
        for column in range(columns):
            patch = padded[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            channels = [(patch - m) / s for m, s in zip(MEAN, STD, strict=True)]
            feature = np.stack(channels).reshape(-1).astype(np.float32) @ PROJECTION + 1.0
            out[row, column] = feature / (np.linalg.norm(feature) + 1e-8)
    return out


def reference_window(data: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(data[np.isfinite(data)], (0.1, 99.9))
    return (low, high) if low < high else (float(data.min()), float(data.max()))


def reference_map(query: np.ndarray, embeddings: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Cosine of every pixel's patch with the query, at full resolution."""
    cosine = embeddings @ query
    return cosine.repeat(PATCH, 0).repeat(PATCH, 1)[: shape[0], : shape[1]]


def reference_query(vectors: list[np.ndarray]) -> np.ndarray:
    mean = np.mean(vectors, axis=0)
    return mean / (np.linalg.norm(mean) + 1e-8)
