"""The parts of the training that can go wrong without a word: labels, losses, what is held out."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from skimage.io import imsave
from training.batches import Photographs, Shards
from training.drawings.groups import draw_group, patch_shares
from training.drawings.looks import random_looks, substances
from training.drawings.modalities import random_modality, record
from training.drawings.scenes import CLASSES, scene
from training.drawings.worlds import WORLDS
from training.images import image_files, read_rgb
from training.losses import TEMPERATURE, distillation, patch_contrast, relation_agreement

from napari_dinov3_sim.cli.comparison.annotated_sets import SetOptions, find_sets
from training import annotated, train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("make", WORLDS, ids=lambda make: make.__name__)
def test_a_world_gives_classes_that_have_a_look_and_an_image(make):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        made = scene(rng, make(rng), 256)
        assert made.classes.min() >= 0
        assert made.classes.max() < CLASSES
        assert len(np.unique(made.classes)) >= 2
        image = record(rng, random_modality(rng), substances(rng, made, random_looks(rng)))
        assert image.shape == (256, 256, 3)
        assert image.dtype == np.uint8


def test_a_group_comes_again_from_its_seed():
    first, again = (draw_group(7, large=False) for _ in range(2))
    assert_array_equal(first.images, again.images)
    assert first.images.shape == (4, 256, 256, 3)
    assert draw_group(7, large=True).images.shape == (1, 512, 512, 3)
    assert_array_equal(first.shares.astype(int).sum(-1) // 250, 1)


def test_shares_are_those_of_the_pixels():
    classes = np.random.default_rng(0).integers(0, 5, (64, 48)).astype(np.int8)
    shares = patch_shares(classes)
    assert shares.shape == (4, 3, CLASSES)
    for row, column, number in np.ndindex(4, 3, 6):
        patch = classes[row * 16 :, column * 16 :][:16, :16]
        assert shares[row, column, number] == round(255 * float((patch == number).mean()))


def slow_contrast(features, shares):
    """The loss by loops: mostly pure patches ask, half of a class is alike, a quarter is not."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    losses, weights = [], []
    for i, number in enumerate(shares.argmax(1)):
        count = (shares[:, number] >= 0.5).sum()
        if shares[i, number] < 0.6 or count < 3:
            continue
        likeness = np.exp(unit @ unit[i] / TEMPERATURE)
        negatives = likeness[shares[:, number] < 0.25].sum()
        positives = [j for j in np.flatnonzero(shares[:, number] >= 0.5) if j != i]
        losses.append(
            np.mean([-np.log(likeness[j] / (likeness[j] + negatives)) for j in positives])
        )
        weights.append(1 / max(count, 4))
    return np.average(losses, weights=weights)


def test_patch_contrast_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    features, shares = rng.standard_normal((40, 8)), rng.dirichlet((0.3,) * 5, 40)
    got = patch_contrast(torch.tensor(features), torch.tensor(shares))
    assert_allclose(got.item(), slow_contrast(features, shares), rtol=1e-6)


def test_background_asks_with_less_weight():
    rng = np.random.default_rng(2)
    features, shares = (
        torch.tensor(rng.standard_normal((60, 8))),
        torch.eye(3).repeat_interleave(20, 0),
    )
    alone = [patch_contrast(features, shares).item() for _ in range(1)]
    less = patch_contrast(features, shares, background=2).item()
    assert less != pytest.approx(alone[0])


def test_contrast_falls_when_patches_of_a_class_come_together():
    shares = torch.eye(3).repeat_interleave(20, 0)
    apart = patch_contrast(torch.randn(60, 8, generator=torch.manual_seed(0)), shares)
    together = patch_contrast(shares + 0.01, shares)
    assert together < 0.1 * apart


def test_a_student_like_its_teacher_has_nothing_to_learn():
    teacher = torch.randn(2, 64, 16, generator=torch.manual_seed(0))
    single, relations = distillation(3 * teacher, 0.5 * teacher, teacher)
    assert single.item() == pytest.approx(0, abs=1e-6)
    assert relations.item() == pytest.approx(0, abs=1e-6)
    other = torch.randn(2, 64, 16, generator=torch.manual_seed(1))
    assert min(loss.item() for loss in distillation(other, other, teacher)) > 0.05


