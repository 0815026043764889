"""Seconds that the dock adds to the start of napari, and whether torch was imported for it.

Run `python benchmarks/bench_startup.py [--repeats 5]` on a screen or under Xvfb. Every repeat is
a fresh interpreter that opens a viewer with one image, once without and once with the dock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

SCRIPT = """
import json, sys, time
start = time.perf_counter()
import napari, numpy
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
viewer.add_image(numpy.zeros((64, 64)))
QApplication.processEvents()
bare = time.perf_counter() - start
dock = 0.0
if sys.argv[1] == "dock":
    start = time.perf_counter()
    viewer.window.add_plugin_dock_widget("napari-dinov3-sim", "DINOv3 similarity")
    QApplication.processEvents()
    dock = time.perf_counter() - start
print(json.dumps({"bare": bare, "dock": dock, "torch": "torch" in sys.modules}))
viewer.close()
"""


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    bare = [start("bare") for _ in range(options.repeats)]
    dock = [start("dock") for _ in range(options.repeats)]
    print(f"bare napari window:  {statistics.median(run['bare'] for run in bare):.2f} s")
    print(f"the dock adds:       {statistics.median(run['dock'] for run in dock):.2f} s")
    print(f"torch imported:      {any(run['torch'] for run in dock)}")


def start(mode: str) -> dict[str, float]:
    """Open a viewer in a fresh interpreter and return its timings."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    main()
