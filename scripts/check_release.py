"""Check that everything names the version of a release, and print its part of the changelog.

Run by the workflow of a release with the version of its tag; without one, the version of
pyproject.toml is checked.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

NAMED = {
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$",
    "packaging/conda/recipe.yaml": r'^  version: "(.+)"$',
    "packaging/pixi/pixi.toml": r'^napari-dinov3-sim = ">=(.+)"$',
}
"""Where the version stands besides pyproject.toml; the first match counts."""

UNRELEASED = "Unreleased"


def version_of(root: Path) -> str:
    """Return the version of pyproject.toml, from which the package takes its own."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def sections(changelog: str) -> dict[str, str]:
    """Return the text of each version of the changelog."""
    parts = re.split(r"^## \[(.+?)\].*$", changelog, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def problems(root: Path, version: str, *, released: bool = False) -> list[str]:
    """Return what does not fit to a version.

    Parameters
    ----------
    root : Path
        Of the repository.
    version : str
    released : bool, optional
        Whether it is released now: nothing may be left under *Unreleased*, and its date has to be
        that of the citation.
    """
    found = {"pyproject.toml": version_of(root)}
    for name, pattern in NAMED.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        found[name] = match[1].strip() if match else "none"
    wrong = [f"{name} names version {other}" for name, other in found.items() if other != version]
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if released and sections(changelog).get(UNRELEASED):
        wrong.append(f"CHANGELOG.md still has changes under {UNRELEASED}")
    date = re.search(rf"^## \[{re.escape(version)}\] - (\S+)$", changelog, re.MULTILINE)
    cited = f"date-released: {date[1] if date else ''}"
    if cited not in (root / "CITATION.cff").read_text(encoding="utf-8").splitlines():
        wrong.append(f"CITATION.cff does not say {cited}")
    return wrong


def main(arguments: list[str]) -> int:
    """Print notes for a release, or what is wrong; return the exit status."""
    root = Path(__file__).resolve().parents[1]
    version = arguments[0] if arguments else version_of(root)
    wrong = problems(root, version, released=bool(arguments))
    if wrong:
        print(
            "\n".join(f"{line}; version {version} is released" for line in wrong), file=sys.stderr
        )
        return 1
    print(sections((root / "CHANGELOG.md").read_text(encoding="utf-8"))[version])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
