"""``--measure``: tables of the objects of each image, and their summary."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytestmark = pytest.mark.slow

OPTIONS = ("--out", "out", "--model", "builtin")


def read(name):
    with Path(f"out/{name}").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


@pytest.fixture
def micron(tmp_path, monkeypatch):
    """A stack of squares, 2 µm apart, with pixels of 0.325 µm."""
    monkeypatch.chdir(tmp_path)
    image = np.full((3, 96, 128), 200, np.uint16)
    for plane in range(3):
        for square in range(plane + 1):
            image[plane, 16:48, 32 * square : 32 * square + 16] = 3000 + 100 * plane
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.325, "PhysicalSizeXUnit": "µm"}
    metadata |= {"PhysicalSizeY": 0.325, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite("cells.tif", image, ome=True, metadata=metadata | {"PhysicalSizeZ": 2.0})
    return image


def test_each_plane_is_measured_as_its_labels_file_has_it(cli, micron):
    click = ("similarity", "cells.tif", "--plane", 0, "--at", 8, 30)
    result = cli(*click, *OPTIONS, "--measure", "--json")
    assert result.code == 0, result
    rows = read("cells.objects.csv")
    for plane in range(3):
        labels = tifffile.imread(f"out/cells-{plane}.labels.tif")
        scores = tifffile.imread(f"out/cells-{plane}.cosine.tif")
        mine = [row for row in rows if int(row["plane"]) == plane]
        found = np.unique(labels[labels > 0])
        assert [int(row["label"]) for row in mine] == found.tolist()
        for row, label in zip(mine, found, strict=True):
            inside = labels == label
            assert int(row["area_px"]) == inside.sum()
            assert float(row["area_um2"]) == pytest.approx(inside.sum() * 0.325**2)
            assert float(row["intensity_mean"]) == pytest.approx(micron[plane][inside].mean())
            assert float(row["score_mean"]) == pytest.approx(scores[inside].mean(), rel=1e-5)
            assert row["image"] == "cells"
    assert [Path(path).name for path in result.json["files"]][-2:] == [
        "cells.objects.csv",
        "summary.csv",
    ]
    (row,) = read("summary.csv")
    assert int(row["objects"]) == len(rows)
    assert int(row["planes"]) == 3
    covered = column(rows, "area_px").sum() / micron.size
    assert float(row["area_fraction"]) == pytest.approx(covered)


def test_a_series_has_its_time(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = np.full((2, 64, 64), 200, np.uint16)
    image[:, 16:48, 16:32] = 3000
    tifffile.imwrite("series.tif", image, ome=True, metadata={"axes": "TYX"})
    click = ("similarity", "series.tif", "--plane", 0, "--at", 20, 30)
    result = cli(*click, *OPTIONS, "--measure", "--maps", "none", "--no-labels")
    assert result.code == 0, result
    rows = read("series.objects.csv")
    assert {row["time"] for row in rows} == {"0", "1"}
    assert "plane" not in rows[0]


def test_several_images_and_classes_have_a_row_each_in_the_summary(cli, situation_images):
    cli("similarity", "gray.png", "--at", 5, 5, "--save-query", "a.q", "--class", "a", *OPTIONS)
    cli(
        *("similarity", "gray.png", "--at", 60, 40, "--save-query", "b.q"),
        *("--class", "b", *OPTIONS, "--overwrite"),
    )
    asked = merged_query("a.q", "b.q")
    wanted = ("--measure", "--threshold", "-1", *OPTIONS, "--overwrite")
    result = cli("search", asked, "gray.png", "colour.png", *wanted)
    assert result.code == 0, result
    assert "gray.objects.csv, colour.objects.csv and summary.csv" in result.out
    summary = read("summary.csv")
    assert [(row["image"], row["class"]) for row in summary] == [
        ("gray", "a"),
        ("gray", "b"),
        ("colour", "a"),
        ("colour", "b"),
    ]
    assert "intensity_mean" in read("gray.objects.csv")[0]
    rows = read("colour.objects.csv")
    assert {"red_mean", "green_sd", "blue_max"} <= set(rows[0])
    assert len(rows) == sum(int(r["objects"]) for r in summary if r["image"] == "colour")
    assert "area_um2" not in rows[0]


def merged_query(*paths):
    from dataclasses import replace

    from napari_dinov3_sim.store.query_files import load_query, save_query

    first, second = map(load_query, paths)
    query = replace(first, classes=(*first.classes, *second.classes))
    return str(save_query(query, "both.query.safetensors"))


@pytest.fixture
def situation_images(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    gray = np.kron(rng.integers(0, 255, (4, 6)), np.ones((16, 16))).astype(np.uint8)
    Image.fromarray(gray).save("gray.png")
    Image.fromarray(np.stack([gray, gray[::-1], gray[:, ::-1]], -1)).save("colour.png")


def test_a_table_is_not_replaced_without_being_asked(cli, situation_images):
    click = ("similarity", "gray.png", "--at", 5, 5, *OPTIONS, "--measure", "--maps", "none")
    click += ("--no-labels",)
    assert cli(*click).code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "gray.objects.csv",
        "summary.csv",
    ]
    assert "gray.objects.csv and 1 more would be replaced" in cli(*click).refusal
    assert cli(*click, "--overwrite").code == 0


def test_least_area_and_threshold_hold_for_measured_objects(cli, situation_images):
    click = ("similarity", "gray.png", "--at", 5, 5, *OPTIONS, "--overwrite", "--measure")
    cli(*click, "--threshold", "-1")
    assert [row["area_px"] for row in read("gray.objects.csv")] == [str(64 * 96)]
    cli(*click, "--min-area", 300)
    assert all(int(row["area_px"]) >= 300 for row in read("gray.objects.csv"))


def test_places_are_pixels_of_the_finest_level(cli, situation_images, monkeypatch):
    import zarr

    from napari_dinov3_sim.core.images import levels

    monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", 64 * 96)
    image = np.zeros((128, 192), np.uint8)
    image[32:64, 32:96] = 200
    group = zarr.open_group("p.zarr", mode="w", zarr_format=2)
    for number, data in enumerate((image, image[::2, ::2])):
        group.create_array(str(number), data=data, chunks=(64, 64))
    scales = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": [s, s]}]}
        for n, s in enumerate((0.5, 1.0))
    ]
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": scales}]
    result = cli(
        "similarity",
        "p.zarr",
        "--at",
        60,
        50,
        *OPTIONS,
        "--measure",
        "--threshold",
        "otsu",
    )
    assert result.code == 0, result
    labels = tifffile.imread("out/p.labels.tif")
    (row,) = [row for row in read("p.objects.csv") if int(row["label"]) == labels[20, 30]]
    inside = labels == labels[20, 30]
    assert float(row["area_px"]) == 4 * inside.sum()
    assert float(row["area_um2"]) == pytest.approx(inside.sum())
    rows, columns = np.nonzero(inside)
    assert float(row["centroid_y_px"]) == pytest.approx(2 * rows.mean() + 0.5)
    assert float(row["centroid_x_um"]) == pytest.approx(0.5 * (2 * columns.mean() + 0.5))
    assert float(row["bbox_max_x_px"]) == 2 * (columns.max() + 1)
