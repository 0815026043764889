"""Runs that are killed, two at once, on a full disk, in a folder that may only be read."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.store import DiskStore, load_state

from .children import all_of, as_somebody_else, command
from .stored_files import state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS, PAIRS, SIZES, STEPS = 200, 10, 20, 2000


def embedded(folder: Path) -> dict[str, str]:
    """Return a hash of all embeddings in a folder, by the name of their file."""
    found = {path.name: load_state(path) for path in folder.glob("*.embeddings.safetensors")}
    return {
        name: sha256(
            repr((one.grid, one.window, one.fingerprint)).encode() + bytes(one.vectors)
        ).hexdigest()
        for name, one in found.items()
    }


class Run:
    """A command that embeds an image of several tiles, and what it leaves.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "big.npy"
        np.save(path, np.random.default_rng(0).integers(0, 4000, (900, 1400)).astype(np.uint16))
        self.command = ("embed", path, "--model", "builtin", "--out")
        start = time.monotonic()
        ended = self.start(folder / "whole").wait()
        self.seconds = time.monotonic() - start
        if ended.code:
            raise RuntimeError(ended.complained)
        self.wanted = embedded(folder / "whole")

    def start(self, out: Path, prepare: object = None) -> object:
        """Begin."""
        return command(*self.command, out, prepare=prepare, limits_memory=False)

    def finish(self, out: Path, prepare: object = None) -> str:
        """Return what a run makes of what another has left."""
        return self.verdict(self.start(out, prepare).wait().verdict, out)

    def verdict(self, verdict: str, out: Path) -> str:
        """Return what came of a run, with a look at its embeddings."""
        if verdict == "the same" and embedded(out) != self.wanted:
            return "another answer"
        return verdict


def kills(folder: Path, share: float) -> Iterator[str]:
    """Kill a run at a random moment, and let another finish it."""
    run, random = Run(folder), np.random.default_rng(0)
    for number in range(all_of(share, KILLS, 2)):
        out = folder / f"out{number}"
        child = run.start(out)
        time.sleep(float(random.uniform(0, 1.1 * run.seconds)))
        child.kill()
        yield run.finish(out)
        left = [path.name for path in out.iterdir() if path.name not in run.wanted]
        if any(not name.endswith(".part") for name in left):
            yield f"left: {left}"
        shutil.rmtree(out)


def two_processes(folder: Path, share: float) -> Iterator[str]:
    """Let two runs work on one folder at once."""
    run = Run(folder)
    for number in range(all_of(share, PAIRS, 1)):
        out = folder / f"two{number}"
        first = run.start(out)
        yield run.finish(out)
        yield run.verdict(first.wait().verdict, out)


def full_disk(folder: Path, share: float) -> Iterator[str]:
    """Write where no file may grow beyond some bytes, as on a disk that is full."""
    run = Run(folder)
    largest = max(path.stat().st_size for path in (folder / "whole").iterdir())
    for size in np.linspace(0, largest, all_of(share, SIZES, 2)).astype(int).tolist():
        out = folder / f"full{size}"

        def fill(size: int = size) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            for stream in (1, 2):  # what it says goes into a file, too
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        code = run.start(out, fill).wait().code
        yield "refused" if code == 2 else run.verdict("the same", out) if code == 0 else f"{code}"
        yield run.finish(out)


def read_only(folder: Path, share: float) -> Iterator[str]:
    """Write into folders that may only be read, as a user who is not root."""
    run = Run(folder)
    folder.chmod(0o755)  # of a temporary folder, which nobody else may look into
    parents = [folder, *folder.parents]
    locked = folder / "locked"
    shutil.copytree(folder / "whole", locked)
    (locked / "empty").mkdir()
    for path in [*locked.rglob("*"), locked]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    unreadable = folder / "unreadable.npy"
    shutil.copy(run.command[1], unreadable)
    unreadable.chmod(0)
    hidden = folder / "hidden"
    hidden.mkdir()
    shutil.copy(run.command[1], hidden / "a.npy")
    hidden.chmod(0)
    image, (name,) = run.command[1], run.wanted
    click = ("similarity", image, "--at", 5, 5, "--model", "builtin")
    cases = [
        ("embed", image, "--model", "builtin", "--out", locked / "empty"),
        ("embed", image, "--model", "builtin", "--out", locked / "new"),
        ("embed", image, "--model", "builtin", "--out", locked),
        (*click, "--out", locked),
        (*click, "--out", locked / "new"),
        (*click, "--out", locked, "--embeddings", locked, "--overwrite"),
        (*click, "--out", "/proc/no", "--embeddings", locked),
        (*click, "--out", folder / "r", "--save-query", locked / "q"),
        ("search", locked / name, image, "--out", locked),
        ("demo", "--no-gui", "--out", locked),
        ("embed", unreadable, "--model", "builtin", "--out", folder / "r"),
        ("embed", hidden / "a.npy", "--model", "builtin", "--out", folder / "r"),
        ("embed", hidden, "--model", "builtin", "--out", folder / "r"),
        (*click, "--out", folder / "r", "--embeddings", hidden),
    ]
    assert all(os.access(one, os.X_OK) for one in parents)
    before = {path: path.stat().st_mtime_ns for path in locked.rglob("*")}
    for arguments in cases[: all_of(share, len(cases), 3)]:
        ended = command(*arguments, prepare=as_somebody_else).wait()
        yield ended.verdict if ended.code else f"exit {ended.code}: {arguments}"
    if {path: path.stat().st_mtime_ns for path in locked.rglob("*")} != before:
        yield "something was written"
    hidden.chmod(0o700)
    for path in [locked, *locked.rglob("*")]:
        path.chmod(0o755)


def clock(folder: Path, share: float) -> Iterator[str]:
    """Let the clock step: before each step of a store files come from the future, or years ago."""
    random, wanted = np.random.default_rng(0), state()
    files = folder / "store"
    size = DiskStore(folder / "one").put("0" * 64, wanted).stat().st_size
    store = DiskStore(files, 4 * size, warn=lambda _: None)
    for _ in range(all_of(share, STEPS, 50)):
        digest = sha256(f"{random.integers(8)}".encode()).hexdigest()
        for path in files.rglob("*") if files.exists() else ():
            then = time.time() + float(random.choice([-1, 1])) * 10.0 ** random.integers(0, 9)
            os.utime(path, (then, then))
        if random.random() < 0.2:
            store.tiles(digest).put(int(random.integers(3)), wanted.vectors)
        elif random.random() < 0.3:
            store = DiskStore(files, 4 * size, warn=lambda _: None)
        found = store.get(digest)
        store.put(digest, wanted)
        again = store.get(digest)
        sound = all(
            one is None or np.array_equal(one.vectors, wanted.vectors) for one in (found, again)
        )
        # What another process may be writing is not removed for an hour.
        used = sum(one.stat().st_size for one in files.glob("*.safetensors"))
        if used > 4 * size:
            yield f"{used} bytes, and {4 * size} are allowed"
        yield "the same" if sound and again is not None else "another answer"
    run = Run(folder)
    for seconds in (-(10**8), -4000, 4000, 10**8):
        out = folder / f"clock{seconds}"
        child = run.start(out)
        time.sleep(0.7 * run.seconds)
        child.kill()
        for path in out.rglob("*") if out.exists() else ():
            os.utime(path, (time.time() + seconds,) * 2)
        yield run.finish(out)
