"""Paths as URIs and back, and the search for files that have moved."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.store.project.places import (
    absolute_uri,
    candidates,
    path_of_absolute,
    path_of_relative,
    relative_uri,
    search_folder,
)
from napari_dinov3_sim.store.project.records import FileRecord

NAMES = [
    "a.tif",
    "a b.tif",
    "50 %.tif",
    "é µ.tif",
    "a#b?c&d.tif",
    "..hidden",
    "file:x",
    "日本.tif",
]
if sys.platform == "linux":
    NAMES += [os.fsdecode(b"caf\xe9 \xff.tif"), "back\\slash.tif", "line\nbreak.tif", "a:b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folder", ["", "sub", "../other", "../../up and down"])
def test_paths_come_back(tmp_path, name, folder):
    home = tmp_path / "x" / "projects"
    path = Path(os.path.normpath(home / folder / name))
    relative = relative_uri(path, home)
    assert relative.isascii()
    assert Path(os.path.normpath(path_of_relative(relative, home))) == path
    absolute = absolute_uri(path)
    assert absolute.isascii()
    assert path_of_absolute(absolute) == path


@pytest.mark.parametrize("uri", ["http://host/a.tif", "a.tif", "", "file://host/share/a.tif"])
def test_what_is_no_file_of_this_computer(uri):
    assert path_of_absolute(uri) is None


def record(absolute, relative=None):
    return FileRecord(relative, absolute, "napari", 0)


def test_where_a_file_may_be(tmp_path):
    (tmp_path / "a.tif").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.tif").touch()
    file = record((tmp_path / "a.tif").as_uri(), "b/a.tif")
    assert candidates(file, tmp_path) == [tmp_path / "b" / "a.tif", tmp_path / "a.tif"]
    assert candidates(record("file:///none", "none"), tmp_path) == []
    assert candidates(record("file:///a%00b", "a%00b"), tmp_path) == []
    assert candidates(record("file:///" + "x" * 3000, "x" * 3000), tmp_path) == []


def test_a_folder_is_searched_by_name_and_the_folders_above(tmp_path):
    for folder in ("new/day 1", "new/day 2", "new/x/day 1", "new/plate.zarr/0"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.tif").touch()
    one, other = record("file:///old/day%201/a.tif"), record("file:///old/day%202/a.tif")
    zarr, none = record("file:///old/plate.zarr"), record("file:///old/none.tif")
    found = search_folder(tmp_path, [one, other, zarr, none], lambda: None)
    assert found[one][0] in (tmp_path / "new/day 1/a.tif", tmp_path / "new/x/day 1/a.tif")
    assert found[other][0] == tmp_path / "new/day 2/a.tif"
    assert len(found[one]) == 3  # nothing in a Zarr folder
    assert found[zarr] == [tmp_path / "new/plate.zarr"]
    assert found[none] == []


def test_a_search_can_be_cancelled(tmp_path):
    def cancel():
        raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        search_folder(tmp_path, [record("file:///a.tif")], cancel)
