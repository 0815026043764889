"""Files that are not open: found by their embeddings in a folder, shown, opened when judged."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from skimage.io import imsave

from napari_dinov3_sim import Recipe, create_patch_image_state
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import ArraySource
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.gallery import stored_files
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.store import DiskStore
from napari_dinov3_sim.store.digest import digest_of
from patience import PATIENCE

from ..brute_force import PATCH, PatchProjection, reference_embeddings, reference_window
from ..test_removed_layers import LaterRunner

pytestmark = pytest.mark.slow


def stored(pixels, folder, name, backbone):
    """Embed an image as the command line does."""
    source = ArraySource(pixels, channels_last=pixels.ndim == 3, name=name)
    scan = scan_pixels(source)
    state = create_patch_image_state(source, backbone, window=scan.window)
    digest = digest_of(scan.digest, backbone.fingerprint, scan.window, Recipe())
    DiskStore(folder, must_write=True).put(digest, state, name)


@pytest.fixture(scope="module", autouse=True)
def _readers_of_napari():
    """A viewer model alone, without a window, has none."""
    from napari.plugins import _initialize_plugins

    _initialize_plugins()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "embeddings"


@pytest.fixture
def files(tmp_path, folder, backbone, rng):
    """Three grayscale files with embeddings and one without."""
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"file{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        pixels = rng.integers(0, 255, (112, 144)).astype(np.uint8)
        imsave(path, pixels, check_contrast=False)
        if number < 3:
            stored(pixels, folder, path.stem, backbone)
    return paths


@pytest.fixture
def image(viewer, session, rng):
    image = viewer.add_image(rng.integers(0, 255, (112, 144)).astype(np.uint8), name="open")
    session.add_query(image, 40, 40)
    return image


@pytest.fixture
def told(session):
    sentences = []
    session.noticed.connect(sentences.append)
    return sentences


def names(session):
    return {match.image for match in session.gallery.matches}


def test_files_are_searched_with_the_present_question(session, image, files, folder, told):
    session.gallery.show("best", 30)
    session.gallery.add_files(files[0].parent, folder)
    assert "3 of 4 files have embeddings" in told[-1]
    assert "file3.png is not embedded" in told[-1]
    session.gallery.show("best", 30)
    assert names(session) == {"open", "file0.png", "file1.png", "file2.png"}
    match = next(m for m in session.gallery.matches if m.path is not None)
    assert match.path in files[:3]
    assert match.source == match.path
    from skimage.io import imread

    mine = reference_embeddings(image.data, *reference_window(image.data))
    query = mine[40 // PATCH, 40 // PATCH]
    there = imread(match.path)
    vectors = reference_embeddings(there, *reference_window(there))
    expected = float(vectors[match.id.row, match.id.column] @ query)
    assert match.score == pytest.approx(expected, abs=1e-4)


def test_files_are_shown_anew_though_places_are_judged(session, image, files, folder):
    session.gallery.show("teach", 30)
    judged = session.gallery.matches[0]
    session.gallery.judge(judged, right=True)
    session.gallery.show_files(files, folder)
    assert session.gallery.order == "best"
    assert names(session) == {"open", "file0.png", "file1.png", "file2.png"}
    scores = [match.score for match in session.gallery.matches]
    assert scores == sorted(scores, reverse=True)
    assert judged.id not in {match.id for match in session.gallery.matches}
    assert not session.gallery.is_looking


def test_old_places_are_not_shown_while_files_are_looked_for(viewer, backbone, files, folder, rng):
    """With a runner of its own, so that there is a time in between."""
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    image = viewer.add_image(rng.integers(0, 255, (112, 144)).astype(np.uint8), name="open")
    session.add_query(image, 40, 40)
    session.gallery.show("best", 30)
    session.wait(PATIENCE)
    session.gallery.judge(session.gallery.matches[0], right=True)
    session.wait(PATIENCE)
    session.gallery.show_files(files, folder)
    assert session.gallery.is_looking
    assert session.gallery.matches == ()
    session.wait(PATIENCE)
    assert names(session) == {"open", "file0.png", "file1.png", "file2.png"}
    session.close()


def test_files_that_are_open_are_counted(session, viewer, image, files, folder, told):
    viewer.open(str(files[1]), plugin="napari")
    session.gallery.show_files(files, folder)
    assert "2 of 3 files have embeddings" in told[-1]
    assert told[-1].endswith("1 more file is open in napari, and searched there if ticked.")
    viewer.open([str(files[0]), str(files[2]), str(files[3])], plugin="napari")
    count = len(told)
    session.gallery.show_files(files, folder)
    assert not any("embeddings" in one for one in told[count:])
    assert "file2" in names(session)
    assert "file2.png" not in names(session)


def test_files_follow_what_is_judged(session, image, files, folder):
    session.gallery.add_files(files, folder)
    session.gallery.show("best", 30)
    before = {m.id: m.score for m in session.gallery.matches if m.path is not None}
    mine = next(m for m in session.gallery.matches if m.path is None)
    session.gallery.judge(mine, right=False)
    after = {m.id: m.score for m in session.gallery.matches if m.path is not None}
    assert before.keys() == after.keys()
    assert all(before[one] != after[one] for one in before)


@pytest.mark.parametrize("right", [True, False])
def test_judging_a_match_opens_its_file_and_sets_the_point_there(
    session, viewer, image, files, folder, right
):
    session.gallery.add_files(files, folder)
    session.gallery.show("best", 30)
    before = session.gallery.matches
    number = next(n for n, m in enumerate(before) if m.path is not None)
    match = before[number]
    session.gallery.judge(match, right=right)
    after = session.gallery.matches
    opened = next(layer for layer in viewer.layers if layer.name == match.path.stem)
    assert after[number].source == opened.unique_id
    assert after[number].judgement is right
    assert after[number].box == match.box
    assert [(m.id.row, m.id.column) for m in after] == [(m.id.row, m.id.column) for m in before]
    left, top, right_, bottom = match.box
    np.testing.assert_allclose(
        session.queries.data[-1], ((top + bottom - 1) / 2, (left + right_ - 1) / 2)
    )
    assert match.path not in {m.path for m in after}, "it is not searched twice"
    session.gallery.next_round()
    assert not {(m.source, m.id.row, m.id.column) for m in after} & {
        (m.source, m.id.row, m.id.column) for m in session.gallery.matches
    }


def test_going_to_a_match_opens_its_file(session, viewer, image, files, folder):
    session.gallery.add_files(files[1], folder)
    session.gallery.show("best", 30)
    match = next(m for m in session.gallery.matches if m.path is not None)
    session.gallery.go_to(match)
    opened = next(layer for layer in viewer.layers if layer.name == "file1")
    left, top, right, bottom = match.box
    centre = opened.world_to_data(np.array(viewer.scene.camera.center[-2:]))
    np.testing.assert_allclose(centre, ((top + bottom - 1) / 2, (left + right - 1) / 2), atol=0.51)


def test_pictures_of_files_are_read_from_them(session, image, files, folder):
    from skimage.io import imread

    session.gallery.add_files(files[0], folder)
    session.gallery.show("best", 50)
    match = next(
        m
        for m in session.gallery.matches
        if m.path is not None and m.id.row in range(2, 5) and m.id.column in range(2, 6)
    )
    session.gallery.thumbnail(match, 5 * PATCH)
    picture = session.gallery.thumbnail(match, 5 * PATCH)
    left, top, *_ = match.box
    pixels = imread(match.path).astype(float)
    low, high = reference_window(imread(match.path))
    seen = pixels[top - 32 : top + 48, left - 32 : left + 48]
    drawn = 255 * np.clip((seen - low) / (high - low), 0, 1)
    np.testing.assert_allclose(picture[:28, :28, 0], drawn[:28, :28], atol=2)


def test_a_stack_in_colour_is_searched_plane_by_plane(
    session, viewer, image, tmp_path, folder, backbone, rng
):
    import tifffile

    stack = rng.integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="rgb")
    for plane in (0, 2):
        stored(stack[plane], folder, f"stack {plane}", backbone)
    session.gallery.add_files(tmp_path / "stack.tif", folder)
    session.gallery.show("best", 60)
    found = [m for m in session.gallery.matches if m.path is not None]
    assert {m.plane.indices for m in found} == {(0,), (2,)}
    match = next(m for m in found if m.plane.indices == (2,))
    session.gallery.judge(match, right=True)
    (judged,) = [m for m in session.gallery.matches if m.judgement is not None]
    assert (judged.plane.indices, judged.path) == ((2,), None)
    assert viewer.dims.current_step[0] != 2, "the view stays where it is"


@pytest.mark.parametrize("runner", [InlineRunner, LaterRunner])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("judged", ["first", "last"])
def test_channels_of_a_file_are_judged_one_by_one_as_they_are_searched(
    viewer, tmp_path, folder, backbone, rng, runner, count, judged, monkeypatch
):
    """When their file is opened, they are not merged: a match is one of its channel."""
    import tifffile

    read = stored_files.read_file
    # Which of the readers napari takes first differs from one environment to another.
    monkeypatch.setattr(stored_files, "read_file", lambda path: read(path, "napari-dinov3-sim"))
    pixels = rng.integers(0, 9999, (count, 64, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cells.ome.tif", pixels, metadata={"axes": "CYX"})
    for channel in pixels:
        stored(channel, folder, "cells", backbone)
    with closing(SimilaritySession(viewer, backbone=backbone, runner=runner())) as session:
        image = viewer.add_image(rng.integers(0, 255, (112, 144)).astype(np.uint8), name="open")
        session.wait()
        session.add_query(image, 40, 40)
        session.wait()
        session.gallery.add_files(tmp_path / "cells.ome.tif", folder)
        session.gallery.show("best", 90)
        session.wait()
        number = 0 if judged == "first" else count - 1
        name = f"cells.ome.tif [{number}]"
        before = session.gallery.matches
        at = next(n for n, match in enumerate(before) if match.image == name)
        session.gallery.judge(before[at], right=True)
        session.wait()
        match = session.gallery.matches[at]
        opened = viewer.layers[match.image]
        np.testing.assert_array_equal(opened.data, pixels[number])
        assert match.source == opened.unique_id
        assert match.judgement is True
        assert session.gallery.counts.right == 1
        assert len(session.gallery.matches) == len(before)
        assert session.merged == {}
        assert session.auto_merge
        others = viewer.add_image(pixels, channel_axis=0, name="others")
        session.wait()
        assert list(session.merged) == [others[0]]


def test_embeddings_of_another_model_are_not_used(session, image, files, folder, told):
    session.gallery.show("best", 5)
    session.set_model(PatchProjection("projection-2", sign=-1.0))
    session.gallery.add_files(files, folder)
    assert "0 of 4 files" in told[-1]
    session.set_model(PatchProjection())
    assert "3 of 4 files" in told[-1]


def test_what_cannot_be_searched_is_said(session, image, tmp_path, folder, told):
    with pytest.raises(SimilarityError, match="no files that are not open"):
        session.gallery.add_files([], folder)
    (tmp_path / "broken.npy").write_bytes(b"no picture")
    session.gallery.add_files([tmp_path / "broken.npy"], folder)
    assert "broken.npy cannot be read" in told[-1]


def test_before_the_model_is_known_files_cannot_be_found(viewer, tmp_path):
    def load(model, report):
        raise AssertionError("nothing asks for it")

    session = SimilaritySession(viewer, backbone="tiny", load_model=load)
    with pytest.raises(SimilarityError, match="not loaded yet"):
        session.gallery.add_files([tmp_path / "a.png"], tmp_path)
    session.close()


def test_an_embedding_that_goes_takes_its_matches_along(session, image, files, folder):
    session.gallery.add_files(files, folder)
    session.gallery.show("best", 30)
    for path in folder.glob("file1*"):
        path.unlink()
    session.add_query(image, 100, 100)
    assert names(session) == {"open", "file0.png", "file2.png"}


def test_a_closed_session_reads_no_more_files(viewer, backbone, files, folder, rng):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    image = viewer.add_image(rng.integers(0, 255, (112, 144)).astype(np.uint8))
    session.add_query(image, 40, 40)
    session.wait(PATIENCE)
    session.gallery.add_files(files, folder)
    session.gallery.show("best", 30)
    session.wait(PATIENCE)
    assert any(match.path is not None for match in session.gallery.matches)
    session.gallery.add_files(files, folder)
    session.close()
    assert not session.gallery.pending
