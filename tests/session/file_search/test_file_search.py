"""Files are searched by a real process, and give what they give when they are open."""

from __future__ import annotations

import csv
import os
import shlex

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManager

import napari_dinov3_sim as nds
from heatmap_values import over_image
from napari_dinov3_sim.cli.parser import main
from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.session.file_search.outputs import OUTPUTS
from napari_dinov3_sim.session.file_search.record import SearchFolder, read_list
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE

pytestmark = pytest.mark.slow

READER = "napari-dinov3-sim"
NAMES = ["open.npy", "two words.npy", "größe 木.npy", "-x %d.npy", "a\nb.npy"]
NAMES += [os.fsdecode(b"caf\xe9.npy")]
LEVEL = 0.45


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Images of hostile names, one that is damaged, and one that is open."""
    folder = tmp_path_factory.mktemp("a b") / "scans"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for name in NAMES:
        coarse = rng.integers(20, 250, (5, 7)).astype(np.uint8)
        np.save(folder / name, coarse.repeat(20, 0).repeat(20, 1))
    np.save(folder / "cut.npy", np.zeros((64, 64)))
    whole = (folder / "cut.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:2000])
    return folder


@pytest.fixture(scope="module")
def session(scans):
    """A session on the built-in model with one image that is open, and a query of two classes."""
    PluginManager.instance().discover()
    viewer = ViewerModel()
    session = nds.SimilaritySession(viewer, backbone="builtin", runner=ThreadRunner())
    (image,) = viewer.open(str(scans / "open.npy"), plugin=READER)
    session.add_query(image, 30, 30, class_name="cell")
    session.add_query(image, 90, 70, class_name="a=b c")
    session.class_name = "cell"
    session.threshold = LEVEL
    session.min_area = 500
    session.wait(PATIENCE)
    yield session
    session.close()


@pytest.fixture(scope="module")
def searched(session, scans):
    """The folder of the results of all of them, and what was said at the end."""
    found = session.file_search.start(scans)
    session.wait(PATIENCE)
    return found, session.file_search.state


@pytest.fixture(scope="module")
def out(searched):
    """The folder."""
    return searched[0]


def test_the_summary_names_what_failed(session, searched, scans):
    out, state = searched
    assert state.phase == "done"
    assert "6 images are searched: " in state.sentence
    assert "1 failed: cut.npy." in state.sentence
    assert out == scans.parent / "scans results"
    assert session.file_search.record(out).finished


def test_objects_are_those_of_the_open_image(session, searched):
    """By the dock's thresholds, one of them by hand and one automatic, and by its least area."""
    out, state = searched
    session.results.labels()
    session.wait(PATIENCE)
    layers = [one for one in session._viewer.layers if one.name.startswith("open objects")]
    for layer in layers:
        part = "cell" if "cell" in layer.name else "a-b-c"
        (path,) = out.glob(f"open.{part}.labels.tif")
        np.testing.assert_array_equal(tifffile.imread(path), layer.data)
    assert len(layers) == 2
    assert any(layer.data.any() for layer in layers)
    objects = state.objects
    found = dict.fromkeys(objects, 0)
    for path in out.glob("*.labels.tif"):
        found["cell" if ".cell." in path.name else "a=b c"] += int(tifffile.imread(path).max())
    assert objects == found


