"""Batches of tiles: read ahead by one on a thread, as large as the memory allows."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from napari_dinov3_sim.core.embedding.debias import bases_of, positional_basis, project_out
from napari_dinov3_sim.core.errors import BackboneError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from napari_dinov3_sim.core.protocols import Backbone, Notice


class Pass(NamedTuple):
    """One forward pass over one tile: its number, and how far it is shifted, in cells."""

    tile: int
    row: int
    column: int


class Batch(NamedTuple):
    """Passes and their pixels, (B, 3, H', W')."""

    passes: tuple[Pass, ...]
    pixels: torch.Tensor


class CachedTile(NamedTuple):
    """A tile that an earlier run has finished: its number and its unit vectors."""

    tile: int
    vectors: torch.Tensor


class PrecisionChangedError(Exception):
    """The model must go on in another arithmetic, so what is there cannot be used.

    Attributes
    ----------
    backbone : Backbone
        What to start again with.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone.name)
        self.backbone = backbone


def batched(
    steps: Iterable[tuple[Pass, torch.Tensor] | CachedTile], size: int
) -> Iterator[Batch | CachedTile]:
    """Group passes with their pixels (3, H', W') into batches; the order of tiles stays."""
    group: list[tuple[Pass, torch.Tensor]] = []
    for step in steps:
        if not isinstance(step, CachedTile):
            group.append(step)
            if len(group) < size:
                continue
        if group:
            yield _batch(group)
            group = []
        if isinstance(step, CachedTile):
            yield step
    if group:
        yield _batch(group)


def _batch(group: list[tuple[Pass, torch.Tensor]]) -> Batch:
    pixels = [pixels for _, pixels in group]
    stacked = pixels[0][None] if len(pixels) == 1 else torch.stack(pixels)
    return Batch(tuple(one for one, _ in group), stacked)


def read_ahead(
    batches: Iterator[Batch | CachedTile], stage: Callable[[Batch], Batch]
) -> Generator[Batch | CachedTile, None, None]:
    """Prepare the next batch, or recall the next tile, on a thread while the last one is used.

    The thread has ended when this generator is closed, however that comes about.

    Parameters
    ----------
    batches : iterator of Batch or CachedTile
        Runs on the thread only.
    stage : callable
        Runs there too, on each batch.
    """

    def prepare() -> Batch | CachedTile | None:
        batch = next(batches, None)
        return stage(batch) if isinstance(batch, Batch) else batch

    with ThreadPoolExecutor(1, "read-tiles") as pool:
        future: Future[Batch | CachedTile | None] = pool.submit(prepare)
        try:
            while (batch := future.result()) is not None:
                future = pool.submit(prepare)
                yield batch
        finally:
            future.cancel()


@dataclass(eq=False)
class BatchRunner:
    """Runs a model on batches; out of memory is answered by smaller ones, then by the CPU.

    Attributes
    ----------
    backbone : Backbone
        The one in use.
    batch_size : int
        Passes at a time; becomes smaller, never larger.
    notice : callable or None
        Called at every retreat to smaller batches or to the CPU.
    debias : int
        How many positional directions are projected out.
    """

    backbone: Backbone
    batch_size: int
    notice: Notice | None = None
    debias: int = 0
    _fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        self._fingerprint = self.backbone.fingerprint

    def stage(self, batch: Batch) -> Batch:
        """Bring pixels to where the model runs, where it can do that ahead of time."""
        stage: Callable[[torch.Tensor], torch.Tensor] | None
        stage = getattr(self.backbone, "stage", None)
        return batch if stage is None else Batch(batch.passes, stage(batch.pixels))

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed a batch (B, 3, H', W') as (B, rows, columns, D), float32 on the CPU.

        Raises
        ------
        OutOfMemoryError
            Not even the CPU has the memory for a single pass.
        BackboneError
            The model returned values that are not finite, or the wrong number of them.
        PrecisionChangedError
            The model on the CPU has another fingerprint.
        """
        features = self._embed(pixels)
        if not self.debias:
            return features
        return project_out(features, self._basis(pixels))

    def _embed(self, pixels: torch.Tensor) -> torch.Tensor:
        parts: list[torch.Tensor] = []
        done = 0
        while done < len(pixels):
            part = pixels[done : done + self.batch_size]
            try:
                parts.append(_checked(self.backbone.embed_patches(part), part, self.backbone))
            except OutOfMemoryError as error:
                self._retreat(error, len(part))
                continue
            done += len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _basis(self, pixels: torch.Tensor) -> torch.Tensor:
        shape = (pixels.shape[-2], pixels.shape[-1])

        def compute() -> torch.Tensor:
            # The mean colour of the training images everywhere, which the normalisation makes 0.
            features = self._embed(torch.zeros((1, 3, *shape)))
            return positional_basis(features.reshape(-1, features.shape[-1]), self.debias)

        key = (self._fingerprint, shape, self.debias)
        return bases_of(self.backbone).get(key, compute)

    def _retreat(self, error: OutOfMemoryError, size: int) -> None:
        if size > 1:
            self.batch_size = size // 2
            self._say(smaller_batches(self.backbone, size))
            return
        device = _device_of(self.backbone)
        on_cpu: Callable[[], Any] | None = getattr(self.backbone, "on_cpu", None)
        cpu = None if on_cpu is None or device == "cpu" else on_cpu()
        if cpu is None or cpu is self.backbone:  # itself: it is there under another name
            raise error
        ran_out = f"The model {self.backbone.name} ran out of memory on {device} with"
        self.backbone = cpu
        self._say(f"{ran_out} a single tile; this image is embedded on the CPU, more slowly.")
        if self.backbone.fingerprint != self._fingerprint:
            raise PrecisionChangedError(self.backbone)

    def _say(self, sentence: str) -> None:
        if self.notice is not None:
            self.notice(sentence)


def smaller_batches(backbone: Backbone, size: int) -> str:
    """Return what the user is told when `size` tiles at once were too many."""
    return (
        f"The model {backbone.name} ran out of memory on {_device_of(backbone)} with {size} tiles "
        f"at once; it goes on with {size // 2}."
    )


def _device_of(backbone: Backbone) -> str:
    return getattr(backbone, "device", "the device")


def _checked(embeddings: torch.Tensor, pixels: torch.Tensor, backbone: Backbone) -> torch.Tensor:
    rows, columns = (side // backbone.patch_size for side in pixels.shape[-2:])
    expected = (len(pixels), rows * columns, backbone.dim)
    if embeddings.shape != expected:
        raise BackboneError(
            f"The model {backbone.name} returned embeddings of shape {tuple(embeddings.shape)} "
            f"instead of {expected}; it is not a DINOv3 ViT, choose another model."
        )
    if not bool(torch.isfinite(embeddings).all()):
        raise BackboneError(
            f"The model {backbone.name} returned values that are not finite; load it with "
            'dtype="float32".'
        )
    return embeddings.detach().reshape(len(pixels), rows, columns, backbone.dim)