def test_agreement_is_best_with_the_average_itself():
    average = torch.randn(50, 8, generator=torch.manual_seed(0))
    other = torch.randn(50, 8, generator=torch.manual_seed(1))
    assert relation_agreement(average, average) < relation_agreement(other, average)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        (tmp_path / "sets" / name).mkdir(parents=True)
        for k in range(12):
            path = tmp_path / "sets" / name / f"image{k}.png"
            Image.fromarray(rng.integers(0, 255, (128, 128, 3), np.uint8)).save(path)
            classes = np.zeros((128, 128), np.uint8)
            classes[:64] = 1
            Image.fromarray(classes).save(path.with_suffix(".classes.png"))
        names = tmp_path / "sets" / name / "classes.json"
        names.write_text(json.dumps({"1": "half"}))
    return tmp_path


def test_held_out_images_are_linked_and_not_learned(folder, monkeypatch):
    out, held = folder / "out", folder / "held"
    seen = []
    group = annotated.group
    monkeypatch.setattr(
        annotated,
        "group",
        lambda rng, files: (seen.extend(path.name for path in files), group(rng, files))[1],
    )
    arguments = (
        f"x --images {folder}/sets --out {out} --groups 30 --held-out {held} --never second"
    )
    monkeypatch.setattr("sys.argv", arguments.split())
    annotated.main()
    linked = {p.name for p in (held / "first").glob("image*.png")}
    assert 2 <= len(linked) < 24
    assert not linked & set(seen)
    assert len(list((held / "second").glob("*.classes.png"))) == 12
    images, shares = Shards(out, "real").draw(np.random.default_rng(0))
    assert images.shape == (4, 3, 256, 256)
    assert shares.shape == (4, 16, 16, CLASSES)
    assert set(np.flatnonzero(shares.sum((0, 1, 2)))) <= {1, annotated.BACKGROUND}


def run_annotated(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["x", *map(str, arguments), "--groups", "4"])
    annotated.main()


def test_links_to_folders_are_followed(folder, monkeypatch):
    links = folder / "links"
    links.mkdir()
    (links / "first").symlink_to(folder / "sets" / "first", target_is_directory=True)
    for name in ("sets", "links"):
        given = ("--images", folder / name, "--out", folder / f"out of {name}")
        run_annotated(monkeypatch, *given, "--never", "second")
    sets, linked = (
        np.load(folder / f"out of {name}" / "real-0000.images.npy") for name in ("sets", "links")
    )
    assert_array_equal(sets, linked)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_image_of_16_bit_is_drawn_from_its_darkest_to_its_brightest(tmp_path, suffix):
    ramp = np.linspace(200, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
    imsave(tmp_path / f"ramp{suffix}", ramp, check_contrast=False)
    seen = read_rgb(tmp_path / f"ramp{suffix}")
    assert seen.shape == (64, 64, 3)
    assert_array_equal(seen[..., 0], seen[..., 2])
    assert (seen.min(), seen.max()) == (0, 255)
    assert abs(float(seen.mean()) - 127.5) < 1


def test_an_image_of_8_bit_is_left_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(50, 60, (40, 50), np.uint8)
    imsave(tmp_path / "image.tif", pixels, check_contrast=False)
    assert_array_equal(read_rgb(tmp_path / "image.tif"), pixels[..., np.newaxis].repeat(3, 2))


def spoil_size(path):
    Image.fromarray(np.zeros((64, 128), np.uint8)).save(path)


def spoil_colours(path):
    Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(path)


def spoil_class(path):
    Image.fromarray(np.full((128, 128), 15, np.uint8)).save(path)


def spoil_image(path):
    path.with_name(path.name.replace(".classes", "")).unlink()


def spoil_palette(path):
    Image.fromarray(np.ones((128, 128), np.uint8)).convert("P").save(path)


def spoil_pixels(path):
    image = path.with_name(path.name.replace(".classes", ""))
    image.write_bytes(image.read_bytes()[:200])


def spoil_planes(path):
    image = path.with_name(path.name.replace(".classes", ""))
    image.unlink()
    stack = np.zeros((5, 128, 128), np.uint8)
    imsave(image.with_suffix(".tif"), stack, check_contrast=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_size, "has 128 × 64 pixels, and image.* both must be of one size"),
        (spoil_colours, "holds colours and no numbers of classes"),
        (spoil_palette, "holds colours and no numbers of classes"),
        (spoil_class, "has the number 15; use 1 to 14 for classes"),
        (spoil_image, r"has no image beside it; name one image\d+.png"),
        (spoil_pixels, r"image\d+.png seems damaged"),
        (spoil_planes, r"image\d+.tif has several planes or channels"),
    ],
)
def test_all_bad_files_are_named_with_the_cure_before_the_first_group(
    folder, monkeypatch, spoil, message
):
    paths = [folder / "sets" / "first" / f"image{k}.classes.png" for k in (3, 5)]
    for path in paths:
        spoil(path)
    with pytest.raises(SystemExit) as told:
        run_annotated(monkeypatch, "--images", folder / "sets", "--out", folder / "out")
    lines = str(told.value).splitlines()
    assert len(lines) == 3
    assert all(re.search(message, line) for line in lines[:2])
    assert all(path.name.split(".")[0] in line for path, line in zip(paths, lines, strict=False))
    assert not any((folder / "out").iterdir())


