"""Which files are meant, and where their results may go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_dinov3_sim.core.errors import SimilarityError, StoreError
from napari_dinov3_sim.core.objects.sizes import Area
from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.session.file_search.folders import (
    ChosenFiles,
    check_folder,
    find_files,
    suggest_folder,
)
from napari_dinov3_sim.session.file_search.outputs import checked_outputs, output_options
from napari_dinov3_sim.session.file_search.record import (
    SearchFolder,
    SearchRecord,
    read_list,
    read_record,
    write_list,
)
from napari_dinov3_sim.session.file_search.settings import SearchSettings
from napari_dinov3_sim.session.objects.options import ObjectOptions

NAMES = ("10.npy", "9.npy", "-x %d.npy", "größe 木.npy", os.fsdecode(b"caf\xe9.npy"), "a\nb.npy")


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "my scans"
    (folder / "below").mkdir(parents=True)
    for name in (*NAMES, "below/other.npy"):
        np.save(folder / name, np.zeros((8, 8)))
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_folder_means_the_images_in_it(scans):
    files = find_files([scans])
    assert {file.name for file in files} == set(NAMES)
    assert files.index(scans / "9.npy") < files.index(scans / "10.npy")
    assert find_files([scans / "9.npy", scans]) == (
        scans / "9.npy",
        *(file for file in files if file.name != "9.npy"),
    )


def test_names_are_absolute(scans, monkeypatch):
    monkeypatch.chdir(scans)
    assert find_files([Path("-x %d.npy")]) == (scans / "-x %d.npy",)


def test_what_cannot_be_searched_is_told(scans, tmp_path):
    (tmp_path / "empty").mkdir()
    for path, why in (
        (tmp_path / "empty", "is a folder without images"),
        (tmp_path / "gone", "does not exist"),
        (tmp_path / ("x" * 300), "cannot be looked at"),
    ):
        with pytest.raises(InputError, match=why):
            find_files([path])
        assert why in ChosenFiles.at([path]).problem
    with pytest.raises(InputError, match="No image is chosen"):
        find_files([])


def test_a_file_that_cannot_be_opened_is_left_to_who_reads_it(scans, monkeypatch):
    real = Path.open

    def closed(self, *args, **options):
        if self.name == "10.npy":
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "open", closed)
    assert scans / "10.npy" in find_files([scans])


def test_results_go_beside_the_images(scans, tmp_path):
    files = find_files([scans])
    assert suggest_folder(files) == tmp_path / "my scans results"
    (tmp_path / "my scans results").mkdir()
    (tmp_path / "my scans results 2").touch()
    chosen = ChosenFiles.at([scans])
    assert (chosen.files, chosen.out) == (files, tmp_path / "my scans results 3")


def test_results_lie_within_where_nothing_can_be_written_beside(scans, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) == scans)
    assert suggest_folder([scans / "9.npy"]) == scans / "results"


def test_results_never_lie_where_they_would_be_searched(scans, tmp_path):
    files = find_files([scans])
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "link").symlink_to(scans)
    for out in (scans, tmp_path / "link", scans / "below" / ".."):
        with pytest.raises(SimilarityError, match="is where the images are"):
            check_folder(out, files)
    with pytest.raises(SimilarityError, match=r"lies in .*a\.zarr"):
        check_folder(tmp_path / "a.zarr" / "out", [tmp_path / "a.zarr"])
    check_folder(scans / "results", files)
    check_folder(tmp_path / "out", files)


def test_the_list_and_the_record_come_back_as_they_were(scans, tmp_path):
    folder, files = SearchFolder(tmp_path / "out"), find_files([scans])
    assert read_record(folder) is None
    write_list(files, folder)
    record = SearchRecord(("--model", "builtin", "--threshold=caf\udce9=0.4"), len(files))
    record.write(folder)
    assert (read_list(folder), read_record(folder)) == (files, record)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "other/1", "options": []}', "\x00"])
def test_a_damaged_record_is_told(tmp_path, content):
    folder = SearchFolder(tmp_path)
    folder.about.mkdir()
    folder.record.write_text(content)
    with pytest.raises(StoreError, match=r"search\.json cannot be read \(it is damaged\)"):
        read_record(folder)


def test_what_is_written_is_what_was_ticked():
    assert output_options(checked_outputs(["objects"])) == ("--maps", "none")
    exported = output_options(checked_outputs(["imagej", "geojson"]))
    assert exported == ("--maps", "none", "--no-labels", "--export", "geojson,imagej")
    both = output_options(checked_outputs(["peaks", "scores", "heatmaps"]))
    assert both == ("--maps", "all", "--no-labels", "--peaks")
    with pytest.raises(SimilarityError, match="called wine; choose from heatmaps"):
        checked_outputs(["wine"])
    with pytest.raises(SimilarityError, match="tick at least one"):
        checked_outputs([])


def settings(**objects):
    levels = {"cell": 0.1 + 0.2, "a=b": -1e-05}
    chosen = ObjectOptions(**objects)
    model = ("builtin", "cpu", "float32", 0.5, 2, "reflect")
    return SearchSettings(*model, levels, chosen, (-1e-05, 1))


def test_what_counts_as_an_object_reaches_the_command_line():
    """Read by the parser of the command line, which takes some numbers for options."""
    from napari_dinov3_sim.cli.output.files import OutputOptions
    from napari_dinov3_sim.cli.parser import _Parser, _search

    sizes = {"min_area": Area(1e-05, "um"), "max_area": Area(5000.5)}
    given = settings(outline="patches", split=True, **sizes)
    options = given.options(checked_outputs(["objects"]), ("cell", "a=b"))
    parser = _Parser()
    _search(parser)
    read = OutputOptions.of(parser.parse_intermixed_args(["q", "a.tif", "--out", "out", *options]))
    assert read.thresholds.by_class == {"cell": 0.1 + 0.2, "a=b": -1e-05}
    assert (read.objects.outline, read.objects.split) == ("patches", True)
    assert (read.objects.min_area, read.objects.max_area) == (*sizes.values(),)
    assert read.limits == (-0.00001, 1.0)


def test_of_maps_alone_nothing_depends_on_thresholds():
    options = settings(split=True).options(checked_outputs(["heatmaps"]), ("cell",))
    assert not {"--split", "--outline"} & set(options)
    assert not any(option.startswith("--threshold") for option in options)
