"""Files as people have them, which were once read otherwise by the window and the command line."""

from __future__ import annotations

import uuid
from pathlib import Path

import npe2
import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.layers import Layer
from npe2 import PluginManager
from PIL import Image

import napari_dinov3_sim as nds
from napari_dinov3_sim.readers.reader import get_reader
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore

from .searched import OPTIONS, cosine

pytestmark = pytest.mark.slow

OWN = "napari-dinov3-sim"
CLICK = ("--at", 30, 20)


def shown(path):
    """Return the layers that napari makes of a path with the reader of this package."""
    PluginManager.instance().discover()
    entries = npe2.read([path], plugin_name=OWN, stack=False)
    return [Layer.create(*entry) for entry in entries]


@pytest.fixture
def spots(folder):
    rows, columns = np.mgrid[:48, :64]
    return np.exp(-((rows - 20) ** 2 + (columns - 30) ** 2) / 60)


@pytest.fixture
def alike(cli):
    """Whether two files, of which the first is clicked, get the same map."""

    def check(one, other, *more):
        result = cli("similarity", one, other, *CLICK, *more, *OPTIONS)
        assert (result.code, result.err) == (0, ""), result
        first, second = (tifffile.imread(entry["cosine"]) for entry in result.json["images"])
        return np.abs(first - second).max() < 1e-3

    return check


def colours(spots, most, dtype):
    return (np.stack([spots, spots[::-1], spots[:, ::-1]], -1) * most).astype(dtype)


def test_16_bit_colours_of_any_compression(alike, spots):
    image = colours(spots, 3500, "u2")
    np.save("truth.npy", image)
    for compression in ("lzw", "zstd", "zlib"):
        name = f"{compression}.tif"
        tifffile.imwrite(name, image, photometric="rgb", compression=compression)
        assert alike("truth.npy", name)


def test_large_and_negative_numbers(alike, spots):
    for dtype, most in (("u4", 4.2e9), ("i1", 120)):
        image = (spots * most).astype(dtype)
        np.save(f"truth{dtype}.npy", image)
        name = f"{dtype}.tif"
        tifffile.imwrite(name, image, photometric="minisblack", compression="lzw")
        assert alike(f"truth{dtype}.npy", name)


def test_alpha_is_the_same_for_every_compression(alike, spots):
    image = np.dstack([colours(spots, 110, "u1"), np.full(spots.shape, 120, "u1")])
    about = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    tifffile.imwrite("plain.tif", image, **about)
    tifffile.imwrite("lzw.tif", image, compression="lzw", **about)
    assert alike("plain.tif", "lzw.tif")


def test_white_is_zero_and_a_lookup_table_change_no_value(alike, spots):
    image = (spots * 255).astype("u1")
    np.save("truth.npy", image)
    tifffile.imwrite("white.tif", image, photometric="miniswhite")
    table = np.zeros((3, 256), "u2")
    table[1] = np.arange(256) * 257
    tifffile.imwrite("green.tif", image, photometric="palette", colormap=table)
    assert alike("truth.npy", "white.tif")
    assert alike("truth.npy", "green.tif")
    tifffile.imwrite("stack.tif", np.stack([image] * 3), photometric="palette", colormap=table)
    layers = shown("stack.tif")
    assert layers[0].data.shape == (3, 48, 64)


def ome(me, others, shape, *, in_time=False):
    """Return the metadata of one file of a set."""
    ids = {name: uuid.uuid5(uuid.NAMESPACE_URL, name) for name in (me, *others)}
    pixels = (
        '<Pixels ID="Pixels:{0}" DimensionOrder="XYCZT" Type="uint16" BigEndian="false" '
        'SizeX="{2}" SizeY="{1}" SizeC="1" SizeZ="1" SizeT="{3}"><Channel ID="Channel:{0}:0" '
        'SamplesPerPixel="1"/>{4}</Pixels>'
    )
    data = [
        f'<TiffData IFD="0" PlaneCount="1" FirstT="{number if in_time else 0}">'
        f'<UUID FileName="{name}">urn:uuid:{ids[name]}</UUID></TiffData>'
        for number, name in enumerate(sorted(ids))
    ]
    planes = ["".join(data)] if in_time else data
    times = len(data) if in_time else 1
    images = [
        f'<Image ID="Image:{n}">{pixels.format(n, *shape, times, one)}</Image>'
        for n, one in enumerate(planes)
    ]
    start = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{ids[me]}">'
    )
    return f"{start}{''.join(images)}</OME>".encode()


