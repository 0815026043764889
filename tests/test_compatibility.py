"""``make compat``: what pip is asked for, how tests are counted, and the table; no network."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
sys.path.insert(0, str(ROOT / "scripts"))

import compat  # noqa: E402
from compatibility import environments, table, trial  # noqa: E402
from compatibility.environments import ENVIRONMENTS, Environment, lowest_of, requirements_of  # noqa: E402
from compatibility.table import Counts, Row, with_row  # noqa: E402

ORDER = ["newest", "oldest", "PyQt6"]


GOOD = Counts(passed=3)


def row(name, tests=GOOD, window=GOOD, **versions):
    return Row(name, "2026-11-29", "3.11.7", {"napari": "0.9.2", **versions}, tests, window)


# --- what is installed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "lowest"),
    [
        ("numpy>=2.0", "numpy==2.0"),
        ("dask[array]>=2024.8", "dask[array]==2024.8"),
        ("pyside6>=6.8.1,!=6.11.0", "pyside6==6.8.1"),
    ],
)
def test_the_lowest_version(requirement, lowest):
    assert lowest_of(Requirement(requirement)) == lowest


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy==2"])
def test_a_requirement_without_lower_bound(requirement):
    with pytest.raises(ValueError, match="lower bound"):
        lowest_of(Requirement(requirement))


def test_every_requirement_of_the_package_has_its_lowest_version_in_the_oldest_environment():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [Requirement(line) for line in requirements_of(ENVIRONMENTS["oldest"])]
    for direct in map(Requirement, project["dependencies"]):
        pins = [one for one in asked if one.name == direct.name and "==" in str(one.specifier)]
        assert len(pins) == 1, direct
        assert Version(str(pins[0].specifier).removeprefix("==")) in direct.specifier


PROJECT = """
[project]
dependencies = ["napari>=0.7", "torch>=2.6"]
[project.optional-dependencies]
all = ["napari[all]"]
cluster = ["distributed>=2024.8"]
[dependency-groups]
qt = ["pyside6>=6.8.1,!=6.11.0"]
test = [{ include-group = "qt" }, "pytest>=8"]
"""


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        (Environment(), ["pyside6!=6.11.0,>=6.8.1", "pytest>=8"]),
        (Environment(("torch==2.7",), qt="PyQt6"), ["PyQt6", "pytest>=8", "torch==2.7"]),
        (
            Environment(lowest=True),
            [
                *("pyside6!=6.11.0,>=6.8.1", "pytest>=8", "napari==0.7", "torch==2.6"),
                *("distributed==2024.8", "pyside6==6.8.1"),
            ],
        ),
    ],
)
def test_what_pip_is_asked_for(environment, asked, tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text(PROJECT, encoding="utf-8")
    assert requirements_of(environment, path) == asked


def test_another_python_is_looked_for_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environments.find_python("3.99") is None
    assert environments.find_python(environments.THIS_PYTHON) == sys.executable
    if sys.platform != "win32":
        (tmp_path / "python3.99").touch(0o755)
        assert environments.find_python("3.99") == str(tmp_path / "python3.99")


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        compat.main(["no such environment"])
    assert "newest" in capsys.readouterr().err


# --- what is counted -----------------------------------------------------------------------------

TESTS = """
import pytest
def test_good(): pass
def test_better(): pass
def test_bad(): assert False
@pytest.mark.skip(reason="not here")
def test_skipped(): pass
@pytest.fixture
def broken(): raise OSError
def test_broken(broken): pass
"""


def test_a_report_of_pytest_is_counted(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=it.xml"]
    subprocess.run([*command, "test_it.py"], cwd=tmp_path, check=False, capture_output=True)
    counts = trial.counts_of(tmp_path / "it.xml")
    assert counts == Counts(passed=2, failed=2, skipped=1)
    assert str(counts) == "2 failed, 2 passed, 1 skipped"
    assert not counts.good


def test_a_process_that_was_killed_leaves_no_report(tmp_path):
    counts = trial.counts_of(tmp_path / "none.xml")
    assert str(counts) == "crashed"
    assert not counts.good


@pytest.mark.parametrize(
    ("tests", "window", "passed"),
    [
        (Counts(3), Counts(1), True),
        (Counts(3, 0, 2), Counts(1), True),
        (table.NOT_RUN, Counts(1), True),
        (Counts(3, 1), Counts(1), False),
        (Counts(3), Counts(0, 0, 1), False),  # no screen: nothing was tried
        (Counts(3), Counts(trouble="crashed"), False),
    ],
)
def test_what_passed(tests, window, passed):
    assert row("any", tests, window).passed == passed


# --- the table -----------------------------------------------------------------------------------


def lines_of(page):
    return page.partition(table.BEGIN)[2].partition(table.END)[0].splitlines()


def test_rows_are_added_in_their_order_and_replaced():
    page = f"before\n{table.BEGIN}{table.END}\nafter\n"
    for name in reversed(ORDER):
        page = with_row(page, row(name), ORDER)
    assert [line.split("|")[1].strip() for line in lines_of(page)[2:]] == ORDER
    again = with_row(page, row("oldest", Counts(2, 1), napari="0.7.0"), ORDER)
    changed = [new for old, new in zip(lines_of(page), lines_of(again), strict=True) if old != new]
    versions = "2026-11-29 | 3.11.7 | 0.7.0 | – | – | – | – | –"
    assert changed == [f"| oldest | {versions} | 1 failed, 2 passed | 3 passed |"]
    assert again.startswith("before\n")
    assert again.endswith("\nafter\n")


def test_a_row_of_an_environment_that_is_no_more_goes():
    page = with_row(f"{table.BEGIN}{table.END}", row("gone"), ["gone"])
    assert "gone" not in with_row(page, row("newest"), ORDER)


def test_the_page_has_a_place_for_the_table_and_rows_of_known_environments():
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(table.BEGIN) == page.count(table.END) == 1
    names = [line.split("|")[1].strip() for line in lines_of(page)[2:]]
    assert set(names) <= set(ENVIRONMENTS)
    assert len({line.count("|") for line in lines_of(page)}) <= 1
