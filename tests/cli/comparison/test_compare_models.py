"""`compare-models` on small annotated images, and its sentences."""

import json
import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_dinov3_sim.cli.comparison.annotated_sets import SetOptions, find_sets
from napari_dinov3_sim.cli.comparison.compare import compare
from napari_dinov3_sim.cli.comparison.ways import Way, baseline
from napari_dinov3_sim.core.errors import SimilarityError

pytestmark = pytest.mark.slow


def save(folder, name, seed=0, colours=True):
    """Write an image of three squares on noise, and the class of each pixel."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 60, (96, 128, 3)).astype(np.uint8)
    classes = np.zeros((96, 128), np.uint8)
    for number, (top, left) in enumerate(((0, 16), (48, 64), (16, 80))):
        place = slice(top, top + 32), slice(left, left + 32)
        image[place] += 150
        classes[place] = 1 + number // 2
    folder.mkdir(exist_ok=True)
    Image.fromarray(image if colours else image[..., 0]).save(folder / f"{name}.png")
    Image.fromarray(classes).save(folder / f"{name}.classes.png")
    return image, classes


@pytest.fixture
def squares(tmp_path):
    for name in "ab":
        save(tmp_path / "squares", name, ord(name))
    return tmp_path / "squares"


def test_all_models_and_baselines_are_asked_the_same(cli, squares):
    told = cli("compare-models", squares, "--clicks", 2, "--baselines", "raw", "rgb")
    assert told.code == 0
    rows = [re.split(r" {2,}", line) for line in told.out.splitlines()]
    assert ["class", "clicks", "chance", "builtin", "raw", "rgb"] in rows
    of_class = next(row for row in rows if row[0] == "squares/class 1")
    assert of_class[1] == "4"
    assert all(re.fullmatch(r"[01]\.\d{3} / [01]\.\d{3}", cell) for cell in of_class[3:])
    assert "Best within images: " in rows[-1][0]


def test_json_says_what_the_table_says_and_which_weights_were_used(cli, squares, backbone):
    told = cli("compare-models", squares, "--json", "--baselines", "rgb").json
    assert told["ways"] == ["builtin", "rgb"]
    assert told["models"]["builtin"]["fingerprint"] == backbone.fingerprint
    names = [(one["set"], one["class"]) for one in told["classes"]]
    assert ("squares", "class 1") in names
    means = told["means"]["all"]
    gain = means["scores"]["rgb"]["within"] - means["scores"]["builtin"]["within"]
    difference = means["differences"]["rgb"]["within"]
    assert difference["mean"] == pytest.approx(gain)
    assert difference["low"] <= difference["mean"] <= difference["high"]


def test_a_model_that_cannot_be_loaded_is_told_and_the_others_are_compared(cli, squares):
    told = cli("compare-models", squares, "--models", "builtin", "no-such", "--baselines")
    assert told.code == 2
    assert "no model has this name" in told.err
    assert "squares/class 1" in told.out


def test_without_any_model_there_is_nothing_to_compare(cli, squares):
    told = cli("compare-models", squares, "--models", "no-such", "--baselines")
    assert told.code == 2
    assert "There is nothing to compare" in told.err
    assert told.out == ""


def test_objects_alone_are_one_class_and_16_bit_images_are_stretched(tmp_path):
    image, classes = save(tmp_path, "a")
    (tmp_path / "a.png").unlink()
    (tmp_path / "a.classes.png").unlink()
    tifffile.imwrite(tmp_path / "a.tif", image[..., 0].astype(np.uint16) * 3 + 5000)
    tifffile.imwrite(tmp_path / "a.instances.tif", classes.astype(np.int32))
    (found,) = find_sets([tmp_path])
    annotation = found.images[0].read_annotation()
    assert found.names_of([annotation]) == {1: "object"}
    assert (annotation.classes == (classes > 0)).all()
    pixels = found.images[0].read_pixels()
    assert (pixels.min(), pixels.max()) == (0, 255)
    grey = image[..., 0].astype(float)
    assert np.corrcoef(pixels[..., 1].ravel(), grey.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_names_and_zoom_of_a_set_are_read_and_may_be_overruled(squares, encoding):
    names = '{"2": "small", "1": "twin"}'
    (squares / "classes.json").write_text(names, encoding=encoding)
    (squares / "set.json").write_text('{"zoom": 2, "licence": "MIT"}')
    (found,) = find_sets([squares])
    assert found.names_of([]) == {1: "twin", 2: "small"}
    assert found.images[0].read_pixels().shape == (192, 256, 3)
    assert found.images[0].read_annotation().classes.shape == (192, 256)
    (other,) = find_sets([squares], SetOptions(zoom={"squares": 3}))
    assert other.images[0].zoom == 3
    assert find_sets([squares], SetOptions(zoom={"": 1}))[0].images[0].zoom == 1


def test_sets_in_a_folder_are_found_chosen_and_thinned_out(tmp_path):
    for name in ("one", "other"):
        for number in range(5):
            save(tmp_path / name, f"image{number}", number)
    assert [len(found.images) for found in find_sets([tmp_path])] == [5, 5]
    options = SetOptions(only=["other"], most_images={"other": 2, "": 9})
    (chosen,) = find_sets([tmp_path], options)
    assert [image.path.name for image in chosen.images] == ["image0.png", "image2.png"]


def test_one_way_is_in_memory_at_a_time(squares):
    import gc
    import weakref

    alive = weakref.WeakSet()

    class Features:
        def __call__(self, rgb):
            gc.collect()
            assert len(alive) == 1
            return rgb[::16, ::16].astype(np.float32)

    def load():
        features = Features()
        alive.add(features)
        return features

    seen = []
    compare(
        find_sets([squares]),
        [Way(name, load) for name in "ab"],
        progress=lambda *done: seen.append(done),
    )
    assert seen == [(name, done, 2) for name in "ab" for done in (0, 1, 2)]


def test_grey_and_colour_of_equal_values_are_the_same_to_a_baseline(tmp_path):
    image, _ = save(tmp_path / "grey", "a", colours=False)
    save(tmp_path / "rgb", "a")
    Image.fromarray(np.stack([image[..., 0]] * 3, -1)).save(tmp_path / "rgb" / "a.png")
    found = compare(find_sets([tmp_path]), [baseline("raw")])
    grey, rgb = (
        [one.scores["raw"][:, 0] for one in found.of_sets([name]).classes]
        for name in ("grey", "rgb")
    )
    np.testing.assert_array_equal(grey, rgb)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda f: (f / "a.classes.png").write_bytes(b"\x89PNG\r\n\x1a\n"), "a.classes.png"),
        (
            lambda f: Image.new("L", (8, 9)).save(f / "a.classes.png"),
            "has 8 × 9 pixels, and a.png has 128 × 96; both must be of one size",
        ),
        (
            lambda f: Image.new("RGB", (128, 96)).save(f / "a.classes.png"),
            "holds colours and no numbers of classes",
        ),
        (
            lambda f: tifffile.imwrite(f / "a.instances.tif", np.zeros((96, 128), np.float32)),
            "holds float32 and no numbers",
        ),
        (lambda f: (f / "classes.json").write_text("[1]"), "is no JSON object"),
        (lambda f: (f / "classes.json").write_text('{"a": "b"}'), "give names to numbers"),
        (lambda f: (f / "set.json").write_text('{"zoom": 40}'), "whole number from 1 to 4"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(cli, squares, break_it, sentence):
    break_it(squares)
    assert sentence in cli("compare-models", squares).refusal


def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(cli, squares, tmp_path):
    assert "does not exist" in cli("compare-models", tmp_path / "none").refusal
    assert "is a file" in cli("compare-models", squares / "a.png").refusal
    (tmp_path / "empty").mkdir()
    assert "holds no annotated image" in cli("compare-models", tmp_path / "empty").refusal
    for path in squares.glob("*.classes.png"):
        Image.new("L", (128, 96)).save(path)
    assert "No class covers enough patches" in cli("compare-models", squares).refusal
    stack = np.zeros((3, 5, 96, 128), np.uint8)
    tifffile.imwrite(squares / "a.classes.tif", stack)
    (squares / "a.classes.png").unlink()
    assert "several planes" in cli("compare-models", squares).refusal


def test_a_set_that_is_not_there_is_named(squares):
    with pytest.raises(SimilarityError, match="no set 'x'; choose from squares"):
        find_sets([squares], SetOptions(only=["x"]))


def test_paths_are_called_by_their_last_part_where_that_is_enough(tmp_path):
    from napari_dinov3_sim.cli.commands.compare_models import short_names

    paths = [tmp_path / name for name in ("a/weights", "b/weights", "b/other")]
    for path in paths:
        path.mkdir(parents=True)
    first, second, third = map(str, paths)
    names = short_names(["builtin", first, second, third])
    assert names == {"builtin": "builtin", first: first, second: second, third: "other"}


def test_the_bench_has_the_same_options_written_as_json(squares, tmp_path, monkeypatch, capsys):
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[3] / "benchmarks" / "bench_retrieval.py"
    spec = importlib.util.spec_from_file_location("bench_retrieval", path)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    options = ["--models", "--baselines", "raw", "rgb", "--groups", "mine=squares,none"]
    options += ["--zoom", "squares=2", "--max-images", "1", "--json", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["bench", str(squares), *options])
    bench.main()
    content = json.loads((tmp_path / "out").read_text())
    assert list(content["means"]) == ["mine", "all"]
    assert content["means"]["mine"] == content["means"]["all"]
    assert "mine (" in capsys.readouterr().out