def write_ome(name, image, description):
    tifffile.imwrite(name, image, description=description, metadata=None, photometric="minisblack")


def test_a_position_of_several_is_read_from_its_own_file(cli, spots):
    images = [(spots * 3000).astype("u2"), (spots[::-1, ::-1] ** 2 * 3000).astype("u2")]
    names = ["pos0.ome.tif", "pos1.ome.tif"]
    for name, image in zip(names, images, strict=True):
        write_ome(name, image, ome(name, [n for n in names if n != name], image.shape))
    for name, image in zip(names, images, strict=True):
        (layer,) = shown(name)
        np.testing.assert_array_equal(layer.data, image)
    entries = cli("similarity", *names, *CLICK, *OPTIONS).json["images"]
    assert [entry["best_match"]["cosine"] > 0.9999 for entry in entries] == [True, False]


def test_a_missing_file_of_a_set_is_named_and_its_plane_is_not_black(cli, spots):
    image = (spots * 3000).astype("u2")
    write_ome("t0.ome.tif", image, ome("t0.ome.tif", ["t1.ome.tif"], image.shape, in_time=True))
    result = cli("similarity", "t0.ome.tif", "--plane", 0, *CLICK, *OPTIONS)
    assert "t0.ome.tif lacks planes that are in t1.ome.tif, which is not there" in result.err
    assert "Plane 1 of t0.ome.tif is in another file" in result.err
    assert result.code == 2
    assert [entry["plane"] for entry in result.json["images"]] == [[0]]


def test_images_of_one_file_are_all_searched_and_one_can_be_named(cli, spots):
    with tifffile.TiffWriter("slide.ome.tif", ome=True) as tiff:
        for step, name in ((2, "overview"), (1, "scan")):
            image = (spots[::step, ::step] * 3000).astype("u2")
            tiff.write(image, metadata={"axes": "YX", "Name": name})
    line = cli("similarity", "slide.ome.tif", *CLICK, *OPTIONS).refusal
    assert "slide.ome.tif has 2 images (0 overview, 1 scan)" in line
    assert "slide.ome.tif:series=0" in line
    result = cli("similarity", "slide.ome.tif:series=1", "slide.ome.tif", *CLICK, *OPTIONS)
    assert [entry["shape"] for entry in result.json["images"]] == [[48, 64], [24, 32], [48, 64]]
    assert (
        "there are the images 0 to 1" in cli("embed", "slide.ome.tif:series=2", *OPTIONS[:4]).err
    )
    names = [layer.name for layer in shown("slide.ome.tif")]
    assert names == ["slide overview", "slide scan"]


def test_a_scanned_slide_is_its_scan_whatever_its_suffix(alike, spots):
    rgb = colours(spots, 255, "u1").repeat(4, 0).repeat(4, 1)
    pages = (rgb, rgb[::8, ::8], rgb[::4, ::4], 255 - rgb[:64, :64])
    np.save("truth.npy", rgb)
    for name in ("wsi.tif", "wsi.svs"):
        with tifffile.TiffWriter(name) as tiff:
            for page in pages:
                about = {"description": "Aperio Image Library v1", "metadata": None}
                tiff.write(np.ascontiguousarray(page), tile=(64, 64), photometric="rgb", **about)
        (layer,) = shown(name)
        assert layer.data[0].shape == rgb.shape
    Path("wsi.svs").rename("other.svs")
    assert alike("truth.npy", "wsi.tif")
    assert alike("truth.npy", "other.svs")


