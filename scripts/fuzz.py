"""Damage every file that is read, stop what writes, and count what came of it.

Run `make fuzz`, or `python scripts/fuzz.py [--share 1.0] [--only NAME]`; `--share 0.02` does a
fiftieth of it. Right is: the same as before, or a refusal in one sentence. The exit status is 1 if
anything else came: another answer, a traceback, no end, too much memory.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from skimage.io import imsave

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.store import DiskStore, load_state
from napari_dinov3_sim.store.query_files import load_query, save_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BODY_FLIPS, MUTATIONS, KILLS = 10_000, 300, 200
LONGEST = 60.0
"""Seconds for a damaged file; for a whole run five times as much."""

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
GROWTH = 1 << 30
"""Bytes by which reading files below 1 MB may make the process grow."""

RNG = np.random.default_rng(0)
DIGEST = sha256(b"image").hexdigest()
CLI = [sys.executable, "-m", "napari_dinov3_sim"]
GOOD = ("the same", "refused")


def main() -> int:
    """Run all subjects, or one; print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", choices=list(SUBJECTS))
    options = parser.parse_args()
    bad = 0
    print("| what | cases | the same | refused | wrong | command |\n|---|---:|---:|---:|---:|---|")
    for name, subject in SUBJECTS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                ends = Counter(subject(Path(folder), options.share))
            wrong = {end: times for end, times in ends.items() if end not in GOOD}
            bad += sum(wrong.values())
            row = [str(ends.total()), *(str(ends[end]) for end in GOOD), str(sum(wrong.values()))]
            command = f"`python scripts/fuzz.py --only '{name}'`"
            print("|", " | ".join([name, *row, command]), "|", flush=True)
            for end, times in wrong.items():
                print(f"{times} times: {end}", file=sys.stderr)
    return int(bool(bad))


# -- one flipped bit ------------------------------------------------------------------------------


def flips(content: bytes, share: float) -> Iterator[bytes]:
    """Yield a file with one bit flipped, for every bit of its header and many of its body."""
    header = 8 * (8 + int.from_bytes(content[:8], "little"))
    in_body = RNG.integers(header, 8 * len(content), int(BODY_FLIPS * share))
    step = max(1, round(1 / share))
    for bit in [*range(0, header, step), *in_body.tolist()]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def judged(path: Path, share: float, read: Callable[[], object], same: Callable) -> Iterator[str]:
    """Yield what came of each damaged version of a file."""
    content = path.read_bytes()
    for changed in flips(content, share):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(changed)
        try:
            found = read()
        except StoreError:
            found = None
        except Exception as error:
            yield f"{type(error).__name__}: {error}"
            continue
        yield "refused" if found is None else "the same" if same(found) else "another answer"


