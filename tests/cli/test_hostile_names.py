"""Names of files may be anything that a file system takes; what prints or writes them copes."""

from __future__ import annotations

import csv
import json
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from napari_dinov3_sim.cli.output.files import class_parts, open_folder
from napari_dinov3_sim.cli.terminal import PlaneProgress, ProgressBars, note, say, say_table
from napari_dinov3_sim.core.text import file_name_part, printable, writable
from napari_dinov3_sim.store import write_atomically
from napari_dinov3_sim.store.peak_csv import PeakRow, save_peaks

pytestmark = pytest.mark.slow

NOT_UTF8 = os.fsdecode(b"caf\xe9")
NAMES = {
    "not UTF-8": NOT_UTF8,
    "all bytes": os.fsdecode(bytes(n for n in range(1, 256) if chr(n) not in "/.")[:230]),
    "long": "x" * 251,
    "long and wide": "é" * 125,
    "an escape": "a\x1b[2J\x1b]0;title\x07b",
    "a line break": "a\nnapari-dinov3-sim: error: b",
    "from right to left": "a\u202egpj.exe",
    "for no Windows": 'a:b*c?"<>|',
}
OPTIONS = ("--out", "out", "--model", "builtin")


@pytest.fixture(params=NAMES.values(), ids=NAMES)
def named(request, folder, picture):
    """Return the name of an image, beside one of a plain name."""
    name = f"{request.param}.npy"
    try:
        np.save(name, picture(64, 64))
    except OSError as error:  # this disk does not take it
        pytest.skip(str(error))
    np.save("plain.npy", picture(64, 64, seed=1))
    return name


def assert_plain(text):
    """Nothing in a text is obeyed by a terminal, and all of it is UTF-8."""
    text.encode()
    assert all(line == printable(line) for line in text.split("\n"))


COMMANDS = {
    "similarity": ("--at", 5, 5),
    "similarity --json": ("--at", 5, 5, "--json", "--peaks"),
    "similarity --peaks": ("--at", 5, 5, "--peaks", "--threshold", "otsu"),
    "similarity --class": ("--at", 5, 5, "--peaks", "--class", f"{NOT_UTF8}\x1b[2J"),
    "embed": (),
    "embed --json": ("--json",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_image_of_any_name(cli, folder, named, command):
    outcome = cli(command.split()[0], named, "plain.npy", *COMMANDS[command], *OPTIONS)
    assert outcome.code == 0, outcome.err
    assert_plain(outcome.out)
    assert_plain(outcome.err)
    for path in (folder / "out").iterdir():
        assert path.name == printable(path.name)
        if path.suffix == ".csv":
            list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    if "--json" in command:
        first, _ = json.loads(outcome.out)["images"]
        assert Path(first["image"]).samefile(named)


@pytest.mark.parametrize("command", ["similarity", "embed"])
def test_an_image_that_cannot_be_read(cli, folder, named, command):
    """Its name is in the message."""
    (folder / named).write_bytes(b"broken")
    outcome = cli(command, "plain.npy", named, *COMMANDS[command], *OPTIONS)
    assert outcome.code == 2
    assert_plain(outcome.out)
    assert_plain(outcome.err)


def test_a_query_saved_under_a_name_of_any_sort(cli, folder, named):
    saved = named.replace(".npy", ".qry")
    outcome = cli("similarity", named, "--at", 5, 5, *OPTIONS, "--save-query", saved)
    assert outcome.code == 0, outcome.err
    assert_plain(outcome.out)
    outcome = cli("search", saved, "plain.npy", *OPTIONS, "--peaks")
    assert outcome.code == 0, outcome.err
    assert_plain(outcome.out)


# --- names that are longer than any file's ------------------------------------------------------

TOO_LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("embed", TOO_LONG, "--out", "out", "--model", "builtin"),
        ("embed", "gray.png", "--out", TOO_LONG, "--model", "builtin"),
        ("embed", "gray.png", "--out", "out", "--model", f"./{TOO_LONG}"),
        ("embed", "gray.png", "--out", "out", "--model", f"{TOO_LONG}/{TOO_LONG}"),
        ("embed", "gray.png", "--out", "out", "--model", TOO_LONG),
        ("similarity", TOO_LONG, "--at", 5, 5, *OPTIONS),
        ("similarity", "gray.png", TOO_LONG, "--at", 5, 5, *OPTIONS),
        ("similarity", "gray.png", "--at", 5, 5, *OPTIONS, "--embeddings", TOO_LONG),
        ("similarity", "gray.png", "--at", 5, 5, *OPTIONS, "--save-query", TOO_LONG),
        ("similarity", "gray.png", "--at", 5, 5, *OPTIONS, "--save-query", f"{TOO_LONG}/q"),
        ("search", TOO_LONG, "gray.png", *OPTIONS),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)).replace(TOO_LONG, "…"),
)
def test_a_name_that_is_too_long_is_told_in_a_sentence(cli, folder, arguments):
    outcome = cli(*arguments)
    assert outcome.code == 2, outcome.err
    lines = outcome.err.splitlines()
    assert lines
    for line in lines:
        assert line.startswith("napari-dinov3-sim: error: ")
        assert "unexpected" not in line
        assert "space" not in line


# --- the functions ------------------------------------------------------------------------------


def test_a_name_is_cut_between_letters_and_cleaned():
    assert file_name_part("é" * 100, 41) == "é" * 20
    hostile = 'a/b\\c:d*e?f"g<h>i|j\x00\x1b\x9b\udce9\u202e'
    assert file_name_part(hostile, 100) == "a_b_c_d_e_f_g_h_i_j_____"


def test_text_is_escaped_where_it_must_be_and_only_there():
    plain = "Größe ½ – 木 “x” …"
    assert (printable(plain), writable(plain)) == (plain, plain)
    assert printable("\x1b\n\x9b\u202e\udce9\u2028") == r"\x1b\n\x9b\u202e\udce9\u2028"
    assert writable("a\n\udce9\ud800") == "a\n\\udce9\\ud800"


def test_everything_that_prints_is_plain(capsys, monkeypatch):
    hostile = "a\x1b[2J\nb\udce9"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    say(hostile)
    note(hostile)
    say_table([("image", "class"), (hostile, hostile)])
    with closing(PlaneProgress(1, 1.0)) as meter:
        meter.start(hostile, 1.0)
    with closing(ProgressBars()) as bars:
        bars.download(hostile, 0, 9)
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 3
    assert "a\x1b[2J" not in captured.out + captured.err
    assert "\udce9" not in captured.out + captured.err


def test_classes_of_any_name_have_parts_of_file_names():
    parts = class_parts(["木" * 100, "木" * 99, NOT_UTF8, "\x1b", "a/b"])
    assert len(set(parts)) == 5
    for part in parts:
        assert len(part.encode()) < 60
        assert part == printable(part)


def test_files_may_have_the_longest_names(tmp_path):
    write_atomically(tmp_path / ("x" * 255), b"content")
    folder = open_folder(tmp_path)
    assert folder.write("é" * 127, b"content").read_bytes() == b"content"


def test_peaks_of_an_image_whose_name_is_not_utf8(tmp_path):
    path = save_peaks([PeakRow(NOT_UTF8, NOT_UTF8, 1, 2, 0.5)], tmp_path / "p.csv")
    assert "caf\\udce9,caf\\udce9,1,2" in path.read_text(encoding="utf-8")
