"""Files in use, paths too long, names that Windows refuses: what other systems do, imitated."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from napari_dinov3_sim.cli.errors import OutputError
from napari_dinov3_sim.cli.output.files import OutputFolder
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.objects.object_table import ObjectTable
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery
from napari_dinov3_sim.exchange.files import write_json, written
from napari_dinov3_sim.session.file_search.record import SearchFolder, SearchRecord
from napari_dinov3_sim.store import DiskStore, atomic_files, save_state
from napari_dinov3_sim.store.object_csv import save_objects
from napari_dinov3_sim.store.peak_csv import save_peaks
from napari_dinov3_sim.store.project.archive import write_project
from napari_dinov3_sim.store.query_files import save_query

from .project.projects import make_project
from .states import make_state

SHARING_VIOLATION, ACCESS_DENIED, NO_PATH, INVALID_NAME = 32, 5, 3, 123


def save_a_query(path):
    vectors = np.ones((1, 4), np.float32) / 2
    cell = SavedClass("cell", "#ff8800", vectors, vectors[:0])
    save_query(SavedQuery((cell,), "auto", "m", "m:1", 16), path)


def save_a_project(path):
    write_project(*make_project(), path, overwrite=True)


def save_a_folder(path):
    """As OME-Zarr is written: a folder, in the place of an older one of ours."""
    if path.is_file():
        path.unlink()
    with written(path, "objects", overwrite=True) as part:
        part.mkdir()
        (part / "zarr.json").write_text('{"creator": "napari-dinov3-sim"}')


TABLE = ObjectTable({"label": np.array([1])}, {"label": ""})

WRITERS = {
    "embeddings": lambda path: save_state(make_state(), path),
    "query": save_a_query,
    "project": save_a_project,
    "peaks": lambda path: save_peaks([], path),
    "objects": lambda path: save_objects(TABLE, path),
    "judgements": lambda path: write_json([], path, "judgements", overwrite=True),
    "search": lambda path: SearchRecord((), 1).write(SearchFolder(path.parent)),
    "result": lambda path: OutputFolder(path.parent).write(path.name, b"new"),
    "folder": save_a_folder,
}


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """Return what writes a file, and the folder whose only file it is."""
    path = tmp_path / "a.dinov3sim.zip"
    return lambda: WRITERS[request.param](path), tmp_path


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def of_windows(number, kind=PermissionError, code=errno.EACCES):
    """Return an error as Windows raises it; other systems know no such number."""
    error = kind(code, "The process cannot access the file")
    error.winerror = number
    return error


@pytest.fixture
def waits(monkeypatch):
    """Nothing is waited for; what would have been is noted."""
    noted = []
    monkeypatch.setattr(atomic_files.time, "sleep", noted.append)
    return noted


@pytest.fixture
def in_use(monkeypatch):
    """Return how to let files be in use for so many tries."""

    def use(tries, make_error):
        real, left = Path.replace, [tries]

        def replace(self, target):
            if left[0]:
                left[0] -= 1
                raise make_error()
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        return left

    return use


def test_a_file_in_use_for_a_moment_is_replaced(write, waits, in_use):
    call, folder = write
    call()
    names = set(content(folder))
    in_use(2, lambda: of_windows(SHARING_VIOLATION))
    call()
    assert waits == list(atomic_files.WAITS[:2])
    assert set(content(folder)) == names


@pytest.mark.parametrize(
    "make_error",
    [
        lambda: of_windows(SHARING_VIOLATION),
        lambda: of_windows(ACCESS_DENIED),
        lambda: OSError(errno.EBUSY, os.strerror(errno.EBUSY)),
        lambda: OSError(errno.ETXTBSY, os.strerror(errno.ETXTBSY)),
    ],
    ids=["sharing violation", "access denied", "EBUSY", "ETXTBSY"],
)
def test_a_file_that_stays_in_use_is_as_it_was_and_that_is_told(write, waits, in_use, make_error):
    call, folder = write
    call()
    before = content(folder)
    in_use(100, make_error)
    with pytest.raises((StoreError, OutputError)) as caught:
        call()
    sentence = str(caught.value)
    assert "cannot be written" in sentence
    assert "close it in the program that has it open" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert waits == list(atomic_files.WAITS)
    assert sum(waits) < 1
    assert content(folder) == before
    assert not [path for path in folder.rglob("*") if path.name.endswith(atomic_files.PART)]


def test_another_error_is_told_at_once(tmp_path, waits, in_use):
    in_use(1, lambda: PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    with pytest.raises(StoreError, match="change its permissions or choose another folder"):
        save_peaks([], tmp_path / "peaks.csv")
    assert waits == []


def test_a_file_is_never_renamed_onto_another_drive(write, monkeypatch):
    """Each folder counts as a drive of its own, but for the folders within it."""
    call, folder = write
    real, drives = Path.replace, []

    def replace(self, target):
        if target.parent not in self.parents and self.parent not in target.parents:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        drives.append(self)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    call()
    call()
    assert len(drives) >= 2
    assert content(folder)


def test_a_damaged_file_in_use_stays_and_is_told(tmp_path, waits, in_use):
    told = []
    store = DiskStore(tmp_path, warn=told.append)
    path = store.put("ab" * 32, make_state())
    path.write_bytes(path.read_bytes()[:-1])
    in_use(100, lambda: of_windows(SHARING_VIOLATION))
    assert store.get("ab" * 32) is None
    assert path.exists()
    assert len(told) == 1
    assert "is damaged" in told[0]


# --- paths and names ----------------------------------------------------------------------------


def test_a_path_that_is_too_long_for_windows_is_told_as_such(tmp_path, monkeypatch):
    path = tmp_path / f"{'n' * (atomic_files.LONGEST_ON_WINDOWS - len(str(tmp_path)) - 10)}.csv"

    def refuse(*_args, **_options):
        raise of_windows(NO_PATH, FileNotFoundError, errno.ENOENT)

    monkeypatch.setattr(atomic_files.tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(StoreError, match=r"259 characters of Windows.*a shorter name or a folder"):
        save_peaks([], path)
    with pytest.raises(StoreError) as caught:
        save_peaks([], tmp_path / "short.csv")
    assert "259" not in str(caught.value)


def test_a_name_that_windows_does_not_take_is_told_as_such(tmp_path, waits, in_use):
    in_use(1, lambda: of_windows(INVALID_NAME, OSError, errno.EINVAL))
    with pytest.raises(StoreError, match="choose another name or choose another folder"):
        save_peaks([], tmp_path / "a.csv")


def test_what_is_written_beside_an_embedding_fits_where_the_embedding_does(tmp_path):
    """Windows takes 259 characters; the longest name of an embedding has to fit into a home."""
    home = r"C:\Users\firstname.lastname\AppData\Local\napari-dinov3-sim\Cache\embeddings"
    path = DiskStore(tmp_path).put("ab" * 32, make_state(), "x" * 300)
    with atomic_files.replacing(path) as part:
        beside = part.relative_to(tmp_path)
        part.touch()
    assert path.parent == tmp_path
    assert part.name == path.name
    assert len(home) + 1 + len(path.name) <= atomic_files.LONGEST_ON_WINDOWS
    assert len(str(beside)) - len(path.name) <= 40
