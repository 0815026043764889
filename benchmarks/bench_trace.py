"""How many files of the package one click visits, and how often it goes from one to another.

A click on one of two open images is traced with ``sys.setprofile`` after a first click has loaded
the model and embedded both images. Work runs on the calling thread, so that what workers do is
counted too.

Run from the repository: ``python benchmarks/bench_trace.py``; with ``--files`` each file is listed
with its number of calls, with ``--changes`` every step from one file to another.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel

import napari_dinov3_sim
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

if TYPE_CHECKING:
    from types import FrameType

PACKAGE = Path(napari_dinov3_sim.__file__).parent
SIDE = 256


class Trace:
    """Counts calls by file and function, and changes of file, of the frames of the package."""

    def __init__(self) -> None:
        self.files: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self.steps: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take note of a call or a return; for ``sys.setprofile``."""
        del argument
        path = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or not path.is_relative_to(PACKAGE):
            return
        name = path.relative_to(PACKAGE).as_posix()
        if event == "call":
            self.files[name] += 1
            self.functions[f"{name}: {frame.f_code.co_qualname}"] += 1
        if not self.steps or self.steps[-1] != name:
            self.steps.append(name)


def trace_click() -> Trace:
    """Return the trace of one click on two open images."""
    rng = np.random.default_rng(0)
    viewer, trace = ViewerModel(), Trace()
    for number in range(2):
        image = rng.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)
        viewer.add_image(image, translate=(0, number * (SIDE + 10)))
    session = SimilaritySession(viewer, backbone="builtin", runner=InlineRunner())
    with closing(session):
        session.add_query(session.images[0], 100, 100)
        session.wait()
        points = session.queries
        assert points is not None
        sys.setprofile(trace)
        points.add(points.world_to_data((50.0, 60.0)))
        sys.setprofile(None)
        assert len(session.heatmaps) == 2
        assert len(points.data) == 2
    return trace


def main() -> None:
    """Print the trace."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--files", action="store_true", help="list files and functions")
    parser.add_argument("--changes", action="store_true", help="list every change of file")
    arguments = parser.parse_args()
    trace = trace_click()
    if arguments.changes:
        print("\n".join(trace.steps))
    if arguments.files:
        for name, calls in (*trace.files.most_common(), *trace.functions.most_common()):
            print(f"{calls:5} {name}")
    changes = len(trace.steps) - 1
    print(f"One click: {len(trace.files)} files, {changes} changes of file.")


if __name__ == "__main__":
    main()
