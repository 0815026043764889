"""Which files are read, as what, and how the others are refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from imageio.v3 import imread
from PIL import Image

from napari_dinov3_sim.readers.errors import InputError

from .opened import opened, read_image


@pytest.fixture
def path(tmp_path):
    def make(name):
        return tmp_path / name

    return make


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("a.png", (12, 10), np.uint8),
        ("a.png", (12, 10, 3), np.uint8),
        ("a.png", (12, 10, 4), np.uint8),
        ("a.png", (12, 10), np.uint16),
        ("a.tif", (12, 10), np.uint16),
        ("a.TIFF", (12, 10), np.float32),
        ("a.tif", (12, 10, 3), np.uint8),
        ("a.tif", (12, 10, 3), np.uint16),
        ("a.npy", (12, 10), np.float64),
        ("a.npy", (12, 10, 4), np.int32),
        ("a.npy", (12, 10), bool),
    ],
)
def test_pixels_come_back_as_they_were_written(path, picture, name, shape, dtype):
    image, file = picture(*shape, dtype=dtype), path(name)
    if name.endswith("npy"):
        np.save(file, image)
    elif name.endswith("png"):
        Image.fromarray(image).save(file)
    else:
        tifffile.imwrite(file, image, photometric="rgb" if len(shape) == 3 else "minisblack")
    read = read_image(file)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize(
    ("shape", "plane"),
    [
        ((1, 12, 10), (12, 10)),
        ((12, 10, 1), (12, 10)),
        ((1, 1, 12, 10), (12, 10)),
        ((1, 12, 10, 3), (12, 10, 3)),
        ((1, 12, 3), (1, 12, 3)),
        ((1, 1, 1), (1, 1)),
    ],
)
def test_axes_of_length_1_around_a_plane_are_dropped(path, picture, shape, plane):
    np.save(path("a.npy"), picture(*shape))
    assert read_image(path("a.npy")).shape == plane


def test_gray_with_alpha_is_gray(path, picture):
    image = picture(12, 10, 2)
    Image.fromarray(image, "LA").save(path("a.png"))
    np.testing.assert_array_equal(read_image(path("a.png")), image[..., 0])


def test_a_palette_is_looked_up(path, picture):
    indexed = Image.fromarray(picture(12, 10, 3)).quantize(8)
    for name in ("a.png", "a.tif"):
        indexed.save(path(name))
        np.testing.assert_array_equal(read_image(path(name)), np.asarray(indexed.convert("RGB")))


def test_cmyk_is_not_taken_for_rgba(path, picture):
    Image.fromarray(picture(12, 10, 3)).convert("CMYK").save(path("a.jpg"))
    assert read_image(path("a.jpg")).shape == (12, 10, 3)


def test_a_compression_that_imagecodecs_knows(path, picture):
    image = Image.fromarray(picture(12, 10))
    image.save(path("a.tif"), compression="tiff_lzw")
    np.testing.assert_array_equal(read_image(path("a.tif")), np.asarray(image))


def refusal(file):
    with pytest.raises(InputError) as caught:
        read_image(file)
    message = str(caught.value)
    assert str(file) in message
    assert "\n" not in message
    return message


def test_a_missing_file(path):
    assert "does not exist" in refusal(path("a.png"))


def test_a_folder(tmp_path):
    assert "is a folder; name the image files in it" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_an_empty_file(path, name):
    path(name).touch()
    assert "is empty" in refusal(path(name))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.npy", "a.txt", "noending"])
def test_a_file_that_is_no_image(path, name):
    path(name).write_text("Dear diary,\ntoday I looked at cells.\n")
    assert "save it as PNG, JPEG, TIFF or .npy" in refusal(path(name))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.jpg"])
def test_a_truncated_image(path, picture, name):
    image = picture(200, 200)
    np.save(path(name), image) if name == "a.npy" else Image.fromarray(image).save(path(name))
    content = path(name).read_bytes()
    path(name).write_bytes(content[: len(content) // 2])
    message = refusal(path(name))
    assert "seems damaged or cut short" in message
    assert message.endswith("; copy or export the image again.")


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.dat", "noending"])
def test_a_file_is_read_by_its_content(path, picture, name):
    image = picture(64, 64)
    tifffile.imwrite(path("whole.tif"), image, photometric="minisblack")
    path(name).write_bytes(path("whole.tif").read_bytes())
    np.testing.assert_array_equal(read_image(path(name)), image)


def test_a_missing_codec_is_not_called_damage(path, picture, monkeypatch):
    Image.fromarray(picture(12, 10)).save(path("a.tif"), compression="tiff_lzw")

    def refuse(_page, **_options):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", refuse)
    message = refusal(path("a.tif"))
    assert "needs a package that is not installed" in message
    assert "install it with `pip install imagecodecs`" in message


def test_a_file_without_permission(path, picture, monkeypatch):
    np.save(path("a.npy"), picture(4, 4))

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np.lib.format, "read_magic", refuse)  # root may read everything
    assert "may not be read (Permission denied)" in refusal(path("a.npy"))


def test_pickles_are_never_opened(path):
    np.save(path("a.npy"), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "is not an image that can be read" in refusal(path("a.npy"))
    np.savez(path("b.npz"), a=np.zeros(3))
    path("b.npz").rename(path("b.npy"))
    assert "is not an image that can be read" in refusal(path("b.npy"))


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_the_frames_of_an_animation_are_planes(path, picture, mode):
    shape = (32, 32, 3) if mode == "RGB" else (32, 32)
    frames = [Image.fromarray(picture(*shape, seed=seed)).convert(mode) for seed in range(3)]
    frames[0].save(path("a.gif"), save_all=True, append_images=frames[1:])
    planes, _ = opened(path("a.gif"))
    shown = imread(path("a.gif"))
    assert len(planes) == len(shown) == 3
    np.testing.assert_array_equal(planes, shown)


@pytest.mark.parametrize("channels", [2, 5])
def test_a_short_last_axis_is_one_of_channels(path, picture, channels):
    image = picture(40, 50, channels)
    np.save(path("a.npy"), image)
    planes, note = opened(path("a.npy"))
    np.testing.assert_array_equal(planes, np.moveaxis(image, -1, 0))
    assert f"has {channels} channels; each is searched as an image of its own" in note
    stack, note = opened(path("a.npy"), "stack")
    assert (len(stack), note) == (40, "")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((8, 8), complex), "numpy.abs"),
        (np.zeros((0, 8)), "no pixels"),
        (np.zeros((4, 0, 3)), "no pixels"),
        (np.zeros(8), "give one plane"),
        (np.array(3.0), "give one plane"),
        (np.array([["a", "b"]]), "not numbers"),
        (np.zeros((2, 2), "datetime64[s]"), "not numbers"),
    ],
    ids=["complex", "empty", "empty RGB", "1-D", "0-D", "text", "dates"],
)
def test_an_array_that_is_no_plane_of_numbers(path, image, words):
    np.save(path("a.npy"), image)
    assert words in refusal(path("a.npy"))
