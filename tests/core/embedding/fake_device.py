"""A device that works when it likes: three queues, recorded, in simulated time.

Work is not done when it is launched but later, in an order drawn by chance from all that queues
and events allow. So what is read before it is there, or overwritten before it is read, changes
the result. Whatever would make the processor wait for a real device is an error in it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode

SECONDS = {"copies_in": 1.0, "computing": 4.0, "copies_out": 1.0}
"""What a piece of work takes, in simulated time."""

SYNCS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "item")


class WaitsForTheDeviceError(Exception):
    """A kernel whose result the processor needs before it can go on."""


class NoSync(TorchDispatchMode):
    """Refuses what waits for a device, and float64, which Apple's GPUs do not have."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.__name__.split(".")[0].rstrip("_")
        indexed = name in ("index", "index_put") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in SYNCS or function.__name__.split(".")[0] in SYNCS or indexed:
            raise WaitsForTheDeviceError(function.__name__)
        found = function(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.dtype == torch.float64:
            raise TypeError(f"{function.__name__} computes in float64")
        return found


@dataclass(eq=False)
class Step:
    """A piece of work: in which queue, what it follows, when it runs in simulated time."""

    queue: str
    number: int
    work: object
    needs: list[Step]
    start: float
    end: float
    is_done: bool = False

    @property
    def is_ready(self):
        return all(step.is_done for step in self.needs)


class FakeEvent:
    def __init__(self, device, step):
        self.device, self.step = device, step

    def wait(self):
        if self.step is not None:
            self.device.wait_for(self.step)


class FakeQueue:
    def __init__(self, device, name):
        self.device, self.name = device, name
        self.last, self.followed, self.count = None, [], 0

    def run(self, work):
        needs = [*self.followed, *([self.last] if self.last else [])]
        start = max([self.device.now, *(step.end for step in needs)])
        step = Step(self.name, self.count, work, needs, start, start + SECONDS[self.name])
        self.count += 1
        self.last, self.followed = step, []
        self.device.launch(step)

    def record(self):
        return FakeEvent(self.device, self.last)

    def follow(self, event):
        if event.step is not None:
            self.followed.append(event.step)


class FakeDevice:
    """Three queues.

    Attributes
    ----------
    steps : list of Step
        In the order in which they were launched.
    waits : list of (Step, int)
        What the launching thread waited for, and how many steps had been launched by then.
    now : float
        Simulated time of that thread, which takes no time for anything but waiting.
    """

    def __init__(self, seed=0, free=2**40):
        self.chance = random.Random(seed)
        self.steps, self.waits, self.now = [], [], 0.0
        self.free, self.released, self.allocated = free, 0, 0
        self.copies_in, self.computing, self.copies_out = (
            FakeQueue(self, name) for name in SECONDS
        )

    def pinned(self, shape, dtype):
        return _noise(shape, dtype)

    def empty(self, shape, dtype):
        found = _noise(shape, dtype)
        self.allocated += found.nbytes
        return found

    def free_bytes(self):
        return self.free

    def finish(self):
        for queue in (self.copies_in, self.computing, self.copies_out):
            queue.record().wait()

    def release_memory(self):
        self.released += 1

    def launch(self, step):
        self.steps.append(step)
        while self.chance.random() < 0.5 and self._do_one():
            pass

    def wait_for(self, step):
        self.waits.append((step, len(self.steps)))
        self.now = max(self.now, step.end)
        while not step.is_done:
            self._do_one()

    def _do_one(self):
        ready = [step for step in self.steps if step.is_ready and not step.is_done]
        if not ready:
            return False
        step = self.chance.choice(ready)
        step.is_done = True
        with NoSync():
            step.work()
        return True

    def of(self, queue):
        """Return the steps of one queue, in order."""
        return [step for step in self.steps if step.queue == queue]


def _noise(shape, dtype):
    """Return memory that shows when it is used before something was put there."""
    if dtype.is_floating_point:
        return torch.full(shape, torch.nan, dtype=dtype)
    return torch.full(shape, 1 if dtype == torch.bool else 77, dtype=dtype)
