"""The environments that are tried, and what pip is asked to install in each."""

from __future__ import annotations

import itertools
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Environment:
    """What is tried together.

    Attributes
    ----------
    versions : tuple of str
        Requirements beside those of the package; what they leave open is the newest.
    python : str
        Version of Python, such as 3.13.
    qt : str
        Name of the Qt binding on PyPI, and in lower case pytest-qt's.
    lowest : bool
        Whether all direct requirements have their lowest versions.
    """

    versions: tuple[str, ...] = ()
    python: str = THIS_PYTHON
    qt: str = "PySide6"
    lowest: bool = False


SMALL = ("torch==2.13.0",)
"""One PyTorch for those where another library is meant, so that it is downloaded once."""

ENVIRONMENTS = {
    "newest": Environment(),
    "oldest": Environment(python="3.11", lowest=True),
    "napari-0.7": Environment(("napari==0.7.*", *SMALL)),
    "napari-0.8": Environment(("napari==0.8.*", *SMALL)),
    "transformers-4": Environment(("transformers<5", *SMALL)),
    "pyqt6": Environment(SMALL, qt="PyQt6"),
    "python-3.12": Environment(SMALL, python="3.12"),
    "python-3.13": Environment(SMALL, python="3.13"),
    "python-3.14": Environment(SMALL, python="3.14"),
}


def find_python(version: str) -> str | None:
    """Return the path of a Python of this version, if there is one."""
    return sys.executable if version == THIS_PYTHON else shutil.which(f"python{version}")


def requirements_of(environment: Environment, project: Path = PROJECT) -> list[str]:
    """Return what pip is to install beside the package itself.

    Parameters
    ----------
    environment : Environment
    project : Path
        A pyproject.toml.

    Returns
    -------
    list of str
        The Qt binding and what the tests need, then the versions.
    """
    content = tomllib.loads(project.read_text(encoding="utf-8"))
    groups: dict[str, list[Any]] = content["dependency-groups"]
    qt = [Requirement(line) for line in groups["qt"]]
    if environment.qt.lower() not in {requirement.name.lower() for requirement in qt}:
        qt = [Requirement(environment.qt)]
    tests = [line for line in groups["test"] if isinstance(line, str)]
    versions = list(environment.versions)
    if environment.lowest:
        versions += [lowest_of(requirement) for requirement in [*_direct(content), *qt]]
    return [*map(str, qt), *tests, *versions]


def _direct(content: dict[str, Any]) -> list[Requirement]:
    """Return the requirements of the package and its extras, each library once.

    Left out are the plugins that read further formats: no test uses one, and they bring much.
    """
    extras: dict[str, list[str]] = content["project"].get("optional-dependencies", {})
    own = [lines for name, lines in extras.items() if name != "readers"]
    lines = [*content["project"]["dependencies"], *itertools.chain(*own)]
    found: dict[str, Requirement] = {}
    for requirement in map(Requirement, lines):
        found.setdefault(requirement.name, requirement)
    return list(found.values())


def lowest_of(requirement: Requirement) -> str:
    """Return the requirement of just the lowest version that another one allows.

    Raises
    ------
    ValueError
        If it has no lower bound.
    """
    lower = [one.version for one in requirement.specifier if one.operator == ">="]
    if len(lower) != 1:
        raise ValueError(f"{requirement} needs one lower bound.")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={lower[0]}"
