"""The seam to a device that works beside the processor: queues, events, memory for copies."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


class DeviceEvent(Protocol):
    """A point in a queue."""

    def wait(self) -> None:
        """Block this thread until the device is past the point."""


class DeviceQueue(Protocol):
    """Work of a device, done in the order in which it came, while the processor goes on."""

    def run(self, work: Callable[[], object]) -> None:
        """Append what `work` asks of the device; `work` itself must not wait for any of it."""

    def record(self) -> DeviceEvent:
        """Return the point behind all work up to now."""

    def follow(self, event: DeviceEvent) -> None:
        """Let later work of this queue begin after a point of another one."""


class DeviceQueues(Protocol):
    """A device with three queues that work at the same time.

    Attributes
    ----------
    copies_in, computing, copies_out : DeviceQueue
        For copies to the device, for kernels, and for copies from it.
    """

    @property
    def copies_in(self) -> DeviceQueue:
        """For copies to the device."""

    @property
    def computing(self) -> DeviceQueue:
        """For kernels."""

    @property
    def copies_out(self) -> DeviceQueue:
        """For copies from the device."""

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return memory of the processor that the device copies from and to by itself."""

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return memory of the device."""

    def free_bytes(self) -> int:
        """Return how much memory of the device nobody uses."""

    def finish(self) -> None:
        """Block this thread until all queues are empty."""

    def release_memory(self) -> None:
        """Give memory back that torch keeps for later."""


class CudaQueues:
    """The queues of a CUDA device, each a stream of its own.

    One for all images: torch keeps the memory that a stream has used for that stream alone. From
    `cuda_queues`.

    Parameters
    ----------
    device : str
        "cuda" or "cuda:1".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self.copies_in, self.computing, self.copies_out = (_CudaQueue(device) for _ in range(3))

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return page-locked memory."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return memory of the device; to be kept until `finish` has returned."""
        return torch.empty(shape, dtype=dtype, device=self._device)

    def free_bytes(self) -> int:
        """Return what the driver calls free."""
        free, _ = torch.cuda.mem_get_info(self._device)
        return free

    def finish(self) -> None:
        """Block this thread until all three streams are empty."""
        for queue in (self.copies_in, self.computing, self.copies_out):
            queue.record().wait()

    def release_memory(self) -> None:
        """Give memory back that torch keeps for later."""
        torch.cuda.empty_cache()


class _CudaQueue:
    def __init__(self, device: str) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, work: Callable[[], object]) -> None:
        with torch.cuda.stream(self._stream):
            work()

    def record(self) -> _CudaEvent:
        return _CudaEvent(self._stream.record_event())

    def follow(self, event: DeviceEvent) -> None:
        if isinstance(event, _CudaEvent):
            self._stream.wait_event(event.event)


class _CudaEvent:
    def __init__(self, event: torch.cuda.Event) -> None:
        self.event = event

    def wait(self) -> None:
        self.event.synchronize()


@functools.cache
def cuda_queues(device: str) -> CudaQueues:
    """Return the queues of a CUDA device."""
    return CudaQueues(device)
