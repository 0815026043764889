"""Principal components of embeddings as colours, the same for all images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinov3_sim.core.search.similarity import check_same_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.state import PatchImageState

SPREAD = (1.0, 99.0)
"""Percentiles of each component that are drawn as 0 and 1."""

ROWS = 2**16
"""Embeddings that are converted at a time."""


def pca_colours(states: Sequence[PatchImageState]) -> list[NDArray[np.float32]]:
    """Return the first three principal components of embeddings as red, green and blue.

    Parameters
    ----------
    states : sequence of PatchImageState
        At least one. They share one basis and one scale, so that colours compare.

    Returns
    -------
    list of ndarray of float32, shape (rows, columns, 3)
        In [0, 1], per image; `upsample_nearest` brings it to the size of the image. A component
        that does not vary is 0.5.

    Raises
    ------
    StateError
        The images were embedded by different models.
    """
    check_same_model(states)
    mean, basis = _principal_axes(states)
    parts = [
        torch.cat([(block - mean) @ basis for block in _blocks([state])]).numpy()
        for state in states
    ]
    low, high = np.percentile(np.concatenate(parts), SPREAD, axis=0)
    return [
        _scaled(part, low, high).reshape(*state.grid.shape, 3)
        for part, state in zip(parts, states, strict=True)
    ]


def _principal_axes(states: Sequence[PatchImageState]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean, and the three axes of greatest variance as columns."""
    count = sum(len(state.grid) for state in states)
    mean = torch.stack([block.sum(0) for block in _blocks(states)]).sum(0) / count
    covariance = mean.new_zeros(len(mean), len(mean))
    for block in _blocks(states):
        covariance += (block - mean).T @ (block - mean)
    axes = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :3]
    # An axis has no direction: its greatest entry is made positive, so that colours are stable.
    greatest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return mean, axes * greatest.sign()


def _blocks(states: Sequence[PatchImageState]) -> Iterator[torch.Tensor]:
    for state in states:
        for start in range(0, len(state.grid), ROWS):
            yield state.embeddings_normalized[start : start + ROWS].double()


def _scaled(
    values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float32]:
    varies = high - low > 1e-6
    scaled = np.clip((values - low) / np.where(varies, high - low, 1), 0, 1)
    return np.where(varies, scaled, 0.5).astype(np.float32)