def test_a_folder_without_images_is_said(folder, monkeypatch):
    (folder / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"empty has no \*.classes.png in it"):
        run_annotated(monkeypatch, "--images", folder / "empty", "--out", folder / "out")
    given = ("--images", folder / "sets", "--out", folder / "out")
    with pytest.raises(SystemExit, match="all are held out"):
        run_annotated(monkeypatch, *given, "--never", "first", "second")


def test_a_folder_without_images_that_can_be_read_is_said(tmp_path):
    (tmp_path / "image.czi").write_bytes(b"something")
    with pytest.raises(SystemExit, match=r"has no image; they must end in \.jpg"):
        image_files(tmp_path)


def test_held_out_links_are_of_the_image_itself(tmp_path):
    pixels = np.zeros((32, 32), np.uint8)
    names = ("cell [1]", "cell 1", "cell", "cell.b")
    for name in names:
        imsave(tmp_path / f"{name}.png", pixels, check_contrast=False)
        imsave(tmp_path / f"{name}.classes.png", pixels, check_contrast=False)
    one = tmp_path / "cell [1].classes.png"
    two = tmp_path / "cell.classes.png"
    for _ in range(2):
        annotated.link_held_out({"cells": [one, two]}, ["cells"], tmp_path / "held")
        linked = {path.name for path in (tmp_path / "held" / "cells").iterdir()}
        assert linked == {one.name, two.name, "cell [1].png", "cell.png"}


def test_all_classes_of_held_out_images_are_compared(folder, monkeypatch):
    for path in (folder / "sets" / "second").iterdir():
        if path.name == "classes.json":
            path.unlink()
        elif path.name.endswith(".classes.png"):
            classes = np.full((128, 128), 3, np.uint8)
            classes[:64] = 2
            Image.fromarray(classes).save(path)
    given = ("--images", folder / "sets", "--out", folder / "out", "--never", "second")
    run_annotated(monkeypatch, *given, "--held-out", folder / "held")
    (second,) = find_sets([folder / "held"], SetOptions(only=("second",)))
    assert second.classes == {}  # no names are given: all that are annotated are compared
    assert set(second.names_of([image.read_annotation() for image in second.images])) == {2, 3}


def test_pixels_that_were_not_judged_are_in_no_class(folder, monkeypatch):
    for path in (folder / "sets").rglob("*.classes.png"):
        Image.fromarray(np.full((128, 128), 255, np.uint8)).save(path)
    run_annotated(monkeypatch, "--images", folder / "sets", "--out", folder / "out")
    assert not np.load(folder / "out" / "real-0000.shares.npy").any()


