"""A user's mistakes: exit code 2 and one line that names the cure, before any long work."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_dinov3_sim.backbones import DEFAULT_MODEL, GatedModelError, OfflineError, loading
from napari_dinov3_sim.cli.commands import similarity
from napari_dinov3_sim.cli.output import files as outputs
from napari_dinov3_sim.cli.parser import main

CLICK = ("--at", 5, 5)
OUT = ("--out", "out")
BUILTIN = ("--model", "builtin")


@pytest.fixture
def untouched(monkeypatch):
    """Fail if a model is loaded: the mistake should have been found before."""

    def load(*_args, **_options):
        raise AssertionError("loaded a model")

    monkeypatch.setattr(loading, "load_backbone", load)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: command"),
        (("find",), "invalid choice: 'find'"),
        (("similarity",), "arguments are required: --out"),
        (("similarity", *CLICK, *OUT), "arguments are required: QUERY"),
        (("similarity", "gray.png", *CLICK), "arguments are required: --out"),
        (("similarity", "gray.png", "--at", 5, *OUT), "--at: expected 2 arguments"),
        (("similarity", "gray.png", "--at", "x", 5, *OUT), "'x' is not a number of pixels"),
        (("similarity", "gray.png", "--at", "nan", 5, *OUT), "'nan' is not a number"),
        (("similarity", "gray.png", "--at", 1, "inf", *OUT), "'inf' is not a number"),
        (("similarity", "gray.png", *CLICK, *OUT, "--dtype", "int8"), "invalid choice: 'int8'"),
        (("similarity", "gray.png", *CLICK, *OUT, "--fast"), "unrecognized arguments: --fast"),
        (("embed", *OUT), "arguments are required: IMAGE"),
        (("models", "gray.png"), "unrecognized arguments: gray.png"),
    ],
)
def test_wrong_usage(cli, folder, untouched, arguments, words):
    line = cli(*arguments).refusal
    assert words in line
    assert "--help" in line


@pytest.mark.parametrize("point", [(70, 0), (0, 50), (-1, 0), (0, -0.5), (1e9, 1)])
def test_a_point_outside(cli, folder, untouched, point):
    line = cli("similarity", "gray.png", "--at", *point, *OUT).refusal
    assert "choose x from 0 to 69 and y from 0 to 49" in line
    assert not (folder / "out").exists()


def test_an_image_that_cannot_be_read_is_named_first(cli, folder, untouched):
    (folder / "empty").mkdir()
    for name, words in [
        ("gone.png", "gone.png does not exist"),
        ("empty", "empty is a folder without images"),
    ]:
        assert words in cli("similarity", "gray.png", *CLICK, name, *OUT).refusal
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("command", "query"), [("similarity", "lost.png"), ("search", "lost.query.safetensors")]
)
def test_everything_that_is_not_there_is_told_at_once(cli, folder, untouched, command, query):
    click = CLICK if command == "similarity" else ()
    (folder / "empty").mkdir()
    names = ("gone.png", "gray.png", "*.jpg", "gone.png", "empty")
    result = cli(command, query, *names, *click, *OUT)
    wrong = [f"{query} does not exist", "gone.png does not exist", "No image matches *.jpg"]
    wrong += ["gone.png does not exist", "empty is a folder without images"]
    lines = result.err.splitlines()
    assert (result.code, result.out, len(lines)) == (2, "", len(wrong))
    for line, words in zip(lines, wrong, strict=True):
        assert line.startswith(f"napari-dinov3-sim: error: {words}")
    assert not (folder / "out").exists()


def test_a_query_that_cannot_be_read(cli, folder, untouched):
    (folder / "notes.png").write_text("no image")
    line = cli("similarity", "notes.png", "gray.png", *CLICK, *OUT).refusal
    assert "notes.png is not an image" in line
    assert not (folder / "out").exists()


def test_a_file_in_the_place_of_the_folder(cli, folder, untouched):
    (folder / "out").touch()
    assert "out is a file, not a folder" in cli("similarity", "gray.png", *CLICK, *OUT).refusal
    result = cli("embed", "gray.png", "--out", "out/deeper")
    assert "out/deeper cannot be written (Not a directory)" in result.refusal
    assert "out is a file" in cli("demo", "--no-gui", *OUT).refusal


def test_a_folder_without_permission(cli, folder, untouched, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(outputs.tempfile, "TemporaryFile", refuse)  # root may write everywhere
    line = cli("similarity", "gray.png", *CLICK, *OUT).refusal
    assert "out cannot be written (Permission denied)" in line


@pytest.fixture
def full_disk(monkeypatch):
    def refuse(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("napari_dinov3_sim.store.atomic_files.Path.replace", refuse)


def test_a_full_disk(cli, folder, full_disk):
    line = cli("similarity", "gray.png", *CLICK, *OUT, *BUILTIN).refusal
    assert "gray.cosine.tif cannot be written (No space left on device)" in line
    assert not (folder / "out").exists()
    line = cli("embed", "gray.png", *OUT, *BUILTIN).refusal
    assert "No space left on device" in line
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("dinov3-vits17", "perhaps dinov3-vits16 is meant"),
        ("./gone", "no such file or folder"),
        ("empty-folder", "empty-folder"),
        ("", "models` lists"),
    ],
)
def test_a_model_that_does_not_exist(cli, folder, model, words):
    (folder / "empty-folder").mkdir()
    assert words in cli("similarity", "gray.png", *CLICK, *OUT, "--model", model).refusal


def test_a_weights_file_of_something_else(cli, folder):
    save_file({"fc.weight": torch.zeros(3, 3)}, folder / "other.safetensors")
    line = cli("embed", "gray.png", *OUT, "--model", "other.safetensors").refusal
    assert "Cannot load other" in line


def test_a_weights_file_that_is_damaged(cli, folder):
    (folder / "half.safetensors").write_bytes(b"\x10\x00\x00")
    assert "half" in cli("embed", "gray.png", *OUT, "--model", "half.safetensors").refusal


def test_a_device_that_is_not_here(cli, folder):
    line = cli("similarity", "gray.png", *CLICK, *OUT, "--model", "./gone", "--device", "tpu")
    assert "tpu" in line.refusal


@pytest.mark.parametrize("error_type", [OfflineError, GatedModelError])
@pytest.mark.parametrize("command", ["similarity", "embed"])
def test_the_default_model_cannot_be_had(cli, folder, monkeypatch, error_type, command):
    def refuse(model, **_options):
        raise error_type(model, "the hub does\nnot answer", "connect to the internet")

    monkeypatch.setattr(loading, "load_backbone", refuse)
    click = CLICK if command == "similarity" else ()
    line = cli(command, "gray.png", *click, *OUT).refusal
    assert f"Cannot load {DEFAULT_MODEL}: the hub does not answer; connect" in line
    assert line.endswith("--model builtin.")


def test_a_folder_of_embeddings_that_does_not_exist(cli, folder, untouched):
    line = cli("similarity", "gray.png", *CLICK, *OUT, "--embeddings", "gone").refusal
    assert "There is no folder gone" in line


def test_an_image_that_changes_in_the_meantime(cli, folder, monkeypatch, picture):
    real = similarity._search

    def search_and_change(*arguments):
        results = real(*arguments)
        np.save("query.npy", picture(8, 8))
        return results

    monkeypatch.setattr(similarity, "_search", search_and_change)
    np.save("query.npy", picture(32, 32))
    result = cli("similarity", "query.npy", *CLICK, *OUT, *BUILTIN)
    assert "query.npy was changed in the meantime" in result.refusal
    assert not (folder / "out").exists()


def test_the_unforeseen_is_one_line_with_its_type(cli, folder, monkeypatch):
    def fail(_path, how):
        raise RuntimeError("out of\nsomething")

    monkeypatch.setattr(similarity, "inspect_file", fail)
    result = cli("similarity", "gray.png", *CLICK, *OUT)
    assert result.code == 1
    assert result.err == ("napari-dinov3-sim: error: unexpected RuntimeError: out of something\n")


def test_ctrl_c(cli, folder, monkeypatch):
    def interrupt(_path, how):
        raise KeyboardInterrupt

    monkeypatch.setattr(similarity, "inspect_file", interrupt)
    result = cli("similarity", "gray.png", *CLICK, *OUT)
    assert result.code == 130
    assert result.err.count("\n") == 1
    assert "interrupted" in result.err


@pytest.mark.parametrize("arguments", [["--help"], ["similarity", "--help"], ["demo", "-h"]])
def test_help(capsys, arguments):
    assert main(arguments) == 0
    assert "usage: napari-dinov3-sim" in capsys.readouterr().out
