"""A backbone without a network, and a brute-force recomputation of what a session shows."""

from __future__ import annotations

import threading

import numpy as np
import torch

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.objects.guide import read_guide
from napari_dinov3_sim.core.objects.refine import refine_scores
from patience import PATIENCE

PATCH = 16
DIM = 12
PROJECTION = np.random.default_rng(7).normal(size=(PATCH * PATCH * 3, DIM)).astype(np.float32)
CONTRAST = 0.5
HALF_LEARNED, RIDGE = 6, 1.0
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
        self.gate.wait(PATIENCE)
        patches = torch.nn.functional.unfold(pixel_values, PATCH, stride=PATCH).transpose(1, 2)
        return patches @ torch.from_numpy(PROJECTION) + self._sign


def reference_embeddings(
    plane: np.ndarray,
    low: float,
    high: float,
    *,
    sign: float = 1.0,
    factor: float = 1.0,
    padding: str = "zeros",
) -> np.ndarray:
    """Unit embeddings (rows, columns, DIM) of a grayscale plane, patch by patch."""
    return _embedded([scaled(plane, low, high)] * 3, sign, factor, padding)


def reference_merged_embeddings(
    channels: list[tuple[np.ndarray, float, float] | None],
    *,
    sign: float = 1.0,
    factor: float = 1.0,
    padding: str = "zeros",
) -> np.ndarray:
    """Unit embeddings of (plane, low, high) as red, green and blue; None is black."""
    colours = [None if channel is None else scaled(*channel) for channel in channels]
    return _embedded([*np.moveaxis(merged(colours), -1, 0)], sign, factor, padding)


def merged(colours: list[np.ndarray | None]) -> np.ndarray:
    """Red, green and blue as one array (H, W, 3); None is black."""
    shape = next(colour.shape for colour in colours if colour is not None)
    black = np.zeros(shape, np.float32)
    return np.stack([black if colour is None else colour for colour in colours], axis=-1)


def scaled(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((plane.astype(float) - low) / max(high - low, 1e-30), 0, 1).astype(np.float32)


def _embedded(colours: list[np.ndarray], sign: float, factor: float, padding: str) -> np.ndarray:
    if factor != 1:
        colours = [_enlarged(colour, factor) for colour in colours]
    height, width = colours[0].shape
    rows, columns = -(-height // PATCH), -(-width // PATCH)
    beyond = ((0, rows * PATCH - height), (0, columns * PATCH - width))
    mode = "constant" if padding == "zeros" else "reflect"
    padded = np.stack([np.pad(colour, beyond, mode=mode) for colour in colours], axis=-1)
    out = np.empty((rows, columns, DIM), np.float32)
    for row in range(rows):
        for column in range(columns):
            patch = padded[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            normal = ((patch - MEAN) / STD).transpose(2, 0, 1)
            feature = normal.reshape(-1).astype(np.float32) @ PROJECTION + sign
            out[row, column] = feature / (np.linalg.norm(feature) + 1e-8)
    return out


def _enlarged(gray: np.ndarray, factor: float) -> np.ndarray:
    return torch.nn.functional.interpolate(
        torch.from_numpy(gray)[None, None],
        scale_factor=factor,
        mode="bilinear",
        align_corners=False,
    )[0, 0].numpy()


def reference_window(data: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(data[np.isfinite(data)], (0.1, 99.9))
    return (low, high) if low < high else (float(data.min()), float(data.max()))


def reference_map(
    query: np.ndarray, embeddings: np.ndarray, shape: tuple[int, int], cell: int = PATCH
) -> np.ndarray:
    """Cosine of every pixel's patch with the query, at full resolution."""
    return over_pixels(embeddings @ query, shape, cell)


def over_pixels(values: np.ndarray, shape: tuple[int, int], cell: int = PATCH) -> np.ndarray:
    """Values per patch, repeated over the pixels of each."""
    return values.repeat(cell, 0).repeat(cell, 1)[: shape[0], : shape[1]]


def pixel_scores(values: np.ndarray, pixels: np.ndarray, cell: int = PATCH) -> np.ndarray:
    """Scores of pixels in [0, 1], guided by edges, computed from nothing that is kept.

    The functions of the package are compared with slow ones in tests/core/objects.
    """
    grid = PatchGrid(pixels.shape[:2], cell)
    guide = read_guide(as_source(pixels), IntensityWindow(0, 1), grid)
    return refine_scores(values.astype(np.float32), guide)


def reference_objects(scores: np.ndarray, level: float, cell: int = PATCH) -> np.ndarray:
    """Where the objects are: what is small beside a patch is none, and no hole of one."""
    from skimage.measure import label, regionprops

    found, least = scores >= level, cell**2 / 4
    for region in regionprops(label(found, connectivity=2)):
        if region.area < least:
            found[region.slice][region.image] = False
    for region in regionprops(label(~found, connectivity=1)):
        inside = np.min(region.bbox[:2]) > 0 and all(np.less(region.bbox[2:], found.shape))
        if inside and region.area < least:
            found[region.slice][region.image] = True
    return found


def reference_query(vectors: list[np.ndarray]) -> np.ndarray:
    return unit(np.mean(vectors, axis=0))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / (np.linalg.norm(vector) + 1e-8)


def reference_background(images: list[np.ndarray]) -> np.ndarray:
    """Normalised mean of the unit mean directions of the images picked on."""
    return unit(np.mean([unit(e.reshape(-1, DIM).mean(0)) for e in images], axis=0))


def reference_scores(
    combination: str,
    positives: list[np.ndarray],
    negatives: list[np.ndarray],
    background: np.ndarray,
    embeddings: np.ndarray,
) -> np.ndarray:
    """Score of every patch for one class, written out from the formula of each combination."""
    if combination == "auto":
        combination = "learned" if negatives else "mean"
    if combination == "best":
        return np.max([embeddings @ vector for vector in positives], axis=0)
    score = embeddings @ reference_query(positives)
    if combination == "contrast":
        unwanted = np.max([embeddings @ vector for vector in (*negatives, background)], axis=0)
        score = np.clip(score - CONTRAST * unwanted, -1, 1)
    if combination == "learned":
        score = embeddings @ reference_query(positives)
        unwanted = [reference_query(negatives)] if negatives else []
        score = score - CONTRAST * embeddings @ unit(np.mean([*unwanted, background], axis=0))
        share = len(negatives) ** 2
        share = share / (share + HALF_LEARNED**2)
        if negatives and (found := reference_direction(positives, negatives)) is not None:
            score = (1 - share) * score + share * (embeddings @ found[:-1] + found[-1])
        score = np.clip(score, -1, 1)
    return score


def reference_direction(
    positives: list[np.ndarray], negatives: list[np.ndarray]
) -> np.ndarray | None:
    """Normal equations of the balanced ridge regression; its unit direction and its offset."""
    rows = np.array([[*vector, 1.0] for vector in (*positives, *negatives)], np.float64)
    signs = np.array([1.0] * len(positives) + [-1.0] * len(negatives))
    counts = np.where(signs > 0, len(positives), len(negatives))
    weighted = rows.T * (len(rows) / 2 / counts)
    penalty = np.diag([RIDGE] * DIM + [0.0])
    solution = np.linalg.solve(weighted @ rows + penalty, weighted @ signs)
    length = np.linalg.norm(solution[:-1])
    return solution / length if length > 1e-6 else None