@pytest.fixture
def drawings(tmp_path):
    """Data to learn from in a second: noise of two brightnesses, as drawings without a scene."""
    rng = np.random.default_rng(0)
    for size, name in ((64, "small"), (96, "large")):
        shares = np.zeros((2, 4, size // 16, size // 16, CLASSES), np.uint8)
        shares[:, :, : size // 32, :, 0] = shares[:, :, size // 32 :, :, 1] = 255
        bright = shares[..., 0].repeat(16, 2).repeat(16, 3)[..., np.newaxis] // 2
        images = rng.integers(0, 128, (*bright.shape[:-1], 3), np.uint8) + bright
        (tmp_path / "data" / "drawings").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "data" / "drawings" / f"{name}-0000.images.npy", images)
        np.save(tmp_path / "data" / "drawings" / f"{name}-0000.shares.npy", shares)
    return tmp_path / "data"


def run_training(monkeypatch, data, out, steps, *more):
    few = "--layers 2 --width 64 --groups 2 --save-every 3 --log-every 3 --decay 2 --threads 1"
    given = ["x", "--data", str(data), "--out", str(out), "--steps", str(steps), *few.split()]
    monkeypatch.setattr("sys.argv", given + list(more))
    train.main()


def state_of(folder):
    state = torch.load(folder / "state.pt", weights_only=True)
    return {**state["student"], **{f"average {k}": v for k, v in state["average"].items()}}


def test_a_run_that_was_stopped_gives_the_same_model_to_the_last_bit(
    drawings, tmp_path, monkeypatch
):
    whole, again, stopped = (tmp_path / name for name in ("whole", "again", "stopped"))
    run_training(monkeypatch, drawings, whole, 9)
    run_training(monkeypatch, drawings, again, 9)
    step = train.Trainer.train_step

    def stop_in_step_five(trainer):
        if trainer.step == 4:
            raise KeyboardInterrupt
        return step(trainer)

    monkeypatch.setattr(train.Trainer, "train_step", stop_in_step_five)
    with pytest.raises(KeyboardInterrupt):
        run_training(monkeypatch, drawings, stopped, 9)
    monkeypatch.setattr(train.Trainer, "train_step", step)
    run_training(monkeypatch, drawings, stopped, 9)
    expected = state_of(whole)
    for folder in (again, stopped):
        found = state_of(folder)
        assert found.keys() == expected.keys()
        assert [k for k in expected if not torch.equal(found[k], expected[k])] == []
    files = [(f / "model" / "model.safetensors").read_bytes() for f in (whole, stopped)]
    assert files[0] == files[1]


def test_a_run_goes_on_with_what_it_began_with(drawings, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    run_training(monkeypatch, drawings, out, 3)
    with pytest.raises(SystemExit, match=r"begun with rate=0\.001, and would go on with 0\.5"):
        run_training(monkeypatch, drawings, out, 6, "--rate", "0.5")
    images = np.zeros((2, 4, 64, 64, 3), np.uint8)
    (drawings / "unlabelled").mkdir()
    np.save(drawings / "unlabelled" / "unlabelled-0000.images.npy", images)
    with pytest.raises(SystemExit, match=r"learned_from=\['drawings'\], and would go on"):
        run_training(monkeypatch, drawings, out, 6)
    options = json.loads((out / "options.json").read_text())
    older = {name: value for name, value in options.items() if name != "learned_from"}
    (out / "options.json").write_text(json.dumps(older))
    with pytest.raises(SystemExit, match="begun by an older version"):
        run_training(monkeypatch, drawings, out, 6)
    (out / "options.json").write_text(json.dumps(options))
    (drawings / "unlabelled" / "unlabelled-0000.images.npy").unlink()
    (out / "model" / "model.safetensors").unlink()
    capsys.readouterr()
    run_training(monkeypatch, drawings, out, 3)
    assert "has all 3 steps" in capsys.readouterr().out
    assert (out / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("begun", "images", "message"),
    [
        (None, "{tmp}/nowhere", "IMAGES={tmp}/nowhere holds none of photographs/"),
        ("", "{tmp}/mine", "was begun with IMAGES=; give the same again"),
        ("{tmp}/other", "", "was begun with IMAGES={tmp}/other; give the same again"),
    ],
)
def test_images_of_your_own_are_never_left_out_without_a_word(tmp_path, begun, images, message):
    (tmp_path / "mine" / "unlabelled").mkdir(parents=True)
    if begun is not None:
        (tmp_path / "out" / "data").mkdir(parents=True)
        (tmp_path / "out" / "data" / "images.txt").write_text(begun.format(tmp=tmp_path) + "\n")
    environment = {
        "PATH": os.environ["PATH"],
        "OUT": str(tmp_path / "out"),
        "IMAGES": images.format(tmp=tmp_path),
    }
    script = Path(train.__file__).with_name("make.sh")
    told = subprocess.run(
        ["bash", script], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert message.format(tmp=tmp_path) in told.stderr
    assert not (tmp_path / "out" / "data" / "drawings").exists()


def test_photographs_are_flipped_with_their_features(tmp_path):
    images = np.zeros((3, 256, 256, 3), np.uint8)
    images[:, :, :128] = 255
    left = np.zeros((16, 16, 4), np.float16)
    left[:, :8] = 1
    np.save(tmp_path / "photographs.images.npy", images)
    np.save(tmp_path / "photographs.features.npy", np.repeat(left.reshape(1, 256, 4), 3, 0))
    photographs = Photographs(tmp_path)
    sides = set()
    for seed in range(8):
        got, features = photographs.draw(np.random.default_rng(seed), 2)
        bright = got.mean(1).reshape(2, 16, 16, 16, 16).mean((2, 4)).reshape(2, 256)
        assert np.corrcoef(bright.ravel(), features[..., 0].ravel())[0, 1] > 0.95
        sides.add(bool(bright[0, 0] > bright[0, -1]))
    assert sides == {True, False}