def test_objects_are_measured(out):
    """One row for each object, and one summary of all images and classes."""
    with (out / "open.objects.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.reader(stream) if row and not row[0].startswith("#")]
    counts = [int(tifffile.imread(path).max()) for path in out.glob("open.*.labels.tif")]
    assert len(rows) == 1 + sum(counts)
    assert (out / "summary.csv").is_file()


def test_the_command_and_the_script_of_chosen_files_give_what_the_search_gave(
    session, out, scans, saved, tmp_path
):
    """One image of them all, so that it is soon done."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "open.npy").write_bytes((scans / "open.npy").read_bytes())
    search = session.file_search
    by_command = search.chosen_sources(tmp_path / "in", tmp_path / "out 1", ["objects"])
    assert main(shlex.split(by_command.command(saved))[1:]) == 0
    by_script = search.chosen_sources(tmp_path / "in", tmp_path / "out 2", ["objects"])
    with pytest.raises(SystemExit, match="0"):
        exec(compile(by_script.script(saved), "script", "exec"), {"__name__": "__main__"})
    for part in ("cell", "a-b-c"):
        expected = tifffile.imread(out / f"open.{part}.labels.tif")
        for number in (1, 2):
            found = tifffile.imread(tmp_path / f"out {number}" / f"open.{part}.labels.tif")
            np.testing.assert_array_equal(found, expected)


def test_a_file_that_is_opened_later_has_the_objects_of_its_file(session, out, scans):
    (image,) = session._viewer.open(str(scans / "two words.npy"), plugin=READER)
    try:
        # What is automatic goes by all open images; what was searched by is asked for here.
        session.wait(PATIENCE)
        session.results.labels(threshold=LEVEL, class_name="cell")
        session.wait(PATIENCE)
        name = "two words objects: cell"
        layer = next(layer for layer in session._viewer.layers if layer.name.startswith(name))
        found = tifffile.imread(out / "two words.cell.labels.tif")
        np.testing.assert_array_equal(found, layer.data)
    finally:
        session._viewer.layers.remove(image)
        session.wait(PATIENCE)


def test_all_files_are_in_the_list_whatever_their_names(out, scans):
    listed = read_list(SearchFolder(out))
    assert {file.name for file in listed} == {*NAMES, "cut.npy"}
    assert len(list(out.glob("*.heatmap.png"))) == 2 * len(NAMES)
    assert not list(out.glob("*.cosine.tif"))


def test_the_gallery_shows_matches_of_files_that_are_not_open(session, out):
    session.file_search.show_matches()
    session.gallery.show("best", 40)
    session.wait(PATIENCE)
    images = {match.image for match in session.gallery.matches}
    assert len(images) == len(NAMES)


def test_results_of_a_search_are_replaced_only_if_that_is_meant(session, out, scans):
    session.file_search.start(scans, out)
    with pytest.raises(SimilarityError, match="holds the results of another search"):
        session.wait(PATIENCE)
    (scans.parent / "mine").mkdir(exist_ok=True)
    (scans.parent / "mine" / "thesis.txt").touch()
    session.file_search.start(scans, scans.parent / "mine")
    with pytest.raises(SimilarityError, match="mine is not empty"):
        session.wait(PATIENCE)
    session.file_search.start(scans, scans)
    with pytest.raises(SimilarityError, match="is where the images are"):
        session.wait(PATIENCE)


def test_a_stopped_search_computes_the_rest_only(session, out, scans):
    """As if it had been killed: some embeddings are there, and no results."""
    embeddings = sorted(SearchFolder(out).embeddings.glob("*.safetensors"))
    assert len(embeddings) == len(NAMES)
    before = {path: path.read_bytes() for path in out.glob("*.tif")}
    for path in (*embeddings[:2], *before):
        path.unlink()
    kept = {path: path.stat().st_ino for path in embeddings[2:]}
    session.file_search.resume(out)
    session.wait(PATIENCE)
    state = session.file_search.state
    assert (state.done, state.stored) == (len(NAMES), len(NAMES) - 2)
    assert {path: path.stat().st_ino for path in embeddings[2:]} == kept
    assert {path: path.read_bytes() for path in out.glob("*.tif")} == before


def test_the_folder_cannot_be_made(session, scans, tmp_path):
    (tmp_path / "file").touch()
    session.file_search.start(scans, tmp_path / "file" / "out")
    with pytest.raises(SimilarityError, match=r"cannot be written to .*Not a directory"):
        session.wait(PATIENCE)


def test_nothing_is_searched_before_something_is_asked(scans):
    session = nds.SimilaritySession(ViewerModel(), backbone="builtin", runner=ThreadRunner())
    with pytest.raises(PointError, match="no query to save yet"):
        session.file_search.start(scans)
    with pytest.raises(SimilarityError):
        session.file_search.script("q")
    session.close()


# --- the same again ------------------------------------------------------------------------------


@pytest.fixture
def saved(session, tmp_path):
    session.results.save_query(tmp_path / "a b.query.safetensors")
    session.wait(PATIENCE)
    return tmp_path / "a b.query.safetensors"


def test_the_script_gives_the_heatmaps_of_the_session(session, saved):
    ran = {"__name__": "__main__"}
    exec(compile(session.file_search.script(saved), "script", "exec"), ran)
    again = ran["session"]
    try:
        for name in ("cell", "a=b c"):
            (mine,), (its) = session.heatmaps_of(name).values(), again.heatmaps_of(name).values()
            np.testing.assert_allclose(*map(np.asarray, (mine.data, *(one.data for one in its))))
        assert again.found == session.found
    finally:
        again.close()


def test_the_command_gives_the_heatmaps_of_the_session(session, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(session.file_search.command(saved))
    assert words[0] == "napari-dinov3-sim"
    assert main([*words[1:], "--maps", "cosine"]) == 0
    for name, part in (("cell", "cell"), ("a=b c", "a-b-c")):
        ((image, heatmap),) = session.heatmaps_of(name).items()
        found = tifffile.imread(f"results/open.{part}.cosine.tif")
        np.testing.assert_allclose(found, over_image(image, heatmap), atol=1e-6)


def test_images_without_a_file_have_no_script(session, saved):
    layer = session._viewer.layers["open"]
    source, layer._source = layer._source, type(layer._source)()
    try:
        with pytest.raises(SimilarityError, match="opened from a file"):
            session.file_search.script(saved)
    finally:
        layer._source = source


def test_the_command_line_has_every_option():
    """The session knows the command line by the names of its options alone."""
    from napari_dinov3_sim.cli import parser as cli

    made = cli._Parser()
    cli._search(made)
    known = {option for action in made._actions for option in action.option_strings}
    assert {output.option for output in OUTPUTS if output.option} <= known
