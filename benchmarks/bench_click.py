"""Milliseconds from a click to updated heatmaps, beside a script that embeds at every click.

Run `python benchmarks/bench_click.py [--side 1024] [--targets 1 10] [--clicks 20]`. The session
works on threads in a viewer model: from `Points.add` to the last heatmap layer updated. The plain
script embeds two images again at every click, as the seed's recipe does, and draws nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time

from common import machine, median_seconds, picture, plain_click, random_vits16
from napari.components import ViewerModel

import napari_dinov3_sim as nds


def main() -> None:
    """Print one row per number of targets, then the plain script's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--targets", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--clicks", type=int, default=20)
    options = parser.parse_args()
    model, backbone = random_vits16()
    print(f"ViT-S/16, random weights, {options.side}² images; {machine()}")
    rows = [(n, click_times(backbone, options.side, n, options.clicks)) for n in options.targets]
    for targets, times in rows:
        print(
            f"{targets:3} target(s): {1e3 * statistics.median(times):8.1f} ms median, "
            f"{1e3 * max(times):8.1f} ms longest of {len(times)} clicks"
        )
    images = [picture(options.side, seed) for seed in (0, 1)]
    plain = median_seconds(lambda: plain_click(model, images, 100, 100), 2)
    print(f"plain script, 2 images embedded again: {1e3 * plain:8.1f} ms")
    print(f"plain / this package: {plain / statistics.median(rows[-1][1]):.0f}")


def click_times(backbone: object, side: int, targets: int, clicks: int) -> list[float]:
    """Return the seconds from adding a point to the update of all heatmaps, click by click."""
    viewer = ViewerModel()
    for number in range(targets):
        viewer.add_image(picture(side, number % 4), translate=(0, number * side))
    session = nds.SimilaritySession(viewer, backbone=backbone)
    session.embed()
    session.wait()
    session.add_query(session.images[0], 8, 8)
    session.wait()
    times = []
    for click in range(clicks):
        start = time.perf_counter()
        session.add_query(session.images[0], 16 * (click % 60) + 8, 40)
        session.wait()
        times.append(time.perf_counter() - start)
    session.close()
    return times


if __name__ == "__main__":
    main()
