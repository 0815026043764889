"""What is done with tiles on a device beside the model: stored pixels to RGB, tiles to an image.

Nothing here waits for the device, and nothing is wider than float32, which not all devices have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_dinov3_sim.core.embedding.stitching import joined, mark_undivided, spans_of_plan
from napari_dinov3_sim.core.vectors import storage_dtype

if TYPE_CHECKING:
    from napari_dinov3_sim.core.embedding.queues import DeviceQueues
    from napari_dinov3_sim.core.embedding.recipe import EmbeddingPlan, Joint
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.protocols import Backbone


class PixelConverter:
    """Turns stored values, or RGB in [0, 1], into what goes through the model.

    Parameters
    ----------
    backbone : Backbone
        For its statistics.
    window : IntensityWindow or None
    are_stored : bool
        Whether pixels come as `ResampledImage.read_stored` gives them.
    queues : DeviceQueues
        Where the statistics are put.
    """

    def __init__(
        self,
        backbone: Backbone,
        window: IntensityWindow | None,
        queues: DeviceQueues,
        *,
        are_stored: bool,
    ) -> None:
        # In one product and one sum, because the memory of the device is what they wait for.
        self._window = window if are_stored else None
        white = 255.0 if are_stored and window is None else 1.0
        mean, std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std)
        )
        self._factor, self._offset = (
            copied_to(queues, values) for values in (1 / (white * std), -mean / std)
        )

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return normalised RGB.

        Parameters
        ----------
        pixels : torch.Tensor, shape (B, H', W', 1) or (B, H', W', 3)
            uint8; int16, which holds the bits of uint16; or float32, which is RGB in [0, 1].

        Returns
        -------
        torch.Tensor, shape (B, 3, H', W'), float32
        """
        if pixels.dtype == torch.int16:  # devices compute with no uint16
            pixels = pixels.to(torch.int32).bitwise_and_(0xFFFF)
        rgb = pixels.permute(0, 3, 1, 2).contiguous().float()
        if self._window is not None:
            low, high = self._window.low, self._window.high
            rgb = rgb.sub_(low).div_(high - low).clamp_(0, 1)
        return torch.addcmul(self._offset, rgb, self._factor)


class DeviceStitcher:
    """Does what `TileStitcher` does in the memory of a device, with the same weights.

    Sums of the whole image are kept in float32: two kernels for each tile.

    Parameters
    ----------
    plan : EmbeddingPlan
    dim : int
        Length D of a vector.
    joint : {'blend', 'cut'}
    queues : DeviceQueues

    Attributes
    ----------
    embeddings : torch.Tensor, shape (rows, columns, D)
        On the device; complete as far as `finish_rows` was called.
    """

    def __init__(self, plan: EmbeddingPlan, dim: int, joint: Joint, queues: DeviceQueues) -> None:
        numpy_dtype = storage_dtype(len(plan.grid), dim)
        dtype = torch.float16 if numpy_dtype.itemsize == 2 else torch.float32
        shape = (*plan.grid.shape, dim)
        self._down, self._across = spans_of_plan(plan, joint)
        self._weights = [
            [copied_to(queues, span.weights) for span in axis]
            for axis in (self._down, self._across)
        ]
        self._undivided = [
            copied_to(queues, mark_undivided(axis)) for axis in (self._down, self._across)
        ]
        self._sums = queues.empty(shape, torch.float32)
        self.embeddings = queues.empty(shape, dtype)
        queues.computing.run(self._sums.zero_)

    def add_tile(self, number: int, vectors: torch.Tensor) -> None:
        """Add a tile of the plan.

        Parameters
        ----------
        number : int
            In the order of the plan.
        vectors : torch.Tensor, shape (rows, columns, D)
            Unit vectors of all cells of the tile, on the device.
        """
        row, column = divmod(number, len(self._across))
        down, across = self._down[row], self._across[column]
        weights = self._weights[0][row][:, None] * self._weights[1][column]
        place = self._sums[down.start : down.stop, across.start : across.stop]
        place.addcmul_(vectors, weights[..., None])

    def rows_after(self, number: int) -> int:
        """Return how many of the first rows are finished with a tile and all before it."""
        row = (number + 1) // len(self._across)
        return self._down[row].start if row < len(self._down) else self._down[-1].stop

    def finish_rows(self, first: int, stop: int) -> None:
        """Turn the sums of finished rows into unit vectors."""
        undivided = self._undivided[0][first:stop, None] & self._undivided[1]
        self.embeddings[first:stop] = joined(self._sums[first:stop], undivided)


def copied_to(queues: DeviceQueues, values: torch.Tensor) -> torch.Tensor:
    """Return the same numbers in the memory of a device; waits until they are there."""
    place = queues.empty(tuple(values.shape), values.dtype)
    place.copy_(values)
    return place