def test_a_pyramid_of_jpeg_pages(cli, spots):
    rgb = colours(spots, 255, "u1").repeat(4, 0).repeat(4, 1)
    pages = [
        Image.fromarray(np.ascontiguousarray(p)) for p in (rgb, rgb[::4, ::4], 255 - rgb[:64, :64])
    ]
    pages[0].save("wsi.tif", save_all=True, append_images=pages[1:], compression="jpeg")
    (entry,) = cli("similarity", "wsi.tif", *CLICK, *OPTIONS).json["images"]
    assert entry["shape"] == [192, 256]


def test_a_picture_beyond_the_limit_of_pillow(cli, folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert cli("embed", "gray.png", "--out", "store", "--model", "builtin").code == 0


def test_a_photograph_with_its_preview(cli, spots):
    photo = Image.fromarray(colours(spots, 255, "u1"))
    photo.save("photo.jpg", "MPO", save_all=True, append_images=[photo.resize((32, 24))])
    (entry,) = cli("similarity", "photo.jpg", *CLICK, *OPTIONS).json["images"]
    assert entry["shape"] == [48, 64]


def test_two_interleaved_channels(cli, spots):
    image = (np.stack([spots, spots[::-1]], -1) * 3000).astype("u2")
    for name, compression in (("two.tif", None), ("two_zlib.tif", "zlib")):
        about = {"photometric": "minisblack", "planarconfig": "contig"}
        tifffile.imwrite(name, image, compression=compression, **about)
        result = cli("embed", name, "--out", "store", "--model", "builtin", "--json")
        assert [entry["shape"] for entry in result.json["images"]] == [[48, 64]] * 2
        assert [entry["channel"] for entry in result.json["images"]] == [0, 1]


def test_colours_in_zarr(alike, spots):
    rgb = colours(spots, 255, "u1")
    np.save("truth.npy", rgb)
    zarr.create_array("rgb.zarr", data=rgb, chunks=(48, 64, 3))
    assert alike("truth.npy", "rgb.zarr")
    root = zarr.open_group("he.zarr", mode="w", zarr_format=2)
    root.create_array("0", data=np.ascontiguousarray(np.moveaxis(rgb, -1, 0)))
    axes = [{"name": "c", "type": "channel"}, {"name": "y"}, {"name": "x"}]
    root.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    assert alike("truth.npy", "he.zarr", "--read-as", "rgb")


def test_a_plate_and_a_field_of_it(cli, spots):
    plate = zarr.open_group("plate.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}]}
    well = plate.create_group("A").create_group("1")
    well.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
    for number in range(2):
        field = well.create_group(f"{number}")
        field.create_array("0", data=spots * (number + 1))
        axes = [{"name": "y"}, {"name": "x"}]
        field.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    options = ("--out", "store", "--model", "builtin", "--json")
    images = cli("embed", "plate.zarr", *options).json["images"]
    assert [entry["series"] for entry in images] == [0, 1]
    assert len(cli("embed", "plate.zarr/A/1", *options).json["images"]) == 2
    assert len(cli("embed", "plate.zarr/A/1/0", *options).json["images"]) == 1


def test_results_lie_upon_their_image(cli, spots):
    about = {"unit": "um", "axes": "YX"}
    image = (spots * 3000).astype("u2")
    tifffile.imwrite("cal.tif", image, imagej=True, resolution=(1 / 0.325,) * 2, metadata=about)
    options = ("--threshold", 0.5)
    assert cli("similarity", "cal.tif", *CLICK, *options, *OPTIONS).code == 0
    (source,) = shown("cal.tif")
    for end in ("cosine.tif", "labels.tif"):
        (result,) = shown(f"out/cal.{end}")
        np.testing.assert_allclose(result.extent.world, source.extent.world, rtol=1e-6)
        assert result.units == source.units
        with tifffile.TiffFile(f"out/cal.{end}") as tiff:
            across, one = tiff.pages[0].tags["XResolution"].value
            assert across / one == pytest.approx(1e4 / 0.325)  # a centimetre
    assert cosine("cal").shape == (48, 64)
    with Image.open("out/cal.heatmap.png") as picture:
        assert picture.info["dpi"][0] == pytest.approx(25400 / 0.325, rel=1e-3)


def test_maps_of_a_coarser_level_lie_upon_their_image(cli, coarse):
    which = ("--channel", 1, "--plane", 1)
    assert cli("similarity", "a.zarr", *which, *CLICK, *OPTIONS).code == 0
    (result,) = shown("out/a-c1-1.cosine.tif")
    # Its first pixel is over four of the finest level, whose centre is at 0.5.
    np.testing.assert_allclose((result.scale, result.translate), ((2, 2), (0.5, 0.5)))


def test_a_file_that_is_called_like_a_result_is_not_replaced(cli, folder):
    notes = Path("gray.labels.tif")
    notes.write_text("two days of work", encoding="utf-8")
    search = ("similarity", "gray.png", *CLICK, "--out", ".", "--threshold", 0.5)
    line = cli(*search, "--model", "builtin").refusal
    assert "gray.labels.tif would be replaced" in line
    assert "--overwrite" in line
    assert notes.read_text(encoding="utf-8") == "two days of work"
    assert not Path("gray.cosine.tif").exists()
    assert cli(*search, "--model", "builtin", "--overwrite").code == 0


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_dock_finds_what_embed_wrote_of_any_byte_order(cli, spots, order):
    np.save("a.npy", (spots * 3000).astype(f"{order}u2"))
    assert cli("embed", "a.npy", "--out", "store", "--model", "builtin").code == 0
    viewer = ViewerModel()
    layer = viewer.add_image(np.load("a.npy"))
    store = EmbeddingStore(MemoryStore(), DiskStore(Path("store"), 10**9))
    session = nds.SimilaritySession(viewer, backbone="builtin", store=store)
    session.add_query(layer, 30, 20)
    session.wait()
    session.close()
    assert len(list(Path("store").glob("*.safetensors"))) == 1


def test_a_limit_of_the_dock_removes_nothing_that_embed_wrote(cli, folder):
    assert cli("embed", "*.png", "--out", "store", "--model", "builtin").code == 0
    before = set(Path("store").iterdir())
    state = nds.create_patch_image_state(
        np.arange(4096).reshape(64, 64), nds.load_backbone("builtin", device="cpu")
    )
    cache = DiskStore(Path("store"), int(state.nbytes * 1.5))
    for number in range(4):
        cache.put(f"{number}" * 64, state)
    assert before < set(Path("store").iterdir())
    assert len(before) == 3


def test_a_reader_can_be_chosen(cli, spots):
    image = (np.stack([spots, spots[::-1], spots]) * 3000).astype("u2")
    tifffile.imwrite("a.tif", image, imagej=True, metadata={"axes": "CYX"})
    options = ("--out", "store", "--model", "builtin", "--json")
    own = cli("embed", "a.tif", *options).json["images"]
    assert [entry["channel"] for entry in own] == [0, 1, 2]
    builtin = cli("embed", "a.tif", "--reader", "napari", *options).json["images"]
    assert [(entry["channel"], entry["plane"]) for entry in builtin] == [
        (None, [0]),
        (None, [1]),
        (None, [2]),
    ]
    line = cli("embed", "a.tif", "--reader", "napari-nothing", *options).err.splitlines()[0]
    assert "cannot be read with napari-nothing, which is not installed" in line
    assert "choose with --reader one of napari, napari-dinov3-sim" in line


def test_a_folder_opens_its_images(folder):
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    assert [layer.name for layer in shown(folder)] == ["gray", "rgb", "rgba"]
    (folder / "empty").mkdir()
    assert get_reader(str(folder / "empty")) is None
