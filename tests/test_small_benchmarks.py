"""Benchmarks that need no window run from end to end, with sizes that take no time.

`.ci/run` runs the others the same way, by `make bench ARGS=--quick`. What they print is looked at
for shape: a benchmark whose row is missing has measured nothing.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from skimage.io import imsave
from tifffile import imwrite

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def printed(monkeypatch, capsys):
    """Return a function that runs a benchmark and returns what it has printed."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)

    def run(name, *words):
        monkeypatch.setattr("sys.argv", [f"{name}.py", *words])
        importlib.import_module(name).main()
        return capsys.readouterr().out

    yield run
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            del sys.modules[name]


def small_model(printed, monkeypatch):
    """Let benchmarks make a ViT of one layer where they would make a ViT-S/16."""
    config = importlib.import_module("transformers").DINOv3ViTConfig
    common = importlib.import_module("common")
    make = common.random_vit

    def random_vit(_, device="cpu", dtype="float32"):
        small = config(
            hidden_size=64, num_attention_heads=1, num_hidden_layers=1, intermediate_size=64,
            num_register_tokens=4,
        )  # fmt: skip
        return make(small, device, dtype)

    monkeypatch.setattr(common, "random_vit", random_vit)


@pytest.fixture
def small(printed, monkeypatch):
    small_model(printed, monkeypatch)
    return printed


def test_the_gpu(small):
    """All of it, with the loop for devices, on the processor."""
    text = small("bench_gpu", "--device", "cpu", "--small")
    row = next(line for line in text.splitlines() if line.startswith("S "))
    assert len(row.split()) == 13
    assert re.search(r"a click on 1000 patches: [\d.]+ ms on cpu, [\d.]+ ms on the proc", text)


def test_without_a_gpu_nothing_is_measured(printed, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="77"):
        printed("bench_gpu")


def test_the_roofline(printed):
    text = printed("bench_roofline", "--models", "S", "B")
    rows = [line.split() for line in text.splitlines() if re.match(r"[SB] ", line)]
    assert [row[0] for row in rows] == ["S", "B", "S", "B"]  # on two cards
    shares = [int(row[7].removesuffix("%")) for row in rows]
    assert shares[1] >= 50, "ViT-B on an H200"
    assert shares[3] >= 50, "ViT-B on an RTX 4090"
    for row in rows:
        assert int(row[10].removesuffix("%")) >= int(row[7].removesuffix("%")), "fused is faster"
        assert float(row[8]) > float(row[11]), "launching takes longer than the kernels"


def test_operations_of_the_roofline_are_those_of_the_formula(printed):
    printed("bench_roofline", "--models", "S")
    roofline, embed = sys.modules["bench_roofline"], importlib.import_module("bench_embed")
    options = SimpleNamespace(tile=512, overlap=64, batch=2)
    kernels, tiles = roofline.count("S", options)
    config = roofline.DINOv3ViTConfig(num_register_tokens=4)
    formula = embed.flops(config, (roofline.SIDE, roofline.SIDE), 16) / tiles
    assert sum(kernel.operations for kernel in kernels) == pytest.approx(2 * formula, rel=1e-6)


