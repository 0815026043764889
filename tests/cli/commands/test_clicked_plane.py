"""Which plane is clicked, and where in it: planes, channels, levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imread

from napari_dinov3_sim.cli.output.drawing import OUTLINE

from ..searched import CLICK, OPTIONS, cosine, peaks

pytestmark = pytest.mark.slow

# --- the clicked plane --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("stack.npy",), "stack.npy has 4 planes; name the one that is clicked with --plane I,"),
        (("a.zarr",), "has 2 channels of 2 planes each; name the one that is clicked with "
                      "--channel C --plane I, counted from 0."),
        (("a.zarr", "--plane", 1), "clicked with --channel C, counted"),
        (("a.zarr", "--channel", 1), "clicked with --plane I, counted"),
        (("a.zarr", "--channel", 2, "--plane", 0), "--channel 2: a.zarr has channels 0 to 1"),
        (("a.zarr", "--read-as", "stack"), "4 planes (2 × 2); name the one that is clicked with "
                                           "--plane I J, counted from 0."),
        (("stack.npy", "--plane", 4), "--plane 4: stack.npy has 1 axis before rows and columns; "
                                      "give an index for each, from 0 to 3."),
        (("stack.npy", "--plane", 1, 1), "--plane 1 1: stack.npy has 1 axis"),
        (("stack.npy", "--plane", -1), "'-1' is not an index, which counts from 0"),
        (("stack.npy", "--plane", 1, "gray.png"), "'gray.png' is not an index, which counts from "
                                                  "0; name images before it"),
        (("stack.npy", "--plane", 1, "--channel", 0), "has no channels to choose from; leave"),
        (("gray.png", "--plane", 0), "--plane 0: gray.png has one plane; leave --plane out."),
        (("gray.png", "--channel", 0), "gray.png has no channels to choose from; leave --channel"),
    ],
)  # fmt: skip
def test_a_plane_that_is_not_named_or_not_there(cli, stack, ome, options, words):
    result = cli("similarity", *options, *CLICK, "--out", "out")
    assert (result.code, result.out) == (2, "")
    assert words in result.err.splitlines()[-1]
    assert not Path("out").exists()


def test_a_file_of_one_plane_needs_no_name_for_it(cli, folder, picture):
    np.save("one.npy", picture(1, 1, 40, 50))
    entry = cli("similarity", "one.npy", *CLICK, *OPTIONS).json["images"][0]
    assert (entry["cosine"], "plane" in entry) == (str(Path("out/one.cosine.tif")), False)


def test_a_click_outside_the_plane(cli, stack):
    line = cli("similarity", "stack.npy", "--plane", 1, "--at", 47, 0, *OPTIONS).refusal
    assert "choose x from 0 to 46 and y from 0 to 32" in line


# --- levels -------------------------------------------------------------------------------------


def test_places_are_pixels_of_the_finest_level(cli, coarse):
    Path("half").mkdir()
    for c in range(2):
        for z in range(2):
            tifffile.imwrite(f"half/c{c}z{z}.tif", coarse[c, z, ::2, ::2])
    query = ("similarity", "a.zarr", "--channel", 1, "--plane", 0, "--at", 93, 65, *OPTIONS)
    report = cli(*query, "--peaks").json
    assert (report["points"], report["channel"], report["plane"]) == ([[93, 65]], 1, [0])
    entry = report["images"][2]
    assert (entry["level"], entry["shape"], entry["full_shape"]) == (1, [33, 47], [66, 94])
    values = cosine("a-c1-0")
    assert values.shape == (33, 47)
    # The last patch of the level: rows 32, columns 32 to 46; of level 0 rows 64 to 65.
    assert values[32, 46] == pytest.approx(1, abs=1e-6)
    assert entry["best_match"] == {"x": 78.5, "y": 64.5, "cosine": pytest.approx(1, abs=1e-6)}
    best = peaks("a-c1-0")[0]
    assert (float(best["x_px"]), float(best["y_px"])) == (78.5, 64.5)


def test_a_coarser_level_and_its_size_are_told(cli, coarse):
    query = ("similarity", "a.zarr", "--channel", 1, "--plane", 0, "--at", 93, 65)
    out = cli(*query, *OPTIONS[:-1]).out
    assert out.count("94 × 66") == 4
    assert "a.zarr: level 1 of 0 to 1, 47 × 33 pixels, was searched" in out


def test_the_click_is_framed_where_it_is_in_the_level(cli, coarse):
    query = ("similarity", "a.zarr", "--channel", 1, "--plane", 0, "--at", 40, 40, *OPTIONS)
    assert cli(*query).code == 0
    framed = np.argwhere((imread("out/a-c1-0.heatmap.png") == OUTLINE).all(-1))
    assert (framed.min(0).tolist(), framed.max(0).tolist()) == ([16, 16], [31, 31])


def test_a_least_area_is_in_pixels_of_the_finest_level(cli, coarse):
    query = ("similarity", "a.zarr", "--channel", 1, "--plane", 0, "--at", 5, 5, *OPTIONS)
    whole = 66 * 94
    for area, objects in ((whole, 1), (whole + 1, 0)):
        entry = cli(*query, "--threshold", -1, "--min-area", area).json["images"][0]
        assert entry["objects"] == objects
