"""How long it takes to write many objects for QuPath and ImageJ, and to open the files.

Objects are discs with a hole in every tenth, in one image of labels. Times are those of the
processor, which other work on the computer changes least.

``python benchmarks/bench_exports.py [--objects 10000] [--radius 17]``
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import roifile
import shapely

from napari_dinov3_sim.exchange.geojson import read_geojson, write_geojson
from napari_dinov3_sim.exchange.imagej import read_rois, write_rois
from napari_dinov3_sim.exchange.outlines import trace_array
from napari_dinov3_sim.exchange.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Callable


def discs(count: int, radius: int) -> np.ndarray:
    """Return labels of so many discs, side by side."""
    side, room = int(np.ceil(np.sqrt(count))), 2 * radius + 6
    y, x = np.mgrid[:room, :room] - room // 2
    disc, hole = y**2 + x**2 < radius**2, y**2 + x**2 < (radius / 3) ** 2
    labels = np.zeros((side * room, side * room), np.int32)
    for number in range(count):
        row, column = divmod(number, side)
        mask = disc & ~hole if number % 10 == 0 else disc
        part = np.s_[row * room : (row + 1) * room, column * room : (column + 1) * room]
        labels[part][mask] = number + 1
    return labels


def timed(what: str, run: Callable[[], Any]) -> Any:
    """Print how long something takes, and return what it gives."""
    clock, processor = time.perf_counter(), time.process_time()
    result = run()
    used, waited = time.process_time() - processor, time.perf_counter() - clock
    print(f"{what:<44}{used:6.2f} s of the processor, {waited:6.2f} s in all")
    return result


def main() -> None:
    """Print the times, and whether shapely counts the pixels of the labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--radius", type=int, default=17)
    options = parser.parse_args()
    labels = discs(options.objects, options.radius)
    height, width = labels.shape
    print(f"{options.objects} objects of radius {options.radius} in {width} × {height} pixels")
    outlines = timed("outlines along the borders of pixels", lambda: trace_array(labels))
    shapes = [Shape(polygons=one, class_name="cell") for one in outlines.values()]
    with tempfile.TemporaryDirectory() as folder:
        path, rois = Path(folder) / "a.geojson", Path(folder) / "a.zip"
        timed("written as GeoJSON", lambda: write_geojson(shapes, path))
        print(f"  {path.stat().st_size / 1e6:.1f} MB")
        content = timed("opened with json", lambda: json.loads(path.read_bytes()))
        text = json.dumps(content)
        geometries = timed("made geometries by shapely", lambda: shapely.from_geojson(text))
        print(f"  area {geometries.area:.0f} for {np.count_nonzero(labels)} labelled pixels")
        timed("read as regions", lambda: read_geojson(path))
        timed("written as a ROI set", lambda: write_rois(shapes, rois))
        timed("opened with roifile", lambda: roifile.roiread(rois))
        timed("read as regions", lambda: read_rois(rois))


if __name__ == "__main__":
    main()
