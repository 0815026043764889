"""The loop that embeds an image on a device: reading, copies and the model at the same time."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch

from napari_dinov3_sim.core.embedding.batches import smaller_batches
from napari_dinov3_sim.core.embedding.device_tiles import DeviceStitcher, PixelConverter
from napari_dinov3_sim.core.embedding.preprocessing import lengths
from napari_dinov3_sim.core.errors import BackboneError, OutOfMemoryError
from napari_dinov3_sim.core.resident import RESIDENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.queues import DeviceEvent, DeviceQueues
    from napari_dinov3_sim.core.embedding.recipe import EmbeddingPlan, Recipe
    from napari_dinov3_sim.core.images.resampling import ResampledImage
    from napari_dinov3_sim.core.protocols import Backbone, Notice, Progress, TileCache

SLOTS = 2
"""Sets of buffers: the device works on one while the other one is emptied and filled."""


class DeviceBackbone(Protocol):
    """What the loop needs of a model, beyond what a `Backbone` has."""

    def queues(self) -> DeviceQueues | None:
        """Return those of the device it is on, or None where the processor has to wait for it."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed (B, 3, H', W') on the device as (B, rows * columns, D), without waiting."""


class TileGroup(NamedTuple):
    """Neighbouring tiles that go through the queues together.

    Attributes
    ----------
    numbers : tuple of int
        In the order of the plan.
    recalled : tuple of ndarray, shape (rows, columns, D)
        Their unit vectors, if an earlier run has made them; otherwise empty.
    """

    numbers: tuple[int, ...]
    recalled: tuple[NDArray[np.float32 | np.float16], ...] = ()


@dataclass(eq=False)
class _Slot:
    """Buffers of one group, and what is in them.

    `sent` are pinned pixels, `pixels` the same on the device, `vectors` unit vectors there, and
    `kept` those in pinned memory, for the cache of tiles. `rows` is pinned memory for finished
    rows of the image. `is_finite` is a mark on the device, `told` the same in pinned memory.
    """

    sent: torch.Tensor
    pixels: torch.Tensor
    vectors: torch.Tensor
    kept: torch.Tensor
    rows: torch.Tensor
    is_finite: torch.Tensor
    told: torch.Tensor
    group: TileGroup | None = None
    finished: tuple[int, int] = (0, 0)
    is_back: DeviceEvent | None = None


