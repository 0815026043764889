"""What a release consists of: one version, one list of dependencies, workflows that are pinned."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import napari_dinov3_sim
from napari_dinov3_sim.cli.reading.plugins import CURES

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
RECIPE = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8"))
PIXI = tomllib.loads((ROOT / "packaging/pixi/pixi.toml").read_text(encoding="utf-8"))
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
}


def script(name):
    """Return a module of the folder of scripts."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_release, check_links = script("check_release"), script("check_links")

# --- one version --------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path):
    """The files that name the version, in a folder of their own."""
    for name in ("pyproject.toml", *check_release.NAMED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_file_names_the_version_of_the_project():
    version = PROJECT["version"]
    assert check_release.problems(ROOT, version) == []
    assert napari_dinov3_sim.__version__ == version
    assert RECIPE["context"]["version"] == version
    assert PIXI["pypi-dependencies"]["napari-dinov3-sim"] == f">={version}"


@pytest.mark.parametrize("name", ["pyproject.toml", *check_release.NAMED])
def test_a_file_with_another_version_is_found(copy, name):
    version = PROJECT["version"]
    edit(copy / name, version, "9.8.7")
    assert f"{name} names version 9.8.7" in check_release.problems(copy, version)


def test_a_release_has_its_date_and_nothing_that_is_unreleased(copy):
    version = PROJECT["version"]
    log = copy / "CHANGELOG.md"
    text = log.read_text(encoding="utf-8")
    start, end = text.index("## [Unreleased]"), text.index(f"## [{version}]")
    log.write_text(f"{text[:start]}## [Unreleased]\n\n{text[end:]}", encoding="utf-8")
    assert check_release.problems(copy, version, released=True) == []
    edit(log, "## [Unreleased]\n", "## [Unreleased]\n\n- One more.\n")
    assert check_release.problems(copy, version) == []
    (wrong,) = check_release.problems(copy, version, released=True)
    assert "Unreleased" in wrong
    edit(copy / "CITATION.cff", "date-released: ", "date-released: 1")
    assert len(check_release.problems(copy, version, released=True)) == 2


def test_the_notes_of_a_release_are_its_part_of_the_changelog(capsys):
    assert check_release.main([]) == 0
    notes = capsys.readouterr().out.strip()
    rest = (
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition(f"[{PROJECT['version']}]")[2]
    )
    assert notes
    assert rest.partition("\n")[2].strip().startswith(notes)
    assert "\n## [" not in notes
    assert check_release.main(["9.8.7"]) == 1
    assert "pyproject.toml names version" in capsys.readouterr().err


# --- one list of dependencies -------------------------------------------------------------------

ON_CONDA_FORGE = {
    "torch": "pytorch",
    "napari": "napari-base",  # without Qt, as on PyPI
    "dask": "dask-core",
    "matplotlib": "matplotlib-base",
    "huggingface-hub": "huggingface_hub",
}


def test_the_recipe_requires_what_the_package_requires():
    expected = {f"{ON_CONDA_FORGE.get(n, n)} {one.specifier}" for n, one in REQUIRED.items()}
    run = RECIPE["requirements"]["run"]
    assert set(run) == {"python >=${{ python_min }}", *expected}
    assert run[1:] == sorted(run[1:])
    assert f">={RECIPE['context']['python_min']}" == PROJECT["requires-python"]
    assert RECIPE["context"]["name"] == PROJECT["name"]
    assert RECIPE["about"]["license"] == PROJECT["license"]


def test_the_recipe_can_be_built():
    assert RECIPE["schema_version"] == 1
    assert set(RECIPE) >= {
        "context",
        "package",
        "source",
        "build",
        "requirements",
        "tests",
        "about",
    }
    assert re.fullmatch(r"[0-9a-f]{64}", RECIPE["source"]["sha256"])
    used = set(re.findall(r"\$\{\{ (\w+) \}\}", yaml.safe_dump(RECIPE)))
    assert used <= {*RECIPE["context"], "PYTHON"}
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == PROJECT["scripts"]
    system = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    (backend,) = map(Requirement, system["requires"])
    assert f"{backend.name} {backend.specifier}" in RECIPE["requirements"]["host"]


def test_the_environment_of_pixi_fits_the_package():
    assert PIXI["workspace"]["channels"] == ["conda-forge"]
    wanted = {**PIXI["dependencies"], **PIXI["feature"]["cuda"]["dependencies"]}
    assert wanted["napari"] == str(REQUIRED["napari"].specifier)
    assert wanted["pytorch"] == wanted["pytorch-gpu"] == str(REQUIRED["torch"].specifier)
    assert wanted["python"].startswith(PROJECT["requires-python"])
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (qt,) = map(Requirement, groups["dependency-groups"]["qt"])
    assert SpecifierSet(wanted[qt.name]) == qt.specifier
    assert set(PIXI["tasks"]["demo"].split()) >= set(PROJECT["scripts"])
    assert set().union(*PIXI["environments"].values()) == set(PIXI["feature"])


NOT_IN_THE_EXTRA = {
    "napari-bioformats": "needs Java",
    "napari-lazy-openslide": "is made for an older napari and zarr, and needs openslide",
}


def test_the_readers_are_those_that_the_messages_name():
    extra = {one.name for one in map(Requirement, PROJECT["optional-dependencies"]["readers"])}
    named = {package for packages in CURES.values() for package in packages.split()}
    assert extra.isdisjoint(NOT_IN_THE_EXTRA)
    assert extra | set(NOT_IN_THE_EXTRA) == named


def test_no_extra_brings_qt_unasked():
    """The napari hub: a plugin never requires a Qt library, of which napari has one already."""
    qt = {"pyqt5", "pyqt6", "pyside2", "pyside6"}
    assert qt.isdisjoint(REQUIRED)
    assert not REQUIRED["napari"].extras
    assert PROJECT["optional-dependencies"]["all"] == ["napari[all]"]


def test_the_napari_hub_finds_what_it_shows():
    assert "Framework :: napari" in PROJECT["classifiers"]
    assert {"Homepage", "Documentation", "Bug Tracker", "Source Code", "User Support"} <= set(
        PROJECT["urls"]
    )
    assert all(address.startswith("https://") for address in PROJECT["urls"].values())
    manifest = yaml.safe_load((ROOT / "src/napari_dinov3_sim/napari.yaml").read_text("utf-8"))
    assert manifest["name"] == PROJECT["name"]
    assert manifest.get("visibility", "public") == "public"
    assert manifest["categories"]
    assert PROJECT["readme"] == "README.md"


# --- workflows ----------------------------------------------------------------------------------

JOBS = {
    (name, job): about for name, flow in WORKFLOWS.items() for job, about in flow["jobs"].items()
}
STEPS = [(where, step) for where, about in JOBS.items() for step in about.get("steps", [])]


def test_there_are_workflows_for_tests_documentation_and_release():
    assert set(WORKFLOWS) == {"docs", "release", "test"}
    assert len(STEPS) > 10


def test_every_action_is_pinned_to_a_commit_and_says_its_version():
    uses = [
        line.partition("uses:")[2].strip()
        for path in (ROOT / ".github/workflows").glob("*.yml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    outside = [one for one in uses if not one.startswith("./")]
    assert len(outside) >= 8
    for one in outside:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one
    by_action = {one.partition("@")[0]: one for one in outside}
    assert set(by_action.values()) == set(outside), "one action in two versions"
    for one in set(uses) - set(outside):
        assert (ROOT / one).is_file()


def test_a_workflow_may_write_only_where_it_says_so():
    assert all(flow["permissions"] == {"contents": "read"} for flow in WORKFLOWS.values())
    may = {where: about["permissions"] for where, about in JOBS.items() if "permissions" in about}
    assert may == {
        ("docs", "publish"): {"pages": "write", "id-token": "write"},
        ("release", "pypi"): {"id-token": "write"},
        ("release", "github"): {"contents": "write"},
    }
    assert "secrets." not in "".join(map(str, JOBS.values()))


def test_nothing_is_published_before_it_was_tested():
    needs = {job: about.get("needs") for (name, job), about in JOBS.items() if name == "release"}
    assert needs == {"test": None, "build": "test", "pypi": "build", "github": "pypi"}
    assert JOBS["release", "test"]["uses"] == "./.github/workflows/test.yml"
    assert JOBS["release", "pypi"]["environment"]["name"] == "pypi"


def test_three_systems_and_every_python_are_tested():
    matrix = JOBS["test", "tests"]["strategy"]["matrix"]
    systems = {name.partition("-")[0] for name in matrix["os"]}
    assert systems == {"ubuntu", "windows", "macos"}
    told = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert set(told) <= set(matrix["python"])
    assert f">={matrix['python'][0]}" == PROJECT["requires-python"]


def test_files_and_targets_that_workflows_call_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = [step["run"] for _, step in STEPS if "run" in step]
    scripts = {name for run in called for name in re.findall(r"\b(?:scripts|\.ci)/\S+\b", run)}
    assert len(scripts) >= 3
    for name in scripts:
        assert (ROOT / name).is_file(), name
    targets = {name for run in called for name in re.findall(r"^make (\w+)", run, re.MULTILINE)}
    assert targets
    assert all(f"\n{target}:" in makefile for target in targets)


# --- .ci/run, with commands that do nothing -----------------------------------------------------


@pytest.fixture
def ci(tmp_path):
    """Return how to run it with a make of its own, and what that was asked for."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/asked\n[ "$1" != "$FAILS" ]\n')
    make.chmod(make.stat().st_mode | stat.S_IXUSR)

    def run(fails=""):
        path = f"{make.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", ".ci/run"],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "FAILS": fails},
            capture_output=True,
            text=True,
            check=False,
        )
        return done, (tmp_path / "asked").read_text().split()

    return run


needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="it is run on Linux")


@needs_bash
def test_ci_says_of_each_step_how_it_ended_and_how_long_it_took(ci):
    done, asked = ci()
    assert (done.returncode, done.stderr) == (0, "")
    first = ["env", "lint", "types", "manifest", "docs", "package"]
    assert asked == [*first, "train-smoke", "bench", "test"]
    closing = re.findall(r"^== .+ passed after \d+ min \d\d s$", done.stdout, re.MULTILINE)
    table = done.stdout.rpartition("\n\n")[2].splitlines()
    assert len(closing) == len(asked) == len(table) - 1
    assert all(re.search(r"passed +\d+ min \d\d s$", line) for line in table[:-1])
    assert re.fullmatch(r"all together +\d+ min \d\d s", table[-1])


@needs_bash
def test_ci_ends_at_the_step_that_fails_and_says_which(ci):
    done, asked = ci(fails="types")
    assert done.returncode == 1
    assert asked == ["env", "lint", "types"]
    assert re.search(r"^== types FAILED after \d+ min \d\d s$", done.stdout, re.MULTILINE)
    table = done.stdout.rpartition("\n\n")[2].splitlines()
    assert [line.split()[1] for line in table[:-1]] == ["passed", "passed", "FAILED"]


# --- links of the built documentation -----------------------------------------------------------


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "picture.png").touch()
    (tmp_path / "sub" / "b.html").write_text('<a id="there" href="../a.html#top">up</a>')
    (tmp_path / "a.html").write_text(
        '<a href="sub/b.html#there">1</a> <a href="#here">2</a> <h1 id="here"></h1>'
        '<a href="https://example.org/any#where">3</a> <img src="picture.png">'
        '<link rel="canonical" href="index.html"> <a href="mailto:a@b.c">4</a>'
    )
    assert check_links.broken_links(tmp_path) == []
    assert check_links.main(tmp_path) == 0
    (tmp_path / "bad.html").write_text(
        '<a href="gone.html">1</a> <a href="a.html#gone">2</a> <a href="http://example.org">3</a>'
        '<img src="gone.png"> <a href="#gone">4</a> <a href="a.html">5</a>'
    )
    found = check_links.broken_links(tmp_path)
    assert [line.split()[1] for line in found] == [
        "gone.html",
        "a.html#gone",
        "http://example.org",
        "gone.png",
        "#gone",
    ]
    assert check_links.main(tmp_path) == 1


def test_no_pages_are_no_success(tmp_path):
    assert check_links.main(tmp_path) == 1
