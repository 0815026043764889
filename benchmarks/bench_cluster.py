"""A stack embedded by two worker processes, one of which is killed in the middle.

Run `python benchmarks/bench_cluster.py [--planes 12] [--side 512] [--model builtin]`; it needs
the extra `cluster`. It prints who embedded what, and that nothing was lost; then the same command
again, which finds everything done.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import picture
from distributed import LocalCluster

from napari_dinov3_sim.cli.parser import main as command

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = "*.embeddings.safetensors"


def main() -> None:
    """Print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planes", type=int, default=12)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--model", default="builtin")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(Path(folder), options)


def show(folder: Path, options: argparse.Namespace) -> None:
    """Embed with a worker killed, count, and embed again."""
    planes = [picture(options.side, seed)[..., 1] for seed in range(options.planes)]
    np.save(folder / "stack.npy", np.stack(planes))
    out = folder / "out"
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        print(f"two workers: processes {', '.join(map(str, processes(cluster)))}")
        with killing_one(cluster, out, options.planes // 3):
            seconds, report = embed(folder, out, cluster.scheduler_address, options.model)
        tell(report, out, options.planes, seconds)
        seconds, report = embed(folder, out, cluster.scheduler_address, options.model)
        skipped = sum(entry["skipped"] for entry in report["images"])
        print(f"again: {skipped} of {options.planes} were there already, {seconds:.1f} s")


def processes(cluster: LocalCluster) -> list[int]:
    """Return the processes of the workers that are alive."""
    return [nanny.pid for nanny in cluster.workers.values() if nanny.pid]


@contextlib.contextmanager
def killing_one(cluster: LocalCluster, out: Path, after: int) -> Iterator[None]:
    """Kill a worker process as soon as some files are there."""

    def kill() -> None:
        while len(list(out.glob(FILES))) < after and not stop.is_set():
            time.sleep(0.02)
        if not stop.is_set():
            victim = processes(cluster)[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(f"killed process {victim} when {len(list(out.glob(FILES)))} files were")

    killed: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        print(*killed, "there")  # not in the thread: the command's output is being collected


def embed(folder: Path, out: Path, scheduler: str, model: str) -> tuple[float, dict[str, Any]]:
    """Run the command line and return its time and its report."""
    printed = io.StringIO()
    start = time.perf_counter()
    with contextlib.redirect_stdout(printed):
        code = command(
            [
                *("embed", f"{folder / 'stack.npy'}", "--out", f"{out}", "--json"),
                *("--model", model, "--scheduler", scheduler),
            ]
        )
    if code:
        raise SystemExit(code)
    return time.perf_counter() - start, json.loads(printed.getvalue())


def tell(report: dict[str, Any], out: Path, planes: int, seconds: float) -> None:
    """Print who did what and whether all is there."""
    there = len(list(out.glob(FILES)))
    print(f"embedded {planes} planes in {seconds:.1f} s; {there} files, nothing lost: ", end="")
    print(there == planes == len(report["images"]) and not report["failures"])
    for process, count in Counter(entry["process"] for entry in report["images"]).items():
        print(f"  {process}: {count} planes")


if __name__ == "__main__":
    main()