@dataclass(eq=False)
class DevicePipeline:
    """Embeds one image on a device, in groups of tiles that pass through three queues.

    A thread reads the pixels of the next group into pinned memory. The device copies them, turns
    them into RGB, runs the model, adds the tiles to the image, and copies back the rows that no
    later tile changes. The thread that launches all this waits once for each group: for the one
    before the one that it has just launched. So that one wait makes a whole slot free, and the
    device has the next group before it is done with the last.

    Attributes
    ----------
    image : ResampledImage
    plan : EmbeddingPlan
        Without shifts.
    recipe : Recipe
    backbone : Backbone
        With `queues` and `encode`.
    device : DeviceQueues
    tiles : TileCache or None
    progress : callable or None
    size : int
        Tiles of a group.
    """

    image: ResampledImage
    plan: EmbeddingPlan
    recipe: Recipe
    backbone: Backbone
    device: DeviceQueues
    tiles: TileCache | None
    progress: Progress | None
    size: int
    _stitcher: DeviceStitcher = field(init=False)
    _convert: PixelConverter = field(init=False)
    _slots: list[_Slot] = field(init=False)
    _vectors: NDArray[np.float32 | np.float16] = field(init=False)
    _done: int = field(default=0, init=False)
    _finished: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        dim = self.backbone.dim
        self._stitcher = DeviceStitcher(self.plan, dim, self.recipe.tiling.joint, self.device)
        self._convert = PixelConverter(
            self.backbone,
            self.image.window,
            self.device,
            are_stored=self.image.can_be_converted_later,
        )
        self._slots = [self._slot() for _ in range(SLOTS)]
        dtype = np.float16 if self._stitcher.embeddings.dtype == torch.float16 else np.float32
        self._vectors = np.empty((*self.plan.grid.shape, dim), dtype)

    @property
    def resident(self) -> torch.Tensor:
        """The result in the memory of the device, (rows * columns, D)."""
        return self._stitcher.embeddings.flatten(0, 1)

    def run(self) -> NDArray[np.float32 | np.float16]:
        """Return the unit vectors of all patches, (rows * columns, D).

        Raises
        ------
        BackboneError
            The model returned values that are not finite.
        """
        self._report()
        groups = self._groups()
        with ThreadPoolExecutor(1, "read-tiles") as reader:
            filling = [reader.submit(self._fill, slot, groups) for slot in self._slots]
            try:
                self._loop(reader, filling, groups)
            finally:
                for future in filling:
                    future.cancel()
                # Buffers must not go back to torch while a queue still uses them.
                self.device.finish()
        return self._vectors.reshape(-1, self.backbone.dim)

    def _loop(
        self,
        reader: ThreadPoolExecutor,
        filling: list[Future[bool]],
        groups: Iterator[TileGroup],
    ) -> None:
        launched: _Slot | None = None
        for number in itertools.cycle(range(SLOTS)):
            slot = self._slots[number]
            is_there = filling[number].result()
            if is_there:
                self._launch(slot)
            if launched is not None:
                self._collect(launched)
                if is_there:
                    before = number - 1
                    filling[before] = reader.submit(self._fill, self._slots[before], groups)
            if not is_there:
                return
            launched = slot

    def _groups(self) -> Iterator[TileGroup]:
        group = TileGroup(())
        for number in range(len(self.plan.tiles)):
            found = self._recalled(number)
            has_changed = bool(group.recalled) != (found is not None)
            if group.numbers and (has_changed or len(group.numbers) == self.size):
                yield group
                group = TileGroup(())
            recalled = group.recalled if found is None else (*group.recalled, found)
            group = TileGroup((*group.numbers, number), recalled)
        yield group

    def _recalled(self, number: int) -> NDArray[np.float32 | np.float16] | None:
        found = self.tiles.get(number) if self.tiles is not None else None
        shape = (*self.plan.tile_shape, self.backbone.dim)
        return found if found is not None and found.shape == shape else None

    # --- on the thread that reads ----------------------------------------------------------------

    def _fill(self, slot: _Slot, groups: Iterator[TileGroup]) -> bool:
        """Put the next group into the pinned memory of a slot; return whether there is one."""
        slot.group = next(groups, None)
        if slot.group is None:
            return False
        for place, vectors in enumerate(slot.group.recalled):
            slot.kept[place] = torch.from_numpy(vectors)
        if not slot.group.recalled:
            for place, number in enumerate(slot.group.numbers):
                slot.sent[place] = self._read(number)
        return True

    def _read(self, number: int) -> torch.Tensor:
        tile = self.plan.tiles[number]
        rows, columns = self.plan.region(tile.rows), self.plan.region(tile.columns)
        if not self.image.can_be_converted_later:
            return torch.from_numpy(self.image.read(rows, columns))
        pixels = self.image.read_stored(rows, columns)
        return torch.from_numpy(pixels.view(np.int16) if pixels.itemsize == 2 else pixels)

    # --- on the thread that launches -------------------------------------------------------------

    def _launch(self, slot: _Slot) -> None:
        group, device = slot.group, self.device
        if group is None:
            return
        count = len(group.numbers)
        sent, received = (slot.kept, slot.vectors) if group.recalled else (slot.sent, slot.pixels)
        finished = self._stitcher.rows_after(group.numbers[-1])
        slot.finished, self._finished = (self._finished, finished), finished
        device.copies_in.run(lambda: received[:count].copy_(sent[:count], non_blocking=True))
        device.computing.follow(device.copies_in.record())
        device.computing.run(lambda: self._compute(slot, group))
        device.copies_out.follow(device.computing.record())
        device.copies_out.run(lambda: self._send_back(slot, group))
        slot.is_back = device.copies_out.record()

    def _compute(self, slot: _Slot, group: TileGroup) -> None:
        with torch.inference_mode():
            if not group.recalled:
                self._encode(slot, len(group.numbers))
            for place, number in enumerate(group.numbers):
                self._stitcher.add_tile(number, slot.vectors[place])
            if slot.finished[0] < slot.finished[1]:
                self._stitcher.finish_rows(*slot.finished)

    def _encode(self, slot: _Slot, count: int) -> None:
        backbone: DeviceBackbone = self.backbone  # type: ignore[assignment]
        tokens = backbone.encode(self._convert(slot.pixels[:count])).float()
        norms = lengths(tokens)
        slot.is_finite.copy_(torch.isfinite(norms).all())
        # Rounded before they are joined, so that a run that recalls them joins the same.
        slot.vectors[:count].copy_((tokens / norms).view(slot.vectors[:count].shape))

    def _send_back(self, slot: _Slot, group: TileGroup) -> None:
        first, stop = slot.finished
        rows = self._stitcher.embeddings[first:stop]
        slot.rows[: stop - first].copy_(rows, non_blocking=True)
        if group.recalled:
            return
        slot.told.copy_(slot.is_finite, non_blocking=True)
        if self.tiles is not None:
            count = len(group.numbers)
            slot.kept[:count].copy_(slot.vectors[:count], non_blocking=True)

    def _collect(self, slot: _Slot) -> None:
        group = slot.group
        if group is None or slot.is_back is None:
            return
        slot.is_back.wait()
        if not group.recalled and not bool(slot.told):
            raise BackboneError(
                f"The model {self.backbone.name} returned values that are not finite; load it "
                'with dtype="float32".'
            )
        first, stop = slot.finished
        self._vectors[first:stop] = slot.rows[: stop - first].numpy()
        for place, number in enumerate(group.numbers):
            if self.tiles is not None and not group.recalled:
                self.tiles.put(number, slot.kept[place].numpy())
            self._done += 1
            self._report()

    def _slot(self) -> _Slot:
        device, plan = self.device, self.plan
        height, width = (n * plan.patch_size for n in plan.tile_shape)
        pixels = (self.size, height, width, 1 if self._is_gray() else 3)
        vectors = (self.size, *plan.tile_shape, self.backbone.dim)
        dtype = self._stitcher.embeddings.dtype
        rows = (self._most_rows(), plan.grid.columns, self.backbone.dim)
        return _Slot(
            sent=device.pinned(pixels, self._pixel_dtype()),
            pixels=device.empty(pixels, self._pixel_dtype()),
            vectors=device.empty(vectors, dtype),
            kept=device.pinned(vectors if self.tiles is not None else (0,), dtype),
            rows=device.pinned(rows, dtype),
            is_finite=device.empty((), torch.bool),
            told=device.pinned((), torch.bool),
        )

    def _is_gray(self) -> bool:
        return self.image.can_be_converted_later and self.image.source.channels == 1

    def _pixel_dtype(self) -> torch.dtype:
        if not self.image.can_be_converted_later:
            return torch.float32
        return torch.uint8 if self.image.source.dtype == np.uint8 else torch.int16

    def _most_rows(self) -> int:
        """Return how many rows one group can finish."""
        stops = [0, *map(self._stitcher.rows_after, range(len(self.plan.tiles)))]
        return max(
            stops[min(number + self.size, len(stops) - 1)] - stops[number]
            for number in range(len(stops))
        )

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self._done, len(self.plan.tiles))