def state() -> PatchImageState:
    """Return embeddings of an image of 40 × 50 pixels."""
    vectors = RNG.normal(size=(12, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return PatchImageState(vectors, PatchGrid((40, 50), 16), "model:1", IntensityWindow(0, 255))


def stored(folder: Path, share: float) -> Iterator[str]:
    """Flip bits of embeddings in a store."""
    store, wanted = DiskStore(folder, warn=lambda _: None), state()
    path = store.put(DIGEST, wanted)
    yield from judged(
        path,
        share,
        lambda: store.get(DIGEST),
        lambda found: (
            np.array_equal(found.vectors, wanted.vectors)
            and (found.fingerprint, found.window) == (wanted.fingerprint, wanted.window)
            and found.image_shape == wanted.image_shape
        ),
    )


def tile(folder: Path, share: float) -> Iterator[str]:
    """Flip bits of a tile of an interrupted run."""
    tiles, wanted = DiskStore(folder, warn=lambda _: None).tiles(DIGEST), state().vectors
    tiles.put(7, wanted.reshape(3, 4, 8))
    path = next(folder.rglob("*.tile.safetensors"))
    yield from judged(
        path,
        share,
        lambda: tiles.get(7),
        lambda found: np.array_equal(found.reshape(12, 8), wanted),
    )


def query(folder: Path, share: float) -> Iterator[str]:
    """Flip bits of a saved query."""
    vectors = state().vectors
    one = SavedClass("gland", "#00ffff", vectors[:3], vectors[3:4])
    path = save_query(SavedQuery((one,), "auto", "f" * 64, "builtin", 16, 1.0), folder / "q")

    def same(found: SavedQuery) -> bool:
        (other,) = found.classes
        return (
            np.array_equal(other.positives, one.positives)
            and np.array_equal(other.negatives, one.negatives)
            and (other.name, found.fingerprint, found.combination) == ("gland", "f" * 64, "auto")
        )

    yield from judged(path, share, lambda: load_query(path), same)


# -- image files ----------------------------------------------------------------------------------


def mutations(content: bytes, number: int) -> Iterator[bytes]:
    """Yield a file with bytes changed, cut off, repeated or thrown in."""
    for case in range(number):
        changed, at = bytearray(content), int(RNG.integers(len(content)))
        if case % 4 == 0:
            changed = changed[:at]
        elif case % 4 == 1:
            changed[at : at + 4] = RNG.bytes(4)
        elif case % 4 == 2:
            changed[at:at] = changed[: int(RNG.integers(64))]
        else:
            for place in RNG.integers(0, len(content), 8):
                changed[place] = int(RNG.integers(256))
        yield bytes(changed)


def images(suffix: str) -> Callable[[Path, float], Iterator[str]]:
    """Return a subject that embeds damaged files of a format."""

    def subject(folder: Path, share: float) -> Iterator[str]:
        path, pixels = folder / f"a{suffix}", RNG.integers(0, 255, (48, 64)).astype(np.uint8)
        np.save(path, pixels) if suffix == ".npy" else imsave(path, pixels, check_contrast=False)
        content = path.read_bytes()
        run(path, folder)  # what is imported now does not count below
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for changed in mutations(content, max(4, int(MUTATIONS * share))):
            path.write_bytes(changed)
            start = time.monotonic()
            end = run(path, folder)
            late = time.monotonic() - start > LONGEST
            yield "no end within a minute" if late else end
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        if grown > GROWTH:
            yield f"{grown >> 20} MB"

    return subject


def run(path: Path, folder: Path) -> str:
    """Embed a file in this process; a refusal is an exit status of 1 or 2 and no traceback."""
    from napari_dinov3_sim.cli.parser import main as command_line

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = command_line(
                ["embed", str(path), "--out", str(folder / "e"), "--model", "builtin"]
            )
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    if "Traceback" in said.getvalue():
        return "a traceback"
    return "refused" if code else "the same"


# -- what is stopped ------------------------------------------------------------------------------


def embedded(folder: Path) -> dict[str, str]:
    """Return a hash of all embeddings in a folder, by the name of their file."""
    found = {path.name: load_state(path) for path in folder.glob("*.embeddings.safetensors")}
    return {
        name: sha256(
            repr((one.grid, one.window, one.fingerprint)).encode() + bytes(one.vectors)
        ).hexdigest()
        for name, one in found.items()
    }


def big_image(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return a command that embeds an image of several tiles, and what it leaves."""
    path = folder / "big.npy"
    np.save(path, RNG.integers(0, 4000, (900, 1400)).astype(np.uint16))
    command = [*CLI, "embed", str(path), "--model", "builtin", "--out"]
    subprocess.run([*command, str(folder / "whole")], check=True, capture_output=True)
    return command, embedded(folder / "whole")


def kills(folder: Path, share: float) -> Iterator[str]:
    """Kill a run at a random moment, and let another finish it."""
    command, wanted = big_image(folder)
    for number in range(max(2, int(KILLS * share))):
        out = folder / f"out{number}"
        start = time.monotonic()
        process = subprocess.Popen(
            [*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(float(RNG.uniform(0.5, 12)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        yield finish([*command, str(out)], out, wanted, start)


def finish(command: list[str], out: Path, wanted: dict[str, str], start: float) -> str:
    """Return what a run makes of what another has left."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=5 * LONGEST
        )
    except subprocess.TimeoutExpired:
        return f"no end, {time.monotonic() - start:.0f} s after the first began"
    if "Traceback" in done.stderr:
        return f"a traceback: {done.stderr[-300:]}"
    if done.returncode:
        return "refused"
    return "the same" if embedded(out) == wanted else "another answer"


def two_processes(folder: Path, share: float) -> Iterator[str]:
    """Let two runs work on one folder at once."""
    command, wanted = big_image(folder)
    for number in range(max(1, int(10 * share))):
        out, start = folder / f"two{number}", time.monotonic()
        first = subprocess.Popen(
            [*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        yield finish([*command, str(out)], out, wanted, start)
        first.wait()
        yield "the same" if embedded(out) == wanted else "another answer"


def full_disk(folder: Path, share: float) -> Iterator[str]:
    """Write where no file may grow beyond some bytes, as on a disk that is full."""
    command, wanted = big_image(folder)
    sizes = np.linspace(
        0,
        max(path.stat().st_size for path in (folder / "whole").iterdir()),
        max(2, int(20 * share)),
    )
    for number, size in enumerate(sizes.astype(int).tolist()):
        out = folder / f"full{number}"
        code = (
            "import resource, signal, sys;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
            "from napari_dinov3_sim.cli.parser import main; sys.exit(main(sys.argv[1:]))"
        )
        limited = [sys.executable, "-c", code, *command[3:], str(out)]
        yield finish(limited, out, wanted, time.monotonic())
        yield finish([*command, str(out)], out, wanted, time.monotonic())


SUBJECTS = {
    "stored embeddings": stored,
    "tile": tile,
    "saved query": query,
    **{f"image{suffix}": images(suffix) for suffix in (".npy", ".png", ".tif", ".jpg")},
    "kill and resume": kills,
    "two processes": two_processes,
    "full disk": full_disk,
}


if __name__ == "__main__":
    sys.exit(main())
