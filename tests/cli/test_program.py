"""The program as it is called: `models`, `demo`, the terminal, and a process of its own."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from skimage.io import imread

import napari_dinov3_sim
from napari_dinov3_sim.backbones import DEFAULT_MODEL, list_models
from napari_dinov3_sim.cli import parser, terminal
from napari_dinov3_sim.cli.commands import demo
from napari_dinov3_sim.sample_data import DEMO_PAIRS
from patience import PATIENCE


def call(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "napari_dinov3_sim", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
    )


def test_version(cli):
    result = cli("--version")
    assert result.code == 0
    assert result.out == f"napari-dinov3-sim {napari_dinov3_sim.__version__}\n"


def test_models_as_json(cli):
    report = cli("models", "--json").json
    assert report["default"] == DEFAULT_MODEL
    assert [entry["name"] for entry in report["models"]] == [m.name for m in list_models()]
    builtin = report["models"][0]
    assert builtin["available"]
    assert "not a DINOv3 checkpoint of Meta" in builtin["note"]


def test_models_as_a_table(cli):
    out = cli("models").out
    for record in list_models():
        assert record.name in out
    assert "first look" in out
    assert "https://ai.meta.com" in out


def test_a_reader_that_is_gone_is_no_error_on_windows_either(cli, monkeypatch):
    def write(_arguments):
        raise OSError(errno.EINVAL, "Invalid argument")  # what its pipes say then

    monkeypatch.setattr(parser, "_run", write)
    assert cli("models").code == parser.FAILED
    monkeypatch.setattr(parser, "os", SimpleNamespace(name="nt"))
    result = cli("models")
    assert (result.code, result.err) == (parser.INTERRUPTED, "")


@pytest.mark.slow
def test_the_demo_writes_what_it_says(cli, folder):
    result = cli("demo", "--no-gui")
    assert (result.code, result.err) == (0, "")
    assert "not a DINOv3 checkpoint of Meta" in result.out
    for pair in DEMO_PAIRS:
        height, width = pair.images[0].shape[:2]
        assert imread(f"demo-output/{pair.name}-query.png").shape == (height, width, 3)
        assert imread(f"demo-output/{pair.name}-heatmaps.png").shape[0] == height
        cosine = tifffile.imread(f"demo-output/{pair.name}-1.cosine.tif")
        assert cosine.shape == (height, width)
        x, y = pair.click
        assert cosine[y, x] == pytest.approx(1, abs=1e-5)
        assert f"{pair.name}-heatmaps.png" in result.out


def test_without_qt_the_demo_says_how_to_get_the_window(capsys, monkeypatch, backbone):
    monkeypatch.setitem(sys.modules, "qtpy.QtWidgets", None)
    demo.open_window(DEMO_PAIRS[0], backbone)
    assert 'pip install "napari-dinov3-sim[all]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"}, False),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_where_there_is_a_screen(monkeypatch, platform, environment, expected):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert demo.has_screen() is expected


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_tiles(search, monkeypatch, picture):
    np.save("large.npy", picture(1100, 40))
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert search("large.npy").code == 0
    assert "Embedding large.npy" in screen.getvalue()


def test_a_terminal_shows_the_download(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with closing(terminal.ProgressBars()) as bars:
        bars.download("Downloading a", 0, 0)
        bars.download("Downloading a", 500_000, 1_000_000)
        bars.download("Downloading b", 1, 10)
    assert "Downloading a" in screen.getvalue()
    assert "Downloading b" in screen.getvalue()


def test_a_file_gets_no_bars(capsys):
    with closing(terminal.ProgressBars()) as bars:
        bars.download("Downloading a", 1, 2)
        bars.tiles("Embedding b")(1, 2)
    assert capsys.readouterr().err == ""


def test_a_name_that_the_terminal_cannot_show(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii", write_through=True))
    terminal.say("Zellen-ä-\udcff")
    assert raw.getvalue() == b"Zellen-\\xe4-\\udcff\n"


@pytest.mark.slow
def test_a_process_that_succeeds(folder):
    done = call(
        *("similarity", "gray.png", "--at", "5", "5", "rgb.png"),
        *("--out", "out", "--model", "builtin"),
        cwd=folder,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "out" / "rgb.heatmap.png").exists()


def test_a_process_that_refuses(folder):
    done = call("similarity", "gone.png", "--at", "5", "5", "--out", "out", cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "napari-dinov3-sim: error: gone.png does not exist; check the spelling and the folder.\n"
    )


@pytest.mark.slow
def test_a_process_without_the_default_model(folder):
    done = call(
        *("embed", "gray.png", "--out", "out"),
        cwd=folder,
        HF_HUB_OFFLINE="1",
        HF_HOME=str(folder / "hub"),
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert DEFAULT_MODEL in done.stderr
    assert "--model builtin" in done.stderr


def test_the_entry_point_answers_without_torch(folder):
    code = (
        "import sys; from napari_dinov3_sim.cli.parser import main; "
        "code = main(['similarity', '-h']); "
        "sys.exit(code or ('torch' in sys.modules or 'napari' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=folder, timeout=PATIENCE)
    assert done.returncode == 0
