"""Which share of the patches of a stereo pair is matched with the patch that shows the same.

Run `python benchmarks/bench_matches.py [--model builtin]`. The pair is
`skimage.data.stereo_motorcycle`, whose disparity was measured: pixel (x, y) of the left picture is
(x - disparity, y) of the right one. A match is right within 8, or within 16, pixels of there.
Counted are all patches whose disparity is known, also those whose counterpart lies outside the
right picture, which cannot be right. *Nearest* is the most similar patch of the right picture for
every patch of the left one; *mutual* are those of which each is the other's nearest, as
`mutual_matches` and the dock have them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from skimage import data

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.search.peaks import patch_center
from napari_dinov3_sim.core.search.regions import patch_areas

if TYPE_CHECKING:
    from napari_dinov3_sim.core.embedding.recipe import Recipe

LIMITS = (8.0, 16.0)
"""Pixels between where a match is and where it should be."""


def main() -> None:
    """Print one row for the nearest and one for the mutual matches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="builtin")
    backbone = nds.load_backbone(parser.parse_args().model)
    patches, classes = stereo_matches(backbone, None)
    print(f"model {backbone.name}; {patches} patches in the left picture")
    print("matches   number   known     ≤ 8 px    ≤ 16 px")
    for name, one in classes.items():
        near, far = one.right
        print(f"{name:8} {one.number:7} {one.known:7} {near:10.1%} {far:10.1%}")


class Judged(NamedTuple):
    """Matches, how many of them could be judged, and the shares that are right."""

    number: int
    known: int
    right: tuple[float, ...]


def stereo_matches(backbone: object, recipe: Recipe | None) -> tuple[int, dict[str, Judged]]:
    """Embed the pair; return the number of patches, and how nearest and mutual matches do."""
    left, right, disparity = data.stereo_motorcycle()
    first, second = (
        nds.create_patch_image_state(image, backbone, recipe=recipe) for image in (left, right)
    )
    mutual = nds.mutual_matches(first, second)
    return len(first.grid), {
        "nearest": judged(*nearest(first, second), disparity),
        "mutual": judged(mutual.first, mutual.second, disparity),
    }


def nearest(
    first: nds.PatchImageState, second: nds.PatchImageState
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of patches that are mostly image, and of their nearest neighbours."""
    own, other = centres(first), centres(second)
    parts = np.array_split(first.vectors, max(1, len(own) // 1024))
    found = np.concatenate([(part @ second.vectors.T).argmax(1) for part in parts])
    areas = patch_areas(first.grid).ravel()
    mostly = 2 * areas >= areas.max()  # as in `mutual_matches`
    return own[mostly], other[found[mostly]]


def centres(state: nds.PatchImageState) -> np.ndarray:
    """Return (x, y) of the centre of every patch, row by row."""
    return np.array([patch_center(*place, state.grid) for place in np.ndindex(state.grid.shape)])


def judged(first: np.ndarray, second: np.ndarray, disparity: np.ndarray) -> Judged:
    """Compare places that were matched with the disparity at the first one."""
    x, y = first.astype(int).T
    expected = first - np.stack([disparity[y, x], np.zeros(len(x))], 1)
    known = np.isfinite(expected[:, 0])
    distance = np.linalg.norm(second[known] - expected[known], axis=1)
    shares = tuple(float((distance <= limit).mean()) for limit in LIMITS)
    return Judged(len(first), int(known.sum()), shares)


if __name__ == "__main__":
    main()
