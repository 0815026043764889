"""Three or four planes in a file: the colours of one image, or a stack."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari_builtins.io import napari_get_reader
from skimage.io import imsave

from .opened import opened, read_image

SEPARATE = {"planarconfig": "separate"}
BY_OTHERS = {"metadata": None, "software": "vips"}


@pytest.fixture
def image(picture):
    return picture(40, 50, 3)


def planes_of(image):
    return np.ascontiguousarray(np.moveaxis(image, -1, 0))


def write(path, image, how):
    """Write an image the way that is named; all but "RGB" have doubtful planes or samples."""
    planes = planes_of(image)
    match how:
        case "tifffile":
            tifffile.imwrite(path, planes, photometric="rgb", **SEPARATE)
        case "compressed":
            tifffile.imwrite(path, planes, photometric="rgb", compression="zlib", **SEPARATE)
        case "big-endian":
            tifffile.imwrite(path, planes, photometric="rgb", byteorder=">", **SEPARATE)
        case "scikit-image":
            imsave(path, planes, check_contrast=False)
        case "gray":
            tifffile.imwrite(path, planes, photometric="minisblack", **SEPARATE)
        case "others":
            tifffile.imwrite(path, planes, photometric="rgb", **SEPARATE, **BY_OTHERS)
        case "pages":
            tifffile.imwrite(path, planes, photometric="minisblack")
        case "ImageJ":
            tifffile.imwrite(path, planes, imagej=True, metadata={"axes": "CYX"})
        case "interleaved":
            tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
        case "RGB":
            tifffile.imwrite(path, image, photometric="rgb")
    return path


DOUBTFUL = ["tifffile", "compressed", "big-endian", "scikit-image", "gray"]


@pytest.mark.parametrize("how", DOUBTFUL)
def test_planes_that_may_be_a_stack_are_one_and_that_is_told(tmp_path, image, how):
    path = write(tmp_path / "a.tif", image, how)
    planes, doubt = opened(path)
    np.testing.assert_array_equal(planes, planes_of(image))
    assert "is read as a stack of 3 planes" in doubt
    assert "add --read-as rgb" in doubt
    (data, *_) = napari_get_reader(str(path))(str(path))[0]
    assert (data.shape, Image(data).rgb) == ((3, 40, 50), False)


def test_four_planes(tmp_path, picture):
    image = picture(40, 50, 4)
    planes, doubt = opened(write(tmp_path / "a.tif", image, "tifffile"))
    assert (len(planes), "stack of 4 planes" in doubt) == (4, True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", "rgb"), image)


@pytest.mark.parametrize("count", [2, 5])
def test_another_number_of_samples_is_a_stack_without_doubt(tmp_path, picture, count):
    planes = picture(count, 40, 50)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", **SEPARATE)
    found, doubt = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, planes)
    assert doubt == ""


@pytest.mark.parametrize("how", [*DOUBTFUL, "others", "pages", "ImageJ", "interleaved", "RGB"])
def test_whoever_knows_that_they_are_colours_says_so(tmp_path, image, how):
    path = write(tmp_path / "a.tif", image, how)
    np.testing.assert_array_equal(read_image(path, "rgb"), image)
    planes, doubt = opened(path, "rgb")
    np.testing.assert_array_equal(planes, [image])
    assert doubt == ""


@pytest.mark.parametrize("how", [*DOUBTFUL, "others", "pages", "ImageJ", "interleaved"])
def test_whoever_knows_that_they_are_a_stack_says_so(tmp_path, image, how):
    path = write(tmp_path / "a.tif", image, how)
    planes, doubt = opened(path, "stack")
    np.testing.assert_array_equal(planes, planes_of(image))
    assert doubt == ""


def test_colours_that_another_program_wrote_are_believed(tmp_path, image):
    path = write(tmp_path / "a.tif", image, "others")
    np.testing.assert_array_equal(read_image(path), image)
    planes, doubt = opened(path)
    np.testing.assert_array_equal(planes, [image])
    assert doubt == ""


def test_pages_are_a_stack_without_doubt(tmp_path, image):
    planes, doubt = opened(write(tmp_path / "a.tif", image, "pages"))
    assert (len(planes), doubt) == (3, "")


def test_channels_that_a_file_calls_so_are_images_of_their_own(tmp_path, image):
    planes, doubt = opened(write(tmp_path / "a.tif", image, "ImageJ"))
    np.testing.assert_array_equal(planes, planes_of(image))
    assert "has 3 channels; each is searched as an image of its own" in doubt
    assert doubt.endswith("add --read-as stack; as the colours of one image, --read-as rgb.")


def test_interleaved_samples_are_colours_as_in_napari(tmp_path, image):
    path = write(tmp_path / "a.tif", image, "interleaved")
    np.testing.assert_array_equal(read_image(path), image)
    planes, doubt = opened(path)
    np.testing.assert_array_equal(planes, [image])
    assert "as one colour image" in doubt
    assert "add --read-as stack" in doubt


@pytest.mark.parametrize("read_as", ["auto", "stack"])
def test_rgb_stays_rgb(tmp_path, image, read_as):
    path = write(tmp_path / "a.tif", image, "RGB")
    np.testing.assert_array_equal(read_image(path, read_as), image)
    assert opened(path, read_as)[1] == ""


def test_planes_of_an_array(tmp_path, image):
    np.save(tmp_path / "a.npy", planes_of(image))
    assert [len(opened(tmp_path / "a.npy", how)[0]) for how in ("auto", "stack", "rgb")] == [
        3,
        3,
        1,
    ]
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy", "rgb"), image)


# --- on the command line ------------------------------------------------------------------------

OPTIONS = ("--model", "builtin")


@pytest.fixture
def stack(folder, image):
    return write(folder / "stack.tif", image, "tifffile").name


@pytest.mark.slow
def test_embed_tells_how_it_read_a_file_and_what_changes_it(cli, stack):
    result = cli("embed", stack, "--out", "store", *OPTIONS)
    assert result.err == (
        "napari-dinov3-sim: note: stack.tif is read as a stack of 3 planes, as napari shows it; "
        "if they are the colours of one image, add --read-as rgb.\n"
    )
    assert "stack.tif: 3 planes" in result.out
    again = cli("embed", stack, "--out", "store", "--read-as", "rgb", *OPTIONS)
    assert (again.code, again.err) == (0, "")
    assert "3 planes" not in again.out


def test_similarity_reads_a_stack_or_its_colours(cli, stack):
    click = (
        "similarity",
        "gray.png",
        stack,
        "--at",
        5,
        5,
        "--out",
        "out",
        "--overwrite",
        *OPTIONS,
    )
    planes = cli(*click)
    assert "stack.tif is read as a stack of 3 planes" in planes.err
    assert planes.out.count("stack.tif plane") == 3
    cli("embed", stack, "--out", "store", "--read-as", "rgb", *OPTIONS)
    result = cli(*click, "--read-as", "rgb", "--embeddings", "store", "--json")
    assert "store holds nothing for gray.png" in result.err
    assert "stack.tif" not in result.err
    assert [entry["stored_embeddings"] for entry in result.json["images"]] == [False, True]


def test_a_click_in_what_may_be_colours_says_how_they_are_read(cli, stack, image):
    np.save("planes.npy", planes_of(image))
    for name in (stack, "planes.npy"):
        result = cli("similarity", name, "--at", 5, 5, "--out", "out", *OPTIONS)
        line = result.err.splitlines()[-1]
        assert f"{name} has 3 planes; name the one that is clicked with --plane I" in line
        assert "if they are the colours of one image, add --read-as rgb." in line
        assert result.code == 2


def test_similarity_tells_what_it_took_for_colours(cli, folder, image):
    write(folder / "a.tif", image, "interleaved")
    result = cli("similarity", "gray.png", "a.tif", "--at", 5, 5, "--out", "out", *OPTIONS)
    assert result.code == 0
    assert result.err.splitlines() == [
        "napari-dinov3-sim: note: a.tif is read as one colour image, although the file does not "
        "call its 3 channels colours; if they are planes of their own, add --read-as stack."
    ]
