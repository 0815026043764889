"""An image that shows nothing is embedded and searched, and that it shows nothing is told."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tifffile import imwrite

pytestmark = pytest.mark.slow

OPTIONS = ("--model", "builtin")
FLAT = "note: {} has no contrast: every patch looks the same."


@pytest.fixture
def flat(folder):
    np.save("constant.npy", np.full((40, 50), 7, np.uint16))
    np.save("empty.npy", np.full((40, 50), np.nan))
    np.save("stack.npy", np.full((3, 40, 50), 7.0))
    Image.new("RGB", (50, 40), (200, 20, 20)).save("red.png")
    return ("constant.npy", "empty.npy", "stack.npy", "red.png")


def notes(result):
    assert result.code == 0
    return [line.removeprefix("napari-dinov3-sim: ") for line in result.err.splitlines()]


def test_embed_tells_once_for_each_file(cli, flat):
    result = cli("embed", *flat, "gray.png", "--out", "store", *OPTIONS, "--json")
    assert notes(result) == [FLAT.format(name) for name in flat]
    assert [entry["has_contrast"] for entry in result.json["images"]] == [False] * 6 + [True]


def test_similarity_tells_once_for_each_file(cli, flat):
    cli("embed", *flat, "gray.png", "--out", "store", *OPTIONS)
    click = (
        "similarity",
        "gray.png",
        *flat,
        "--at",
        5,
        5,
        "--out",
        "out",
        "--overwrite",
        *OPTIONS,
    )
    for more in ((), ("--embeddings", "store")):
        assert notes(cli(*click, *more)) == [FLAT.format(name) for name in flat]


def test_a_plane_that_is_constant_in_its_stack_is_none_of_them(cli, folder, picture):
    stack = picture(3, 40, 50, dtype=np.uint16)
    stack[1] = 7
    np.save("stack.npy", stack)
    assert notes(cli("embed", "stack.npy", "--out", "store", *OPTIONS)) == []


def test_a_blank_plane_in_colour_is_none_of_them(cli, folder, picture):
    stack = picture(3, 40, 50, 3)
    stack[1] = 7
    imwrite("stack.tif", stack, photometric="rgb")
    click = ("--at", 5, 5, "--plane", 0, "--out", "out")
    for command in (("embed", "stack.tif", "--out", "store"), ("similarity", "stack.tif", *click)):
        assert notes(cli(*command, *OPTIONS)) == []
