"""Which share of the links between objects of two frames is right, with and without embeddings.

Run `python benchmarks/bench_tracking.py [--series 10]`. The series are made for it, and it is
known which disc is where: 14 discs of two looks in 30 frames of 480 × 480 pixels aim at the
middle, cross, come, go, and are missing in 4 % of the frames. Discs that touch are one object. The
embeddings of patches of 8 pixels are the means of what is in them, with noise; the two looks are
60° apart. A link is from one frame in which a disc is alone in its object to the next such frame,
and right if the track is the same. Links over gaps have other frames between: the disc was not
seen, or was one with another. A disc is in its own track if most of the track is of this disc.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from napari_dinov3_sim.core.objects.object_sums import sum_objects
from napari_dinov3_sim.core.objects.tracking import FrameObjects, TrackSettings, track_objects

MOTIONS = {
    "straight on, up to 7 px": {"speed": 7.0},
    "straight on, up to 12 px": {"speed": 12.0},
    "there and back, up to 7 px": {"speed": 7.0, "turn": True},
    "24 discs, up to 7 px": {"count": 24, "speed": 7.0},
}
MAX_DISTANCE = 24.0
"""Pixels: three patches, as in the dock."""


def main() -> None:
    """Print a row for each way to move."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=10)
    series = parser.parse_args().series
    print(f"mean of {series} series                  right links   over gaps   own track")
    for name, motion in MOTIONS.items():
        for look, how in ((1.0, "with embeddings"), (0.0, "without")):
            rows = [measure(seed, look, motion) for seed in range(series)]
            links, gaps, own = np.mean(rows, axis=0)
            print(f"{name:27} {how:15} {links:.3f}         {gaps:.3f}       {own:.3f}")


def measure(seed: int, look: float, motion: dict[str, float]) -> tuple[float, float, float]:
    """Return the shares of right links, of those over gaps, and of discs in their own track."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from core.objects import moving_discs as discs

    series = discs.moving_discs(seed=seed, **motion)
    borders, random = np.arange(0, discs.SIDE + 1, discs.PATCH), np.random.default_rng(seed)
    labels = series.labels()
    sums = [
        sum_objects(one, (borders, borders), discs.patch_vectors(looks, random))
        for one, looks in zip(labels, series.looks, strict=True)
    ]
    frames = [FrameObjects(one.centroids, one.areas.astype(float), one.directions) for one in sums]
    tracks = track_objects(frames, TrackSettings(MAX_DISTANCE, look=look))
    number = {
        (frame, int(label)): int(track)
        for frame, (one, own) in enumerate(zip(sums, tracks.numbers, strict=True))
        for label, track in zip(one.labels, own, strict=True)
    }
    inside = [discs.discs_of_labels(*one) for one in zip(labels, series.places, strict=True)]
    found = discs.association_accuracy(inside, number)
    return found.links, found.over_gaps, found.own


if __name__ == "__main__":
    main()
