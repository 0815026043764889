"""Images that have moved are found by name and pixels; what is not as it was is told."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
import zipfile
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile

from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import SimilarityError, StoreError
from napari_dinov3_sim.core.state import LOW_PRECISION
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.project import examining, snapshot
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE

from ..brute_force import PatchProjection
from .conftest import READER, assert_same, heatmaps, open_file, reopen, save

pytestmark = pytest.mark.slow


@pytest.fixture
def saved(make_session, folder, tmp_path):
    """A project of two images of the same name, and its heatmaps."""
    session = make_session()
    one = open_file(session, folder / "day 1" / "a.tif")[0]
    other = open_file(session, folder / "day 2" / "a.tif")[0]
    other.translate = (100, 0)
    session.add_query(one, 40, 33, class_name="cell")
    session.add_query(other, 10, 20, class_name="gap")
    session.wait()
    return save(session, tmp_path / "p.dinov3sim.zip"), heatmaps(session)


def test_a_folder_that_moved_with_its_project_is_found(make_session, saved, folder, tmp_path):
    path, expected = saved
    there = tmp_path / "elsewhere"
    there.mkdir()
    shutil.move(folder, there / folder.name)
    shutil.move(path, there / path.name)
    again = reopen(make_session, there / path.name)
    assert_same(heatmaps(again), expected)
    assert Path(again.images[0].source.path) == there / "data" / "day 1" / "a.tif"
    assert again.told == ["p.dinov3sim.zip is open: 2 images, 2 points."]


def test_a_project_that_moved_alone_finds_its_images(make_session, saved, tmp_path):
    path, expected = saved
    there = tmp_path / "elsewhere" / "deep"
    there.mkdir(parents=True)
    again = reopen(make_session, Path(shutil.move(path, there / path.name)))
    assert_same(heatmaps(again), expected)


def test_images_that_moved_are_asked_for(make_session, saved, folder, tmp_path):
    path, expected = saved
    moved = tmp_path / "archive" / "2026"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    session = make_session()
    asked = []
    session.project.missed.connect(asked.append)
    session.project.open(path, ask=True)
    session.wait()
    assert asked == [("a", "a [1]")]
    assert not len(session.viewer.layers)
    session.project.search(moved.parent)  # one folder for all
    session.wait()
    assert_same(heatmaps(session), expected)
    assert len(session.told) == 1


def test_images_of_one_name_are_told_apart_by_their_pixels(make_session, saved, folder, tmp_path):
    """In folders of other names, where nothing but the pixels says which is which."""
    path, expected = saved
    (tmp_path / "new").mkdir()
    for number, day in enumerate(("day 2", "day 1")):
        (tmp_path / "new" / str(number)).mkdir()
        shutil.move(folder / day / "a.tif", tmp_path / "new" / str(number) / "a.tif")
    again = reopen(make_session, path, folder=tmp_path / "new")
    assert_same(heatmaps(again), expected)


def test_an_image_that_is_missing_takes_its_points_along_and_that_is_told(
    make_session, saved, folder
):
    path, _ = saved
    before = path.read_bytes()
    (folder / "day 2" / "a.tif").unlink()
    again = reopen(make_session, path)
    assert [image.name for image in again.images] == ["a"]
    assert again.class_counts["cell"].positive == 1
    assert again.class_counts["gap"].positive == 0
    assert "is open: 1 image, 1 point. a [1] was not found, and is missing" in again.told.text
    assert path.read_bytes() == before


def test_an_image_with_other_pixels_is_told_of(make_session, saved, folder):
    path, expected = saved
    changed = folder / "day 1" / "a.tif"
    pixels = tifffile.imread(changed)
    pixels[0, 0] ^= 1
    tifffile.imwrite(changed, pixels)
    again = reopen(make_session, path)
    assert "a has other pixels than when the project was saved" in again.told.text
    assert str(changed) in again.told.text
    assert "a [1] has" not in again.told.text
    np.testing.assert_array_equal(heatmaps(again)["a [1]", "gap"], expected["a [1]", "gap"])


def test_an_image_that_was_written_anew_is_the_same(make_session, saved, folder):
    path, expected = saved
    file = folder / "day 1" / "a.tif"
    tifffile.imwrite(file, tifffile.imread(file), compression="zlib")
    again = reopen(make_session, path)
    assert_same(heatmaps(again), expected)
    assert len(again.told) == 1


def test_another_image_in_its_place_is_not_taken_for_it(make_session, saved, folder):
    path, _ = saved
    tifffile.imwrite(folder / "day 1" / "a.tif", np.zeros((5, 30, 30), np.uint8))
    again = reopen(make_session, path)
    assert [image.name for image in again.images] == ["a [1]"]
    assert "a was not found" in again.told.text


def test_channels_are_known_by_their_pixels(make_session, folder, tmp_path):
    """Also where one of them was closed before it was saved."""
    session = make_session()
    first, second, third = open_file(session, folder / "channels.ome.tif")
    session.viewer.layers.remove(first)
    session.viewer.layers.move(1, 0)
    session.wait()
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    found = {image.name: np.asarray(image.data) for image in again.images}
    for layer in (second, third):
        np.testing.assert_array_equal(found[layer.name], np.asarray(layer.data))


def test_pixels_that_were_changed_here_are_in_the_project(make_session, folder, tmp_path):
    """The layer says that it is from a file, and shows something else."""
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    image.data = np.asarray(image.data)[::-1].copy()
    session.add_query(image, 40, 33)
    session.wait()
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    assert_same(heatmaps(again), heatmaps(session))
    assert "a had no file and is in the project." in session.told.text


@pytest.mark.parametrize("how", ["turned", "another file", "turned before"])
def test_pixels_that_are_read_from_elsewhere_by_now_are_in_the_project(
    make_session, folder, tmp_path, how
):
    """Also while they are read where they are seen; nothing of them is in memory."""
    session = make_session()
    if how == "turned before":  # a session that begins later has not seen it
        viewer = session.viewer
        session.close()
        image = viewer.open(str(folder / "day 1" / "a.tif"), plugin=READER)[0]
        image.data = image.data[::-1]
        later = SimilaritySession(viewer, backbone=PatchProjection(), runner=InlineRunner())
        later.viewer, later.told, session = viewer, session.told, later
        later.project.done.connect(later.told.hear)
    else:
        image = open_file(session, folder / "day 1" / "a.tif")[0]
        pixels = tifffile.imread(folder / "day 1" / "a.tif")
        tifffile.imwrite(folder / "b.tif", pixels[::-1])
        turned = session.viewer.open(str(folder / "b.tif"), plugin=READER)[0].data
        session.viewer.layers.remove("b")
        image.data = image.data[::-1] if how == "turned" else turned
    assert isinstance(image.data, da.Array)
    session.add_query(image, 40, 33)
    session.wait()
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    assert "a had no file and is in the project." in session.told.text
    assert_same(heatmaps(again), heatmaps(session))
    assert "other pixels" not in again.told.text
    session.close()


def test_images_without_a_file_are_left_out_if_that_is_wanted(make_session, tmp_path, rng):
    session = make_session()
    image = session.viewer.add_image(rng.normal(size=(40, 50)), name="made")
    session.add_query(image, 20, 20)
    session.wait()
    path = save(session, tmp_path / "p.dinov3sim.zip", include=False)
    assert "made has no file and is not in the project; save the pixels" in session.told.text
    again = reopen(make_session, path)
    assert again.images == []
    assert "made has no file and was not written into the project" in again.told.text


def test_it_is_asked_whether_images_without_a_file_are_written(make_session, tmp_path, rng):
    session = make_session()
    session.viewer.add_image(rng.normal(size=(40, 50)), name="made")
    asked = []
    session.project.unsaved.connect(asked.append)
    path = tmp_path / "p.dinov3sim.zip"
    session.project.save(path, include=None)
    session.wait()
    assert [(image.name, image.nbytes) for image in asked[0]] == [("made", 40 * 50 * 8)]
    assert not path.exists()
    session.project.include(True)
    session.wait()
    assert len(reopen(make_session, path).images) == 1


def test_an_image_without_a_file_that_is_large_is_named(make_session, tmp_path, monkeypatch, rng):
    from napari_dinov3_sim.session.project import saving

    monkeypatch.setattr(saving, "MAX_INCLUDED", 1000)
    session = make_session()
    session.viewer.add_image(rng.normal(size=(40, 50)), name="large")
    session.viewer.add_image(np.zeros((20, 20), np.uint8), name="small")
    save(session, tmp_path / "p.dinov3sim.zip")
    assert "small had no file and is in the project. large has no file" in session.told.text
    assert snapshot.MAX_INCLUDED == 2**28


def test_another_arithmetic_of_the_same_weights_is_no_other_model(make_session, saved):
    path, _ = saved
    session = make_session("projection-1" + LOW_PRECISION)
    session.project.open(path)
    session.wait()
    assert "other weights" not in session.told.text


def test_another_model_of_the_same_name_is_told_of(make_session, saved):
    path, _ = saved
    session = make_session("projection-2")
    session.project.open(path)
    session.wait()
    assert "The model projection has other weights here" in session.told.text
    assert session.told.text.count("other weights") == 1


def test_a_model_that_is_not_here_is_told_of(make_session, folder, tmp_path):
    session = make_session()
    session.add_query(open_file(session, folder / "day 1" / "a.tif")[0], 40, 33)
    session.wait()
    session._coordinator.embedder.model = "/nowhere/weights.safetensors"
    path = save(session, tmp_path / "p.dinov3sim.zip")
    again = make_session()
    again.project.open(path)
    with pytest.raises(SimilarityError, match=r"/nowhere/weights\.safetensors"):
        again.wait()
    assert len(again.images) == 1


def test_a_recipe_is_part_of_it(make_session, folder, tmp_path):
    session = make_session()
    session.recipe = Recipe(shifts=2)
    open_file(session, folder / "day 1" / "a.tif")
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    assert again.recipe == Recipe(shifts=2)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf_8(make_session, folder, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff.tif"))
    shutil.copy(folder / "day 1" / "a.tif", odd)
    session = make_session()
    image = session.viewer.open(str(odd), plugin=READER)[0]
    session.add_query(image, 40, 33)
    session.wait()
    expected = list(heatmaps(session).values())
    path = tmp_path / os.fsdecode(b"p\xe9.dinov3sim.zip")
    again = reopen(make_session, save(session, path))
    np.testing.assert_array_equal(list(heatmaps(again).values()), expected)
    assert again.images[0].source.path == str(odd)


def test_pixels_are_read_again_only_if_they_may_have_changed(
    make_session, folder, tmp_path, monkeypatch
):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.viewer.add_image(np.zeros((40, 50)), name="made")
    read = []
    digest = examining.digest_of_pixels

    def counted(levels, rgb, check):
        read.append(levels[0].shape)
        return digest(levels, rgb, check)

    monkeypatch.setattr(examining, "digest_of_pixels", counted)
    path = save(session, tmp_path / "p.dinov3sim.zip")
    assert read == [(70, 100), (40, 50)]
    save(session, path)
    assert read[2:] == [(40, 50)]
    pixels = np.asarray(image.data).copy()
    tifffile.imwrite(folder / "day 1" / "a.tif", pixels[::-1])
    save(session, path)
    assert read[3:] == [(70, 100), (40, 50)]
    image.data = image.data[::-1]
    save(session, path)
    assert (70, 100) in read[5:]


class Gate:
    """A lazy image that waits to be read."""

    def __init__(self):
        self.opened, self.reached = threading.Event(), threading.Event()

    def image(self):
        def read(block):
            self.reached.set()
            assert self.opened.wait(PATIENCE)
            return block

        return da.zeros((40, 50), chunks=(40, 50)).map_blocks(read, dtype=float, meta=np.empty(0))


def test_saving_is_stopped_in_the_middle_on_its_own_thread(make_session, tmp_path):
    session, gate = make_session(runner=ThreadRunner()), Gate()
    gate.opened.set()  # for napari, which draws it
    session.viewer.add_image(gate.image(), name="slow", contrast_limits=(0, 1))
    gate.opened.clear()
    gate.reached.clear()
    path = tmp_path / "p.dinov3sim.zip"
    session.project.save(path)
    assert gate.reached.wait(PATIENCE)
    session.cancel()
    gate.opened.set()
    session.wait(PATIENCE)
    assert not path.exists()
    assert list(session.told) == []
    save(session, path)
    again = make_session(runner=ThreadRunner())
    again.project.open(path)
    again.wait(PATIENCE)
    assert [image.name for image in again.images] == ["slow"]


def test_a_project_that_is_being_saved_is_not_given_up_for_another(make_session, saved, tmp_path):
    other, _ = saved
    session, gate = make_session(runner=ThreadRunner()), Gate()
    gate.opened.set()  # for napari, which draws it
    session.viewer.add_image(gate.image(), name="slow", contrast_limits=(0, 1))
    gate.opened.clear()
    path = tmp_path / "slow.dinov3sim.zip"
    session.project.save(path)
    for another in (
        lambda: session.project.open(other),
        lambda: session.project.save(tmp_path / "second.dinov3sim.zip"),
    ):
        with pytest.raises(SimilarityError, match="just being saved; wait until it is, or press"):
            another()
    session.project.save(path)  # as it is now
    gate.opened.set()
    session.wait(PATIENCE)
    assert [image.name for image in reopen(make_session, path).images] == ["slow"]
    assert len(session.told) == 1
    assert sorted(tmp_path.glob("*.zip")) == [other, path]


def test_a_project_that_is_being_written_is_not_given_up_by_a_question(
    make_session, saved, tmp_path, monkeypatch
):
    """Whoever cancels the question about another one stops all that goes on."""
    from napari_dinov3_sim.session.project.saving import ProjectToWrite

    other, _ = saved
    session, go_on, write = make_session(runner=ThreadRunner()), threading.Event(), []
    reached, written = threading.Event(), ProjectToWrite.write

    def slow(self, check):
        reached.set()
        assert go_on.wait(PATIENCE)
        return written(self, check)

    monkeypatch.setattr(ProjectToWrite, "write", slow)
    session.viewer.add_image(np.zeros((40, 50)), name="made")
    path = tmp_path / "made.dinov3sim.zip"
    session.project.unsaved.connect(write.append)
    session.project.save(path, include=None)
    session.wait(PATIENCE)
    assert len(write) == 1
    session.project.include(True)
    assert reached.wait(PATIENCE)
    with pytest.raises(SimilarityError, match="just being saved"):
        session.project.open(other, ask=True)
    go_on.set()
    session.wait(PATIENCE)
    assert path.exists()


def test_a_project_that_is_being_opened_is_not_given_up_for_another(
    make_session, saved, folder, tmp_path, monkeypatch
):
    from napari_dinov3_sim.session.project import projects

    path, _ = saved
    session, go_on, read = make_session(runner=ThreadRunner()), threading.Event(), []

    def slow(path, check):
        assert go_on.wait(PATIENCE)
        return read_project(path, check)

    read_project = projects.read_project
    monkeypatch.setattr(projects, "read_project", slow)
    session.viewer.add_image(np.zeros((40, 50)), name="made")
    session.project.open(path)
    with pytest.raises(SimilarityError, match="just being opened"):
        session.project.open(path)
    with pytest.raises(SimilarityError, match="just being opened"):
        session.project.save(path)
    # Whoever hears that it is open may save.
    session.project.done.connect(lambda _: read or read.append(session.project.save(path)))
    go_on.set()
    session.wait(PATIENCE)
    assert len(session.images) == 3
    assert len(reopen(make_session, path).images) == 3


# --- nothing is lost ---------------------------------------------------------------------------


def test_what_is_no_project_is_not_replaced(make_session, folder, tmp_path):
    session = make_session()
    open_file(session, folder / "day 1" / "a.tif")
    mine = tmp_path / "mine.zip"
    mine.write_bytes(b"somebody's data")
    with pytest.raises(StoreError, match=r"is no project, so it is not replaced; choose another"):
        save(session, mine)
    assert mine.read_bytes() == b"somebody's data"
    save(session, mine, overwrite=True)
    save(session, mine)  # it is one now
    assert len(reopen(make_session, mine).images) == 1


def test_a_full_disk_loses_nothing(make_session, folder, tmp_path, monkeypatch):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.viewer.add_image(np.asarray(image.data) + 0.5, name="made")
    session.wait()
    path = save(session, tmp_path / "p.dinov3sim.zip")
    before = path.read_bytes()
    write = zipfile._ZipWriteFile.write
    for full_after in range(3):  # header and pixels of an array, and the description
        left = iter(range(full_after))

        def refused(self, data, left=left):
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(self, data)

        with monkeypatch.context() as patched:
            patched.setattr(zipfile._ZipWriteFile, "write", refused)
            session.project.save(path)
            with pytest.raises(StoreError, match=r"No space left on device\); free some space"):
                session.wait()
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []
    assert len(session.images) == 2


def test_a_folder_that_cannot_be_written_to(make_session, folder, tmp_path, monkeypatch):
    session = make_session()
    open_file(session, folder / "day 1" / "a.tif")

    def refused(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refused)
    with pytest.raises(StoreError, match="change its permissions or choose another folder"):
        save(session, tmp_path / "p.dinov3sim.zip")


def test_a_folder_that_is_not_there(make_session, folder, tmp_path):
    session = make_session()
    open_file(session, folder / "day 1" / "a.tif")
    with pytest.raises(StoreError, match=r"there is no folder .*; make it or choose another"):
        save(session, tmp_path / "none" / "p.dinov3sim.zip")
    assert len(session.images) == 1


def test_a_damaged_project_changes_nothing(make_session, saved, folder):
    path, _ = saved
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    session = make_session()
    open_file(session, folder / "colour.tif")
    session.wait()
    before = [layer.unique_id for layer in session.viewer.layers]
    session.project.open(path)
    with pytest.raises(StoreError, match=r"is damaged \(.*\); copy it again") as raised:
        session.wait()
    assert "\n" not in str(raised.value)
    assert [layer.unique_id for layer in session.viewer.layers] == before


def test_a_project_is_cancelled(make_session, folder, tmp_path, rng):
    """Also while it waits for an answer; nothing is written then."""
    session = make_session()
    session.viewer.add_image(rng.normal(size=(40, 50)), name="made")
    path = tmp_path / "p.dinov3sim.zip"
    session.project.save(path, include=None)
    session.wait()
    session.cancel()
    session.project.include(True)
    session.wait()
    assert not path.exists()
    session.project.progressed.connect(lambda _: session.cancel())
    session.project.save(path)
    session.wait()
    assert not path.exists()