def test_peers_without_napari_dinosim(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari_dinosim", None)
    text = small("bench_peers", "--sides", "128", "--repeats", "1")
    assert "napari-dinosim is not measured (" in text
    names = re.findall(r"^(.{20}) +\d+\.\d\d +\d+\.\d\d", text, re.M)
    assert [name.strip() for name in names] == [
        "chosen",
        "float32",
        "transformers, tiles",
        "transformers, whole",
        "ceiling",
    ]


class Pipeline:
    """Stands in for that of napari-dinosim, as far as the benchmark calls it."""

    def __init__(self, model, patch_size, device, preprocess, dim, dino_image_size):
        self.model = model

    def pre_compute_embeddings(self, images, crop_shape, **options):
        pixels = torch.zeros(1, 3, *crop_shape[:2])
        self.patches = self.model.forward_features(pixels)["x_norm_patchtokens"]

    def set_reference_vector(self, points, filter):
        assert points == [(0, 64, 64)]

    def get_ds_distances_sameRef(self, verbose):
        return self.patches[..., 0].detach()

    def distance_post_processing(self, distances, filter, upsampling_mode):
        return np.asarray(distances)


def test_peers_with_napari_dinosim(small, monkeypatch):
    package, utils = ModuleType("napari_dinosim"), ModuleType("napari_dinosim.utils")
    utils.DINOSim_pipeline = Pipeline
    utils.gaussian_kernel = lambda size, sigma: np.ones((size, size))
    utils.get_img_processing_f = lambda resize_size: None
    utils.torch_convolve = lambda values, kernel: values
    monkeypatch.setitem(sys.modules, "napari_dinosim", package)
    monkeypatch.setitem(sys.modules, "napari_dinosim.utils", utils)
    text = small("bench_peers", "--sides", "128", "--repeats", "1", "--whole-up-to", "0")
    assert re.search(r"^napari-dinosim +\d+\.\d\d +\d+\.\d\d +\d+\.\d +\d+\.\d$", text, re.M)


def test_openvino(small):
    text = small("bench_openvino", "--sides", "64", "--repeats", "1")
    rows = re.findall(r" 64  (float32|bfloat16) .* ([\d.]+)$", text, re.M)
    assert [dtype for dtype, _ in rows] == ["float32", "bfloat16"] * 2
    assert all(float(cosine) > 0.999 for _, cosine in rows)
    assert re.search(r"^import of OpenVINO: [\d.]+ s", text, re.M)


def test_the_search(printed, tmp_path):
    text = printed(
        "bench_search",
        "--images",
        "3",
        "--side",
        "64",
        "--repeats",
        "1",
        "--folder",
        str(tmp_path),
    )
    rows = re.findall(r"^(\D+?) +[\d.]+ +[\d.]+ +\d+% +[\d.]+ +[\d.]+$", text, re.M)
    assert rows[-2:] == ["from memory", "  without checksum"]
    assert list(tmp_path.iterdir()) == []


def test_reading(printed):
    text = printed("bench_reading", "--files", "1", "--side", "64", "--repeats", "1")
    assert re.findall(r"^builtin +(\w+) +[\d.]+% ", text, re.M) == ["tif", "zarr"]


@pytest.fixture
def annotated(tmp_path):
    """A folder with a set of four images of dark and bright discs, as quality is measured on."""
    folder = tmp_path / "sets" / "discs"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:160, :160]
    for k in range(4):
        discs = np.zeros((160, 160), np.uint16)
        for number, (y, x) in enumerate(((40, 40), (44, 120), (116, 40), (112, 116)), 1):
            discs[np.hypot(rows - y - 3 * k, columns - x) < 26] = number
        classes = np.array((0, 1, 1, 2, 2), np.uint8)[discs]
        grey = np.array((150, 60, 240))[classes] + rng.integers(-15, 15, discs.shape)
        path = folder / f"image{k}.png"
        imsave(path, np.repeat(grey[..., None], 3, 2).astype(np.uint8))
        imsave(path.with_suffix(".classes.png"), classes, check_contrast=False)
        imwrite(path.with_suffix(".instances.tif"), discs)
    (folder / "classes.json").write_text('{"1": "dark disc", "2": "bright disc"}')
    return folder.parent


@pytest.mark.parametrize(
    ("name", "words", "row"),
    [
        ("bench_combinations", ("--repeats", "2", "--data"), r"^contrast +\d\.\d{3} "),
        ("bench_combinations", ("--mistakes", "--repeats", "2", "--data"), r"^mean +\d\.\d{3} "),
        ("bench_feedback", ("--clicks", "1", "--rounds", "1", "--images"), r"^teach, learned +\d"),
        ("bench_objects", ("--draws", "1", "--images"), r"^edges +auto \d\.\d{3}"),
        ("bench_retrieval", (), r"^discs/dark disc +\d+ +\d\.\d{3} "),
        ("bench_threshold", ("--draws", "1", "--images"), r"^3 \+ 3 +\d\.\d{3}"),
        ("bench_tile_retrieval", ("--side", "320", "--data"), r"^all 2 classes +across +\d"),
    ],
)
def test_quality(printed, annotated, monkeypatch, tmp_path, name, words, row):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # embeddings are kept there
    text = printed(name, *words, str(annotated))
    assert re.search(row, text, re.M), text
