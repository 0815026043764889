"""`similarity` and `search` over stacks and Zarr: each plane as `embed` has it, and as a file."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imread

from napari_dinov3_sim.cli.planes import LayerPlan, SearchPlane

from .searched import CLICK, OPTIONS, cosine, peaks

pytestmark = pytest.mark.slow

# --- what embed wrote ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stack.npy", "plain.tif", "packed.tif", "a.zarr"])
def test_the_embeddings_of_embed_are_used(cli, stack, ome, unloadable, name):
    assert cli("embed", name, "--out", "store", "--model", "builtin").code == 0
    unloadable()
    which = ("--channel", 1, "--plane", 0) if name == "a.zarr" else ("--plane", 2)
    result = cli("similarity", name, *which, *CLICK, "--embeddings", "store", *OPTIONS)
    assert result.code == 0, result
    images = result.json["images"]
    assert [entry["stored_embeddings"] for entry in images] == [True] * 4
    stems = [Path(entry["cosine"]).name.removesuffix(".cosine.tif") for entry in images]
    stored = [path.name for path in Path("store").iterdir()]
    assert len(stored) == 4
    for stem in stems:
        assert len([name for name in stored if name.startswith(f"{stem}-")]) == 1
    assert [entry["clicked"] for entry in images] == [False, False, True, False]


def test_a_saved_query_is_asked_of_what_embed_wrote(cli, stack, ome, unloadable):
    assert cli("similarity", "gray.png", "--at", 5, 5, "--save-query", "q", *OPTIONS).code == 0
    assert cli("embed", "stack.npy", "a.zarr", "--out", "store", "--model", "builtin").code == 0
    unloadable()
    search = ("search", "q", "stack.npy", "a.zarr", "--out", "found", "--embeddings", "store")
    images = cli(*search, "--json").json["images"]
    assert [entry["stored_embeddings"] for entry in images] == [True] * 8
    planes = [(entry["image"], entry["channel"], entry["plane"]) for entry in images]
    assert planes == [("stack.npy", None, [z]) for z in range(4)] + [
        ("a.zarr", c, [z]) for c in range(2) for z in range(2)
    ]


def test_what_embed_has_not_written_is_told_once_for_each_file(cli, stack):
    click = ("similarity", "gray.png", "stack.npy", *CLICK, *OPTIONS, "--embeddings", "store")
    cli("embed", "gray.png", "--out", "store", "--model", "builtin")
    result = cli(*click)
    (line,) = result.err.splitlines()
    assert "note: store holds nothing for stack.npy plane 0, which is embedded now" in line
    assert "another model, arithmetic, resolution, shifts, padding" in line
    cli("embed", "stack.npy", "--out", "store", "--model", "builtin")
    assert cli(*click).err == ""
    changed = cli(*click, "--resolution", 2).err.splitlines()
    assert [name in line for name, line in zip(("gray.png", "stack.npy"), changed, strict=True)]


# --- the same as files of their own -------------------------------------------------------------


def test_a_plane_is_answered_as_the_file_it_would_be(cli, folder, picture):
    """In 8-bit colour, which has no window: planes of their own are drawn as in the stack."""
    stack = picture(3, 40, 50, 3)
    tifffile.imwrite("stack.tif", stack, photometric="rgb")
    for number, plane in enumerate(stack):
        tifffile.imwrite(f"plane{number}.tif", plane, photometric="rgb")
    more = ("--threshold", "otsu", "--peaks")
    alone = ("plane1.tif", "plane0.tif", "plane2.tif")
    files = cli("similarity", *alone, *CLICK, *OPTIONS, *more)
    planes = cli("similarity", "stack.tif", "--plane", 1, *CLICK, *OPTIONS, *more)
    assert (files.code, planes.code) == (0, 0)
    assert files.json["limits"] == pytest.approx(planes.json["limits"])
    for number in range(3):
        np.testing.assert_allclose(cosine(f"stack-{number}"), cosine(f"plane{number}"), atol=1e-6)
        for end in ("heatmap.png", "labels.tif"):
            file, plane = (Path(f"out/{stem}{number}.{end}") for stem in ("plane", "stack-"))
            np.testing.assert_array_equal(imread(file), imread(plane))
        rows = [peaks(f"{stem}{number}") for stem in ("plane", "stack-")]
        assert {row.pop("image") for row in rows[0]} == {f"plane{number}.tif"}
        assert {row.pop("image") for row in rows[1]} == {f"stack.tif plane {number}"}
        assert rows[0] == rows[1]


def test_planes_are_drawn_through_the_window_of_their_stack(cli, stack):
    cli("similarity", "gray.png", "stack.npy", "--at", 5, 5, *OPTIONS)
    dark, bright = (imread(f"out/stack-{n}.heatmap.png").mean() for n in (0, 1))
    assert dark < bright - 20


def test_the_table_names_planes_and_the_clicked_one(cli, stack, ome):
    click = ("similarity", "stack.npy", "a.zarr", "--plane", 3, *CLICK, *OPTIONS[:-1])
    out = cli(*click).out
    lines = [line for line in out.splitlines() if ".cosine.tif" in line]
    assert [line.partition("  ")[0] for line in lines] == [
        *(f"stack.npy plane {n}" for n in range(4)),
        *(f"a.zarr channel {c} plane {z}" for c in range(2) for z in range(2)),
    ]
    assert [", the click" in line for line in lines] == [n == 3 for n in range(8)]


def test_names_of_planes_never_collide(cli, stack, picture):
    Path("b").mkdir()
    np.save("b/stack.npy", stack)
    np.save("stack-1.npy", picture(20, 30))
    result = cli("similarity", "stack-1.npy", "stack.npy", "b/stack.npy", *CLICK, *OPTIONS)
    names = [Path(entry["cosine"]).name for entry in result.json["images"]]
    assert len(set(names)) == 9
    assert names[0] == "stack-1.cosine.tif"
    assert "the results of b/stack.npy are called stack-5, because stack is taken" in result.err


@pytest.mark.parametrize("size", [29, 33])
def test_the_command_line_clicks_the_pixel_that_the_window_clicks(size):
    """It once divided floats: pixel 14 of 29 came out as 13.999… of 28, which is another patch."""
    plan = LayerPlan((size - 1, size - 1), (size, size), level=1, levels=2)
    plane = SearchPlane(Path("a.zarr"), 0, (), plan, is_only=True)
    for at in range(size):
        pixel = math.floor(Fraction(2 * at + 1, 2) * (size - 1) / size)
        assert plane.embedded((at + 0.9, at)) == (pixel, pixel)
