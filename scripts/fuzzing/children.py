"""Commands in forked children: no start of an interpreter each, but an end and memory of its own.

A child may use 1 GB more than this process has, and a minute of the processor. This process only
imports: threads of its own would be missing in a child.
"""

from __future__ import annotations

import importlib
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST = 60.0
"""Seconds of the processor for a damaged file."""

GROWTH = 1 << 30
"""Bytes by which reading a file below 1 MB may make a process grow."""

GOOD = ("the same", "refused")
"""What may come of a case."""

UNEXPECTED = re.compile(r": unexpected \w+: ")
"""What is said of an error that nobody thought of; others may have the word in their reasons."""

NO_MEMORY = ("does not fit into memory", "Unable to allocate", "MemoryError", "alloc")
"""What is said where more than that was asked for."""


NEEDED = (
    "dask.array",
    "distributed",
    "encodings.cp437",
    "imagecodecs",
    "PIL.Image",
    "scipy.ndimage",
    "tifffile",
    "zarr",
)
NEEDED += ("transformers.models.dinov3_vit.modeling_dinov3_vit", "npe2.io_utils")
NEEDED += tuple(f"napari_dinov3_sim.cli.commands.{name}" for name in ("embed", "search", "demo"))
NEEDED += ("napari_dinov3_sim.cli.commands.similarity", "napari_dinov3_sim.cli.parser")
"""What commands import, and names in archives; another user may not read these files later."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes
    ----------
    code : int or None
        None where it had to be killed, because its time was over.
    said, complained : str
        On its standard output and error.
    """

    code: int | None
    said: str
    complained: str

    @property
    def verdict(self) -> str:
        """What came of a command: right is 0, or 2 with one sentence."""
        lines = [line for line in self.complained.splitlines() if "error:" in line]
        if self.code in (None, -signal.SIGXCPU):
            return "no end within its time"
        if "Traceback" in self.complained or self.code not in (0, 2):
            return f"exit {self.code}: {self.complained[-300:]}"
        if self.code == 0:
            return "the same"
        if len(lines) != 1 or UNEXPECTED.search(lines[0]):
            return f"not one sentence: {self.complained[-300:]}"
        if any(word in lines[0] for word in NO_MEMORY):
            return f"more than {GROWTH >> 30} GB: {lines[0][-200:]}"
        return "refused"


class Child:
    """A forked process that does some work.

    Parameters
    ----------
    work : callable
        Returns the exit code.
    limits_memory : bool, optional
    """

    def __init__(self, work: Callable[[], int], *, limits_memory: bool = False) -> None:
        # Not in memory: what a child that is killed has said is wanted, too.
        self._folder = tempfile.TemporaryDirectory()
        self._out, self._err = (Path(self._folder.name) / name for name in ("out", "err"))
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            self._run(work, limits_memory)

    def _run(self, work: Callable[[], int], limits_memory: bool) -> None:
        code = 1
        try:
            for path, number in ((self._out, 1), (self._err, 2)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), number)
            if limits_memory:
                limit_memory()
                resource.setrlimit(resource.RLIMIT_CPU, (int(LONGEST), int(LONGEST) + 1))
            code = work()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def kill(self) -> Ended:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)
        return self._ended(os.waitpid(self.pid, 0)[1])

    def wait(self, seconds: float = 10 * LONGEST) -> Ended:
        """Wait for its end; kill it when the time is over.

        A child that reads a damaged file has `LONGEST` of the processor, however busy this
        computer is; what waits for ever uses none of it, and has ten times as much.
        """
        deadline, pause = time.monotonic() + seconds, 0.002
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return self._ended(status)
            time.sleep(pause)
            pause = min(2 * pause, 0.1)
        ended = self.kill()
        return Ended(None, ended.said, ended.complained)

    def _ended(self, status: int) -> Ended:
        said, complained = (
            path.read_text(errors="replace") if path.exists() else ""
            for path in (self._out, self._err)
        )
        self._folder.cleanup()
        return Ended(os.waitstatus_to_exitcode(status), said, complained)


def limit_memory() -> None:
    """Let this process grow by `GROWTH`; elsewhere than on Linux it may use what it wants.

    Bound is what can be written, not the address space, of which each thread reserves much.
    """
    try:
        facts = Path("/proc/self/status").read_text()
    except OSError:
        return
    (used,) = re.findall(r"^VmData:\s*(\d+) kB$", facts, re.MULTILINE)
    most = 1024 * int(used) + GROWTH
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def command(
    *arguments: object, prepare: Callable[[], object] | None = None, limits_memory: bool = True
) -> Child:
    """Start a command of ``napari-dinov3-sim``."""

    def work() -> int:
        from napari_dinov3_sim.cli.parser import main

        if prepare is not None:
            prepare()
        return main([str(argument) for argument in arguments])

    return Child(work, limits_memory=limits_memory)


def done(work: Callable[[], object]) -> None:
    """Do something in a child, such as writing a file with a package that starts threads."""
    ended = Child(lambda: int(bool(work() and False))).wait()
    if ended.code:
        raise RuntimeError(ended.complained)


def warm_up() -> None:
    """Import what commands need, so that children have it; a module is no thread."""
    import torch

    from napari_dinov3_sim.cli.reading.plugins import _compatible

    for name in NEEDED:
        importlib.import_module(name)
    torch.set_num_threads(1)
    _compatible(Path())  # finds the plugins


def embed(path: Path, out: Path, *more: object, model: object = "builtin") -> str:
    """Embed a file with a bound on memory and time; return what came of it."""
    return command("embed", path, "--out", out, "--model", model, *more).wait().verdict


def as_somebody_else() -> None:
    """Be a user who is not root, for whom permissions hold."""
    if hasattr(os, "setuid") and os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def all_of(share: float, whole: int, least: int) -> int:
    """Return how many cases a share of all is."""
    return max(least, int(whole * share))


def some_of(cases: Sequence[object], share: float) -> list[object]:
    """Return a share of some cases, spread over all of them."""
    step = max(1, round(1 / share))
    return list(cases[::step])
