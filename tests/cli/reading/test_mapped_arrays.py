"""Mapped arrays: any region in any order of axes, and a sentence when the file is cut short."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.cli.tasks import OpenFileCache
from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.readers.lazy import MappedArray


@st.composite
def regions(draw):
    """Give a shape, and an index into its axes."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    index = []
    for axis in range(len(shape)):
        start = draw(st.integers(0, shape[axis] - 1))
        stop = draw(st.integers(start + 1, shape[axis]))
        index.append(draw(st.sampled_from([start, slice(start, stop), slice(None)])))
    return tuple(shape), tuple(index[: draw(st.integers(0, len(index)))])


@given(regions(), st.sampled_from(["u1", ">u2", "f8", "?"]), st.booleans())
@settings(deadline=None, max_examples=200)
def test_every_region_is_that_of_the_array(tmp_path_factory, region, dtype, fortran):
    shape, index = region
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    path = tmp_path_factory.mktemp("mapped") / "a.npy"
    np.save(path, np.asfortranarray(values) if fortran else values)
    with path.open("rb") as file:
        mapped = MappedArray.of(file, np.lib.format.open_memmap(path, mode="r"))
        assert (mapped.shape, mapped.ndim) == (values.shape, values.ndim)
        assert mapped.dtype == mapped[index].dtype == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(mapped[index], values[index])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
def test_a_file_that_is_cut_short_while_it_is_read_fails_alone(
    cli, folder, picture, monkeypatch, name
):
    np.save("a.npy", picture(4, 60, 50, dtype=np.uint16))
    tifffile.imwrite("a.tif", np.load("a.npy"), photometric="minisblack")
    real = OpenFileCache.layer

    def layer(self, task, how):
        found = real(self, task, how)
        if task.position == (2,):
            times = Path(name).stat().st_mtime_ns
            os.truncate(name, 1000)
            os.utime(name, ns=(times, times))  # a clock that does not tell
        return found

    monkeypatch.setattr(OpenFileCache, "layer", layer)
    result = cli("embed", name, "gray.png", "--out", "store", "--model", "builtin")
    assert result.code == 2
    assert (
        f"The pixels of {name} cannot be read any more (EOFError: the file is shorter than it was)"
        in result.err
    )
    assert "3 planes of 2 images in store: 3 written, 0 already there, 2 failed." in result.out


def test_a_picture_that_is_cut_short_is_named(tmp_path, picture):
    path = tmp_path / "a.npy"
    np.save(path, picture(60, 50))
    with OpenFile(path) as file:
        os.truncate(path, 1000)
        with pytest.raises(ImageError, match=rf"^The pixels of {path} cannot be read any more"):
            scan_pixels(file.layers[0].plane(()))


def test_a_file_that_is_deleted_while_it_is_open_is_read_to_its_end(tmp_path, picture):
    stack = picture(4, 60, 50, dtype=np.uint16)
    np.save(tmp_path / "a.npy", stack)
    with OpenFile(tmp_path / "a.npy") as file:
        (tmp_path / "a.npy").unlink()
        plane = file.layers[0].plane((3,))
        np.testing.assert_array_equal(plane.read(slice(None), slice(None)), stack[3])
