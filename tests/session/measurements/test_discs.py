"""From a click to a table of twelve discs: by a session, and by the command line the same."""

from __future__ import annotations

import pytest

from discs import MeanIntensity, check_same, check_table, read_table, write_discs
from napari_dinov3_sim.backbones import loading
from napari_dinov3_sim.cli.parser import main
from napari_dinov3_sim.readers.reader import read_layers
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner


@pytest.fixture
def tables(viewer, tmp_path, monkeypatch):
    """Return the tables of both, and the discs, for so many planes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "load_backbone", lambda *_, **__: MeanIntensity())

    def make(planes):
        path = tmp_path / "discs.tif"
        discs = write_discs(path, planes)
        session = SimilaritySession(viewer, backbone=MeanIntensity(), runner=InlineRunner())
        for data, attributes, _ in read_layers(str(path)):
            viewer.add_image(data, **attributes)
        brightest = discs[-1]
        if planes > 1:
            viewer.dims.set_current_step(0, brightest.plane)
        session.all_planes = planes > 1
        x, y = round(brightest.x), round(brightest.y)
        session.add_query(viewer.layers["discs"], x, y)
        session.wait()
        session.results.labels()
        session.measurements.measure()
        session.wait()
        session.measurements.save_csv(tmp_path / "session.csv")
        session.measurements.save_summary_csv(tmp_path / "session_summary.csv")
        session.wait()
        session.close()
        click = ["similarity", "discs.tif", "--at", str(x), str(y)]
        click += ["--plane", str(brightest.plane)] if planes > 1 else []
        assert main([*click, "--model", "builtin", "--out", "out", "--measure"]) == 0
        return discs

    return make


@pytest.mark.parametrize("planes", [1, 3])
def test_twelve_discs_are_twelve_rows_either_way(tables, tmp_path, planes):
    discs = tables(planes)
    by_session = read_table(tmp_path / "session.csv")
    by_command = read_table(tmp_path / "out" / "discs.objects.csv")
    check_table(by_session, discs)
    check_table(by_command, discs)
    # In files of planes each plane is numbered from 1, in a Labels layer the planes go on.
    check_same(by_session, by_command, but=("label",) if planes > 1 else ())
    summaries = [
        read_table(path)
        for path in (tmp_path / "session_summary.csv", tmp_path / "out" / "summary.csv")
    ]
    check_same(*summaries)
    assert summaries[0][0]["objects"] == "12"
    assert summaries[0][0]["planes"] == str(planes)
