"""Twelve discs of known size, place and intensity, and what a table must say of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np
import tifffile
import torch

PIXEL = 0.325
"""In micrometres."""

STEP = 2.0
"""Between two planes, in micrometres."""

BACKGROUND = 400


class MeanIntensity:
    """Satisfies `Backbone`: asked for white, the score of a patch is its mean intensity.

    So half of it is reached where half of a patch is on a disc.
    """

    name, label, patch_size, dim = "builtin", "mean intensity", 16, 2
    device, dtype = "cpu", "float32"
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    fingerprint, licence, is_builtin = "mean intensity", "none", True

    def embed_patches(self, pixel_values):
        means = torch.nn.functional.avg_pool2d(pixel_values.mean(1, keepdim=True), self.patch_size)
        bright = means.flatten(2).transpose(1, 2).clamp(0, 1)
        return torch.cat([bright, (1 - bright**2).sqrt()], dim=2)


@dataclass(frozen=True)
class Disc:
    """A disc: the centre in pixels, the number of its pixels, the value of all of them."""

    plane: int
    y: float
    x: float
    pixels: int
    value: int


def twelve_discs(planes=1):
    """Return an image or a stack of three planes, and the discs in it, the brightest last."""
    rng = np.random.default_rng(5)
    shape = (240, 320) if planes == 1 else (planes, 160, 160)
    image, discs = np.full(shape, BACKGROUND, np.uint16), []
    rows, columns = (3, 4) if planes == 1 else (2, 2)
    yy, xx = np.mgrid[: shape[-2], : shape[-1]]
    places = [(p, r, c) for p in range(planes) for r in range(rows) for c in range(columns)]
    for number, (plane, row, column) in enumerate(places):
        y, x = (80 * at + 40 + rng.uniform(-4, 4) for at in (row, column))
        inside = (yy - y) ** 2 + (xx - x) ** 2 < rng.uniform(27, 34) ** 2
        value = 30_000 + 300 * number
        image[(plane, inside) if planes > 1 else inside] = value
        own = np.argwhere(inside).mean(axis=0)
        discs.append(Disc(plane, *own, int(inside.sum()), value))
    assert len(discs) == 12
    return image, discs


def write_discs(path, planes=1):
    """Write the image as OME-TIFF with the size of its pixels, and return the discs."""
    image, discs = twelve_discs(planes)
    metadata = {"axes": "YX" if planes == 1 else "ZYX"}
    for axis, size in (("X", PIXEL), ("Y", PIXEL), *([("Z", STEP)] if planes > 1 else [])):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    tifffile.imwrite(path, image, ome=True, metadata=metadata)
    return discs


def read_table(path):
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def check_table(rows, discs, *, area=0.1, intensity=0.02):
    """Check that each disc is one row of the right place, size and intensity."""
    assert len(rows) == len(discs) == 12
    found = set()
    for disc in discs:
        near = [
            number
            for number, row in enumerate(rows)
            if int(row.get("plane", 0)) == disc.plane
            and np.hypot(
                float(row["centroid_y_px"]) - disc.y, float(row["centroid_x_px"]) - disc.x
            )
            < 4
        ]
        assert len(near) == 1, disc
        found.add(near[0])
        row = rows[near[0]]
        true = disc.pixels * PIXEL**2
        assert abs(float(row["area_um2"]) - true) <= area * true, (disc, row["area_um2"])
        mean = float(row["intensity_mean"])
        assert abs(mean - disc.value) <= intensity * disc.value, (disc, mean)
        assert float(row["intensity_max"]) == disc.value
        assert abs(float(row["centroid_y_um"]) - disc.y * PIXEL) < 4 * PIXEL
    assert len(found) == 12


def check_same(rows, others, *, but=()):
    """Check that two tables have the same columns and the same numbers, but for some columns."""
    assert list(rows[0]) == list(others[0])

    def numbers(table):
        key = ("plane", "centroid_y_px", "centroid_x_px")
        return sorted(table, key=lambda row: [float(row.get(name, 0)) for name in key])

    assert len(rows) == len(others)
    for row, other in zip(numbers(rows), numbers(others), strict=True):
        for name, text in row.items():
            if name in but:
                continue
            try:
                np.testing.assert_allclose(
                    float(text), float(other[name]), rtol=1e-6, atol=1e-9, err_msg=name
                )
            except ValueError:
                assert text == other[name], name
