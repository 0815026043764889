"""The digest depends on everything that decides an embedding, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.store import digest_of

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)
WINDOW = IntensityWindow(0, 23)
ARGUMENTS = (PIXELS, "model:1", WINDOW, Recipe())


def changed(array, index):
    copy = array.copy()
    copy[index] += 1
    return copy


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, changed(PIXELS, (0, 0))),
        (0, changed(PIXELS, (3, 5))),
        (0, PIXELS.astype(np.int8)),
        (0, PIXELS.astype(">u2")),
        (0, PIXELS.reshape(6, 4)),
        (0, np.stack([PIXELS] * 3, -1)),
        (0, PIXELS.T),
        (1, "model:2"),
        (2, IntensityWindow(0, 24)),
        (2, IntensityWindow(1, 23)),
        (2, None),
        (3, Recipe(Tiling(side=496))),
        (3, Recipe(Tiling(overlap=128))),
        (3, Recipe(Tiling(1024, 128))),  # the default until November 2026
        (3, Recipe(Tiling(joint="cut"))),
        (3, Recipe(factor=2)),
        (3, Recipe(shifts=2)),
        (3, Recipe(padding="reflect")),
        (3, Recipe(debias=3)),
    ],
)
def test_the_digest_depends_on(position, value):
    arguments = list(ARGUMENTS)
    arguments[position] = value
    assert digest_of(*arguments) != digest_of(*ARGUMENTS)


def test_byte_order_is_no_part_of_an_image():
    """A file is embedded on the command line, and found when napari has it in another order."""
    little, big = PIXELS.astype("<u2"), PIXELS.astype(">u2")
    assert digest_of(little, *ARGUMENTS[1:]) == digest_of(big, *ARGUMENTS[1:])
    swapped = little.view(">u2")  # the same bytes, other numbers
    assert digest_of(little, *ARGUMENTS[1:]) != digest_of(swapped, *ARGUMENTS[1:])


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float64, np.longdouble, ">f4", np.int64])
def test_the_layout_in_memory_does_not_matter(dtype):
    array = (np.arange(48).reshape(6, 8) % 5).astype(dtype)
    views = [
        np.asfortranarray(array),
        np.repeat(array, 2, axis=0)[::2],
        np.repeat(array, 3, axis=1)[:, ::3],
        array[::-1].copy()[::-1],
    ]
    assert {digest_of(view, *ARGUMENTS[1:]) for view in views} == {
        digest_of(array, *ARGUMENTS[1:])
    }


def test_the_digest_is_hexadecimal_and_repeatable():
    digest = digest_of(*ARGUMENTS)
    assert digest == digest_of(*ARGUMENTS)
    assert len(bytes.fromhex(digest)) == 32


def test_the_pixels_are_not_changed():
    read_only = PIXELS.copy()
    read_only.flags.writeable = False
    digest_of(read_only, *ARGUMENTS[1:])


def test_pixels_and_their_digest_are_the_same_key():
    assert digest_of(scan_pixels(as_source(PIXELS)).digest, *ARGUMENTS[1:]) == digest_of(
        *ARGUMENTS
    )


def test_what_is_equal_has_one_key():
    window = IntensityWindow(np.float64(0), np.int64(23))
    assert digest_of(PIXELS, "model:1", window, Recipe(factor=1)) == digest_of(*ARGUMENTS)
