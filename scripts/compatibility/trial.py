"""One environment: made by pip, asked for its versions, and the tests run in it."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from compatibility.environments import requirements_of
from compatibility.table import NOT_RUN, Counts, Row

if TYPE_CHECKING:
    from pathlib import Path

    from compatibility.environments import Environment

TESTS = (
    "tests/test_versions.py",
    "tests/backbones",
    "tests/exchange",
    "tests/readers",
    "tests/store",
    "tests/core/objects",
    "tests/core/search",
    "tests/core/test_against_reference.py",
    "tests/session/discovery",
    "tests/session/exports",
    "tests/session/images",
    "tests/session/interaction",
    "tests/session/layers",
    "tests/session/measurements",
    "tests/session/project",
    "tests/session/test_threads.py",
)
"""Where other libraries are met: of these, the tests that are not slow and need no window."""

VERSIONS = """
import importlib.metadata, json, platform, sys
versions = {"Python": platform.python_version()}
for name in sys.argv[1:]:
    versions[name] = importlib.metadata.version(name)
print(json.dumps(versions))
"""


def tried(
    name: str,
    environment: Environment,
    python: str,
    folder: Path,
    root: Path,
    *,
    tests: tuple[str, ...] = TESTS,
) -> Row:
    """Make an environment and run the tests in it.

    Parameters
    ----------
    name : str
        Of the environment, for the table.
    environment : Environment
    python : str
        Path of the Python that makes it.
    folder : Path
        Where to; one that is there is used again.
    root : Path
        The repository.
    tests : tuple of str
        Files and folders; without any, only the window is tried.

    Returns
    -------
    Row
    """
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    own = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    trouble = _install(environment, python, own, folder, root)
    if trouble:
        print(trouble, flush=True)
        none = Counts(trouble="cannot be installed")
        return Row(name, today, environment.python, {}, none, none)
    versions = _versions(own, environment)
    counts = NOT_RUN
    if tests:
        fast = ("-m", "not slow and not gui", *tests)
        counts = _pytest(own, environment, root, folder / "tests.xml", fast)
    window = _window(own, environment, root)
    return Row(name, today, versions.pop("Python"), versions, counts, window)


def _install(
    environment: Environment, python: str, own: Path, folder: Path, root: Path
) -> str | None:
    """Return what pip says where it fails."""
    pip = [str(own), "-m", "pip", "install", "--quiet", "--no-compile"]
    commands = [
        [python, "-m", "venv", str(folder)],
        [*pip, "--upgrade", "pip"],
        [*pip, str(root), *requirements_of(environment)],
    ]
    if own.exists():  # the libraries are those of last time, the package is not
        commands = [[*pip, "--no-deps", "--force-reinstall", str(root)]]
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return done.stderr[-3000:]
    return None


def _versions(own: Path, environment: Environment) -> dict[str, str]:
    names = ("napari", environment.qt, "torch", "transformers", "numpy", "zarr")
    command = [str(own), "-c", VERSIONS, *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions | {"Qt": f"{environment.qt} {versions[environment.qt]}"}


def _pytest(
    own: Path, environment: Environment, root: Path, report: Path, arguments: tuple[str, ...]
) -> Counts:
    report.unlink(missing_ok=True)
    plain = ("-q", "-n", "2", "-p", "no:cacheprovider", f"--junitxml={report}")
    qt = ("-o", f"qt_api={environment.qt.lower()}")
    _with_screen(own, root, "-m", "pytest", *plain, *qt, *arguments)
    return counts_of(report)


def _window(own: Path, environment: Environment, root: Path) -> Counts:
    """Open one window, and see a heatmap in it; the time is for a busy computer."""
    script = str(root / "scripts" / "check_first_click.py")
    runs = ("--runs", "1", "--patience", "900", "--qt", environment.qt.lower())
    failed = _with_screen(own, root, script, *runs)
    return Counts(failed=1) if failed else Counts(passed=1)


def _with_screen(own: Path, root: Path, *arguments: str) -> int:
    """Run a Python with the package that was installed, not the one of the folder `root`."""
    # Where nothing compiled may be kept, each process compiles all of PyTorch and napari again.
    dropped = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    clean = {key: value for key, value in os.environ.items() if key not in dropped}
    command = ["bash", str(root / "scripts" / "with_display.sh"), str(own), *arguments]
    return subprocess.run(command, check=False, cwd=root, env=clean).returncode


def counts_of(report: Path) -> Counts:
    """Count what pytest wrote into a report.

    Parameters
    ----------
    report : Path
        An XML file in the format of JUnit; there is none where pytest was killed.

    Returns
    -------
    Counts
    """
    if not report.exists():
        return Counts(trouble="crashed")
    numbers = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ET.parse(report).getroot().iter("testsuite"):
        for key in numbers:
            numbers[key] += int(suite.get(key, 0))
    failed = numbers["failures"] + numbers["errors"]
    passed = numbers["tests"] - failed - numbers["skipped"]
    return Counts(passed, failed, numbers["skipped"])
