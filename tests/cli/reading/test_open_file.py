"""Files as layers of planes: the same planes, colours and windows that napari would show."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.layers.image._image_utils import guess_rgb
from napari_builtins.io import napari_get_reader

from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.cli.reading.options import ReadOptions
from napari_dinov3_sim.core.images import levels
from napari_dinov3_sim.core.images.intensity import compute_window
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.readers.image_layer import MIN_COLOUR_SIDE

from .opened import pixels


def only_layer(file):
    (layer,) = file.layers
    return layer


def write_stack(path, stack, how):
    if how == "npy":
        np.save(path.with_suffix(".npy"), stack)
        return path.with_suffix(".npy")
    options = {
        "plain": {},
        "big-endian": {"byteorder": ">"},
        "compressed": {"compression": "zlib"},
        "ImageJ": {"imagej": True, "byteorder": ">", "metadata": {"axes": "TZYX"[-stack.ndim :]}},
    }[how]
    tifffile.imwrite(path, stack, photometric="minisblack", **options)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("how", ["npy", "plain", "big-endian", "compressed", "ImageJ"])
@pytest.mark.parametrize("shape", [(5, 32, 40), (2, 5, 32, 40), (3, 32, 40)])
def test_a_stack_is_what_napari_shows(tmp_path, picture, shape, how):
    stack = picture(*shape, dtype=np.uint16)
    path = write_stack(tmp_path / "a.tif", stack, how)
    (data, *_) = napari_get_reader(str(path))(str(path))[0]
    shown = Image(data)
    with OpenFile(path) as file:
        layer = only_layer(file)
        assert (layer.leading, layer.rgb) == (shape[:-2], shown.rgb)
        assert list(layer.positions()) == list(np.ndindex(*shape[:-2]))
        for position in layer.positions():
            np.testing.assert_array_equal(pixels(layer, position), data[position])
            assert pixels(layer, position).dtype == data.dtype
        assert layer.window() == compute_window(list(stack.reshape(-1, *shape[-2:])))


@pytest.mark.parametrize(
    "shape", [(2, 31, 31, 3), (2, 31, 31, 4), (2, 30, 31, 3), (2, 31, 31, 5), (2, 2, 40, 40, 3)]
)
def test_colours_in_a_stack_are_those_that_napari_guesses(tmp_path, picture, shape):
    np.save(tmp_path / "a.npy", picture(*shape))
    with OpenFile(tmp_path / "a.npy") as file:
        layer = file.layers[0]
        assert layer.rgb is bool(guess_rgb(shape))
        position = (0,) * len(layer.leading)
        assert layer.plane(position).channels == (shape[-1] if layer.rgb else 1)
    assert guess_rgb.__defaults__[0] == MIN_COLOUR_SIDE


def test_a_colour_stack_of_8_bits_has_no_window(tmp_path, picture):
    tifffile.imwrite(tmp_path / "a.tif", picture(2, 12, 10, 3), photometric="rgb")
    with OpenFile(tmp_path / "a.tif") as file:
        assert only_layer(file).window() is None
        assert pixels(only_layer(file), (1,)).shape == (12, 10, 3)


def test_pages_are_read_one_by_one(tmp_path, picture, monkeypatch):
    path = write_stack(tmp_path / "a.tif", picture(5, 32, 40, dtype=np.uint16), "compressed")
    with OpenFile(path) as file:
        layer = only_layer(file)
        monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", None)
        read, real = [], tifffile.TiffFrame.asarray
        monkeypatch.setattr(
            tifffile.TiffFrame, "asarray", lambda page: read.append(page.index) or real(page)
        )
        pixels(layer, (3,))
        assert read == [3]


def test_a_truncated_stack(tmp_path, picture):
    path = write_stack(tmp_path / "a.tif", picture(5, 32, 40, dtype=np.uint16), "npy")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="seems damaged or cut short"):
        OpenFile(path)


def test_a_stack_without_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 32, 40), complex))
    with pytest.raises(InputError, match=r"a\.npy: A complex image"):
        OpenFile(tmp_path / "a.npy")


# --- Zarr ---------------------------------------------------------------------------------------


@pytest.fixture
def ome(tmp_path, picture):
    """Return a function that writes an OME-Zarr of two levels, and its finest level."""
    zarr = pytest.importorskip("zarr")

    def write(axes, shape, *, version="0.5"):
        root = zarr.open_group(tmp_path / "a.zarr", mode="w")
        image = picture(*shape, dtype=np.uint16)
        for number in range(2):
            level = image[..., :: 1 << number, :: 1 << number]
            array = root.create_array(f"{number}", shape=level.shape, dtype=level.dtype)
            array[:] = level
        classes = {"c": "channel", "t": "time"}
        multiscale = {"datasets": [{"path": "0"}, {"path": "1"}]}
        if version >= "0.3":
            named = [{"name": name, "type": classes.get(name, "space")} for name in axes]
            multiscale["axes"] = list(axes) if version == "0.3" else named
        found = {"multiscales": [multiscale]}
        root.attrs.update({"ome": found} if version == "0.5" else found)
        return tmp_path / "a.zarr", image

    return write


@pytest.mark.parametrize("version", ["0.2", "0.3", "0.4", "0.5"])
def test_channels_of_ome_zarr_are_layers(ome, version):
    path, image = ome("tczyx", (2, 2, 3, 20, 24), version=version)
    with OpenFile(path) as file:
        assert [layer.channel for layer in file.layers] == [0, 1]
        for number, layer in enumerate(file.layers):
            assert layer.leading == (2, 3)
            np.testing.assert_array_equal(pixels(layer, (1, 2)), image[1, number, 2])
            whole = image[:, number].reshape(6, 20, 24)
            assert layer.window() == compute_window(list(whole))
            assert layer.label((1, 2)) == f"a-c{number}-1-2"


def test_channels_are_a_stack_where_napari_reads_them_by_itself(ome):
    path, image = ome("cyx", (3, 20, 24))
    (levels, *_) = napari_get_reader(str(path))(str(path))[0]
    with OpenFile(path, ReadOptions("stack")) as file:
        layer = only_layer(file)
        assert (layer.level_shape, layer.leading, file.notes) == (levels[0].shape, (3,), ())
        np.testing.assert_array_equal(pixels(layer, (2,)), image[2])
        assert layer.window() == compute_window(list(image))


@pytest.mark.parametrize(("axes", "axis"), [("yxc", 2), ("ycx", 1)])
def test_channels_behind_the_rows(tmp_path, picture, axes, axis):
    zarr = pytest.importorskip("zarr")
    image = picture(*({"y": 20, "x": 24, "c": 5}[name] for name in axes))
    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    root.create_array("0", data=image)
    named = [{"name": name, "type": "channel" if name == "c" else "space"} for name in axes]
    root.attrs["ome"] = {"multiscales": [{"axes": named, "datasets": [{"path": "0"}]}]}
    with OpenFile(tmp_path / "a.zarr") as file:
        assert [layer.channel for layer in file.layers] == list(range(5))
        for number, layer in enumerate(file.layers):
            np.testing.assert_array_equal(pixels(layer), image.take(number, axis))


def test_a_stack_without_planes_is_refused(ome, tmp_path):
    path, _ = ome("tzyx", (2, 0, 20, 24))
    np.save(tmp_path / "a.npy", np.zeros((0, 20, 24)))
    for source in (path, tmp_path / "a.npy"):
        with pytest.raises(InputError, match=rf"{source}: A stack of shape \(.*\) has no planes"):
            OpenFile(source)


def test_the_level_is_the_finest_that_is_not_too_large(ome, monkeypatch):
    path, image = ome("zyx", (3, 20, 24))
    for limit, level in [(20 * 24, 0), (20 * 24 - 1, 1), (1, 1)]:
        monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", limit)
        with OpenFile(path) as file:
            layer = only_layer(file)
            assert (layer.level, layer.levels) == (level, 2)
            step = 1 << level
            np.testing.assert_array_equal(pixels(layer, (2,)), image[2, ::step, ::step])


def test_a_plane_in_a_single_array(tmp_path, picture):
    zarr = pytest.importorskip("zarr")
    array = zarr.open_array(tmp_path / "a.zarr", mode="w", shape=(20, 24), dtype="u2")
    array[:] = picture(20, 24, dtype=np.uint16)
    with OpenFile(tmp_path / "a.zarr") as file:
        layer = only_layer(file)
        assert (layer.leading, list(layer.positions())) == ((), [()])
        assert scan_pixels(layer.plane(())).digest


def test_a_group_that_is_no_image(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(InputError, match="is a Zarr group without an OME-Zarr image"):
        OpenFile(tmp_path / "a.zarr")


def test_a_damaged_zarr(ome):
    path, _ = ome("zyx", (3, 20, 24))
    (path / "zarr.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as Zarr"):
        OpenFile(path)


def test_a_folder_that_is_no_zarr(tmp_path):
    with pytest.raises(InputError, match="is a folder; name the image files in it"):
        OpenFile(tmp_path)


@pytest.mark.slow
def test_ome_zarr_on_the_command_line(cli, ome, tmp_path):
    path, _ = ome("czyx", (2, 2, 20, 24))
    result = cli("embed", path, "--out", tmp_path / "store", "--model", "builtin")
    assert result.code == 0
    assert "4 planes of 2 × 2 patches, 4 written; level 0 of 0 to 1, 24 × 20 pixels" in result.out


@pytest.mark.slow
@pytest.mark.parametrize("axes", ["cyx", "czyx", "tczyx"])
def test_every_channel_is_embedded_and_that_is_told(cli, ome, tmp_path, axes):
    lengths = {"t": 1, "c": 3, "z": 2, "y": 20, "x": 24}
    path, _ = ome(axes, tuple(lengths[name] for name in axes))
    arguments = ("embed", path, "--out", tmp_path / "store", "--model", "builtin", "--json")
    result = cli(*arguments)
    assert f"{path} has 3 channels; each is searched as an image of its own" in result.err
    planes = [(entry["channel"], entry["plane"]) for entry in result.json["images"]]
    leading = [lengths[name] for name in axes if name in "tz"]
    assert planes == [(c, list(at)) for c in range(3) for at in np.ndindex(*leading)]
    whole = cli(*arguments, "--read-as", "stack")
    assert len(whole.json["images"]) == len(planes)
    assert (whole.code, whole.err) == (0, "")