def run_on_device(
    make: Callable[[int], DevicePipeline],
    backbone: Backbone,
    queues: DeviceQueues,
    size: int,
    notice: Notice | None,
) -> NDArray[np.float32 | np.float16] | None:
    """Run a pipeline with as many tiles in a group as the memory of the device allows.

    What it computed stays there for answers if it takes no more than a quarter of what is free.

    Parameters
    ----------
    make : callable
        Returns a new pipeline with groups of so many tiles.
    backbone, queues
        What it runs.
    size : int
        To try first.
    notice : callable or None
        Told of each retreat.

    Returns
    -------
    ndarray, shape (rows * columns, D), or None
        None if the memory does not suffice for a single tile beside the image.
    """
    while size:
        try:
            pipeline = make(size)
            vectors = pipeline.run()
        except (OutOfMemoryError, torch.OutOfMemoryError):
            pass
        else:
            if 4 * pipeline.resident.nbytes <= queues.free_bytes():
                RESIDENT.keep(vectors, pipeline.resident)
            return vectors
        # Here, because within the handler the error would keep all buffers alive.
        queues.finish()
        has_room = len(RESIDENT) > 0
        RESIDENT.clear()
        queues.release_memory()
        if has_room:
            continue
        if size > 1 and notice is not None:
            notice(smaller_batches(backbone, size))
        size //= 2
    return None
