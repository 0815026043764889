"""Milliseconds from a click to updated heatmaps, beside a script that embeds at every click.

Run `python benchmarks/bench_click.py [--side 1024] [--targets 1 10] [--clicks 20]`. The session
works on threads in a viewer model: from `Points.add` to the last heatmap layer updated, and to the
objects with their edges in all images. The plain script embeds two images again at every click, as
the seed's recipe does, draws nothing, and finds no objects.
"""

from __future__ import annotations

import argparse
import statistics
import time

from common import machine, median_seconds, picture, plain_click, random_vits16
from napari.components import ViewerModel

import napari_dinov3_sim as nds
from napari_dinov3_sim.session.runner import ThreadRunner


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
        heatmaps, objects = zip(*times, strict=True)
        print(
            f"{targets:3} target(s): {1e3 * statistics.median(heatmaps):8.1f} ms median, "
            f"{1e3 * max(heatmaps):8.1f} ms longest of {len(times)} clicks; with objects "
            f"{1e3 * statistics.median(objects):8.1f} ms"
        )
    images = [picture(options.side, seed) for seed in (0, 1)]
    plain = median_seconds(lambda: plain_click(model, images, 100, 100), 2)
    ours = statistics.median(heatmaps for heatmaps, _ in rows[-1][1])
    print(f"plain script, 2 images embedded again: {1e3 * plain:8.1f} ms")
    print(f"plain / this package: {plain / ours:.0f}")


def click_times(
    backbone: object, side: int, targets: int, clicks: int
) -> list[tuple[float, float]]:
    """Return the seconds from each click to all heatmaps and to all objects."""
    viewer, runner = ViewerModel(), ThreadRunner()
    for number in range(targets):
        viewer.add_image(picture(side, number % 4), translate=(0, number * side))
    session = nds.SimilaritySession(viewer, backbone=backbone, runner=runner)
    session.embed()
    session.wait()
    session.add_query(session.images[0], 8, 8)
    session.wait()
    times = []
    for click in range(clicks):
        before = [layer.data for layer in session.heatmaps.values()]
        start = time.perf_counter()
        session.add_query(session.images[0], 16 * (click % 60) + 8, 40)
        while any(
            old is layer.data for old, layer in zip(before, session.heatmaps.values(), strict=True)
        ):
            runner.deliver(0.1)
        heatmaps = time.perf_counter() - start
        session.wait()
        times.append((heatmaps, time.perf_counter() - start))
    session.close()
    return times


if __name__ == "__main__":
    main()
