"""The parts of the training that can go wrong without a word: labels, losses, what is held out."""

from __future__ import annotations

import json

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
from training.images import read_rgb
from training.losses import TEMPERATURE, distillation, patch_contrast, relation_agreement

from training import annotated

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
    read = annotated.read_rgb
    monkeypatch.setattr(
        annotated, "read_rgb", lambda path: (seen.append(path.name), read(path))[1]
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


def test_of_a_stack_the_first_plane_is_read_and_8_bit_is_left_as_it_is(tmp_path):
    planes = np.random.default_rng(0).integers(50, 60, (5, 40, 50), np.uint8)
    imsave(tmp_path / "stack.tif", planes, check_contrast=False)
    assert_array_equal(read_rgb(tmp_path / "stack.tif"), planes[0][..., np.newaxis].repeat(3, 2))


def spoil_size(path):
    Image.fromarray(np.zeros((64, 128), np.uint8)).save(path)


def spoil_colours(path):
    Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(path)


def spoil_class(path):
    Image.fromarray(np.full((128, 128), 15, np.uint8)).save(path)


def spoil_image(path):
    path.with_name(path.name.replace(".classes", "")).unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_size, r"shape \(64, 128\).*as large as its image"),
        (spoil_colours, r"shape \(128, 128, 3\).*one number per pixel"),
        (spoil_class, "numbers up to 15; use 1 to 14 for classes"),
        (spoil_image, r"has no image beside it; name one image\d+.png"),
    ],
)
def test_a_wrong_class_image_is_named_with_the_cure(folder, monkeypatch, spoil, message):
    for path in (folder / "sets").rglob("*.classes.png"):
        spoil(path)
    with pytest.raises(SystemExit, match=message):
        run_annotated(monkeypatch, "--images", folder / "sets", "--out", folder / "out")


def test_a_folder_without_images_is_said(folder, monkeypatch):
    (folder / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"empty has no \*.classes.png in it"):
        run_annotated(monkeypatch, "--images", folder / "empty", "--out", folder / "out")
    given = ("--images", folder / "sets", "--out", folder / "out")
    with pytest.raises(SystemExit, match="all are held out"):
        run_annotated(monkeypatch, *given, "--never", "first", "second")


def test_pixels_that_were_not_judged_are_in_no_class(folder, monkeypatch):
    for path in (folder / "sets").rglob("*.classes.png"):
        Image.fromarray(np.full((128, 128), 255, np.uint8)).save(path)
    run_annotated(monkeypatch, "--images", folder / "sets", "--out", folder / "out")
    assert not np.load(folder / "out" / "real-0000.shares.npy").any()


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
