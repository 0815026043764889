"""What `similarity` writes and reports."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.utils.colormaps import ensure_colormap
from PIL import Image
from skimage.io import imread

import napari_dinov3_sim as nds
from napari_dinov3_sim.cli.output.drawing import OUTLINE

pytestmark = pytest.mark.slow

GRAY, RGB, RGBA = "gray.png", "rgb.png", "rgba.png"


def pixels(name):
    return imread(name)


def expected_maps(backbone, points, *names):
    states = [nds.create_patch_image_state(pixels(name), backbone) for name in names]
    return nds.create_similarity_images(states[0], points, states)


def test_the_cosine_is_that_of_the_library(search, backbone):
    result = search(GRAY, RGB, RGBA, at=(69, 49))
    assert result.code == 0, result
    maps = expected_maps(backbone, (69, 49), GRAY, RGB, RGBA)
    for stem, expected in zip(("gray", "rgb", "rgba"), maps, strict=True):
        written = tifffile.imread(f"out/{stem}.cosine.tif")
        assert written.dtype == np.float32
        np.testing.assert_array_equal(written, expected.full_resolution())


def test_several_clicks_are_answered_together(cli, folder, backbone):
    options = ("--out", "out", "--model", "builtin")
    assert cli("similarity", GRAY, "--at", 3, 4, "--at", 60.5, 40, RGB, *options).code == 0
    expected = expected_maps(backbone, [(3, 4), (60.5, 40)], GRAY, RGB)[1]
    np.testing.assert_array_equal(
        tifffile.imread("out/rgb.cosine.tif"), expected.full_resolution()
    )


def test_the_heatmap_has_the_size_of_the_image(search):
    search(GRAY, RGB)
    assert pixels("out/gray.heatmap.png").shape == (50, 70, 3)
    assert pixels("out/rgb.heatmap.png").shape == (40, 64, 3)


def test_the_clicked_patch_is_framed_in_the_query_only(search):
    search(GRAY, RGB, at=(20, 35))
    query, target = pixels("out/gray.heatmap.png"), pixels("out/rgb.heatmap.png")
    framed = np.argwhere((query == OUTLINE).all(-1))
    assert framed.min(0).tolist() == [32, 16]
    assert framed.max(0).tolist() == [47, 31]
    assert not (target == OUTLINE).all(-1).any()


def test_a_patch_cut_by_the_border_is_framed_inside_the_image(search):
    search(GRAY, at=(69, 49))
    framed = np.argwhere((pixels("out/gray.heatmap.png") == OUTLINE).all(-1))
    assert framed.min(0).tolist() == [48, 64]
    assert framed.max(0).tolist() == [49, 69]


def test_brightness_is_comparable_between_images(search, folder):
    """One scale from 0, or the least if all are above, to the greatest cosine of all images."""
    flat = np.full((32, 32, 3), 90, np.uint8)
    Image.fromarray(flat).save("flat.png")
    assert search(RGB, "flat.png").code == 0
    cosine = [tifffile.imread(f"out/{stem}.cosine.tif") for stem in ("rgb", "flat")]
    low, high = max(0, min(c.min() for c in cosine)), max(c.max() for c in cosine)
    brightness = np.clip((cosine[1] - low) / (high - low), 0, 1)
    magma = np.asarray(ensure_colormap("magma").map(brightness))[..., :3]
    expected = 0.4 * flat + 0.6 * 255 * magma
    np.testing.assert_allclose(pixels("out/flat.heatmap.png"), expected, atol=3)


def test_the_report_is_one_json_object(cli, folder):
    options = ("--out", "out", "--model", "builtin", "--device", "cpu", "--json")
    result = cli("similarity", GRAY, RGB, "--at", 5, 7, *options)
    assert result.err == ""
    report = result.json
    assert report["query"] == GRAY
    assert report["points"] == [[5, 7]]
    assert (report["model"], report["device"], report["dtype"]) == ("builtin", "cpu", "float32")
    assert "not a Meta checkpoint" in report["label"]
    assert [entry["shape"] for entry in report["images"]] == [[50, 70], [40, 64]]
    assert report["files"] == [
        str(Path("out") / f"{stem}{end}")
        for stem in ("gray", "rgb")
        for end in (".cosine.tif", ".heatmap.png")
    ]


def test_the_best_match_is_where_the_cosine_is_greatest(cli, folder):
    options = ("--out", "out", "--model", "builtin", "--json")
    report = cli("similarity", GRAY, "--at", 69, 49, RGB, *options).json
    for entry in report["images"]:
        cosine, best = tifffile.imread(entry["cosine"]), entry["best_match"]
        assert cosine[int(best["y"]), int(best["x"])] == pytest.approx(best["cosine"])
        assert best["cosine"] == pytest.approx(cosine.max()) == pytest.approx(entry["max"])
        assert entry["min"] == pytest.approx(cosine.min())
    click = report["images"][0]
    assert click["clicked"]
    assert click["best_match"]["cosine"] == pytest.approx(1, abs=1e-6)
    assert (click["best_match"]["x"], click["best_match"]["y"]) == (66.5, 48.5)


def test_the_table_names_model_files_and_best_matches(search):
    result = search(GRAY, RGB)
    assert result.err == ""
    assert "builtin, Built-in first look (not a Meta checkpoint)" in result.out
    assert "(7.5, 7.5), the click" in result.out
    assert "rgb.cosine.tif, rgb.heatmap.png" in result.out


def test_a_best_match_elsewhere_is_not_called_the_click(cli, folder, backbone):
    """The mean of two clicks may be nearest to a patch that nobody clicked on."""
    places = [(8 + 16 * column, 8 + 16 * row) for row in range(3) for column in range(4)]
    for clicks in combinations(places, 2):  # which ones these are depends on the weights
        cosine = expected_maps(backbone, list(clicks), GRAY)[0].cosine
        row, column = divmod(int(cosine.argmax()), cosine.shape[1])
        if (8 + 16 * column, 8 + 16 * row) not in clicks:
            break
    else:
        pytest.fail("the best match of two clicks is always one of them")
    both = [word for click in clicks for word in ("--at", *click)]
    out = cli("similarity", GRAY, *both, "--out", "out", "--model", "builtin").out
    assert f"({16 * column + 7.5}, {16 * row + 7.5}) " in out
    assert "the click" not in out


@pytest.mark.parametrize("order", ["QTO", "TOQ", "OQT"])
def test_images_may_stand_around_the_options(cli, folder, order):
    options = ["--at", 5, 5, "--out", "out", "--model", "builtin"]
    parts = {"Q": [GRAY], "T": [], "O": options}
    arguments = [word for part in order for word in parts[part]]
    assert cli("similarity", *arguments, RGB).code == 0
    assert (folder / "out" / "rgb.cosine.tif").exists()


def test_the_same_stem_never_overwrites(cli, folder, picture):
    for number, name in enumerate(("a/x.png", "b/x.tif", "c/X.npy", "d/x-2.png")):
        (folder / name).parent.mkdir()
        image = picture(32, 32, seed=number)
        if name.endswith("npy"):
            np.save(name, image)
        else:
            Image.fromarray(image).save(name)
    names = ("a/x.png", "b/x.tif", "c/X.npy", "d/x-2.png")
    result = cli(
        "similarity", *names, "--at", 1, 1, "--out", "out", "--model", "builtin", "--json"
    )
    assert len(set(result.json["files"])) == 8
    stems = [entry["cosine"] for entry in result.json["images"]]
    assert [stem.removeprefix("out/") for stem in stems] == [
        "x.cosine.tif",
        "x-3.cosine.tif",
        "X-4.cosine.tif",
        "x-2.cosine.tif",
    ]
    assert "the results of b/x.tif are called x-3" in result.err


def test_an_image_named_twice_is_searched_once(search):
    result = search(GRAY, GRAY, "./gray.png", RGB)
    assert result.out.count("heatmap.png") == 2


def test_an_input_is_never_replaced(cli, folder):
    Image.open(RGB).save("gray.heatmap.png")
    before = (folder / "gray.heatmap.png").read_bytes()
    options = ("--at", 1, 1, "--out", ".", "--model", "builtin")
    result = cli("similarity", GRAY, "gray.heatmap.png", *options)
    assert "would replace gray.heatmap.png" in result.refusal
    assert (folder / "gray.heatmap.png").read_bytes() == before


def test_nothing_but_the_results_is_left(search, folder):
    search(GRAY)
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "gray.cosine.tif",
        "gray.heatmap.png",
    ]


@pytest.mark.parametrize(
    "image",
    [
        np.full((20, 20), np.nan),
        np.full((20, 20), np.inf, np.float32),
        np.zeros((1, 1), bool),
        np.full((17, 3), 65535, np.uint16),
        np.arange(-300, 300, dtype=np.int16).reshape(20, 30),
    ],
    ids=["NaN", "infinite", "one pixel", "narrow constant", "signed"],
)
def test_strange_but_sound_images_work(search, folder, image):
    np.save("strange.npy", image)
    result = search("strange.npy", GRAY, at=(0, 0))
    assert result.code == 0, result
    assert np.isfinite(tifffile.imread("out/strange.cosine.tif")).all()
