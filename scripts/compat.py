"""Runs the fast tests against other versions, and writes the table of docs/compatibility.md.

Run `python scripts/compat.py [ENVIRONMENT ...]`, or `make compat ARGS="oldest newest"`; without
names, all. Each environment is made anew by pip in a folder of its own and removed afterwards,
needs up to 8 GB meanwhile, and takes some minutes on two cores. Its row is written as soon as it
is there, and the rows of other environments stay. A Python other than the one that runs this is
found as `python3.13` and the like on the PATH.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from compatibility.environments import ENVIRONMENTS, Environment, find_python
from compatibility.table import Row, with_row
from compatibility.trial import TESTS, tried

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"


def main(arguments: list[str] | None = None) -> int:
    """Try the environments that were asked for; return how many had a failure."""
    options = _parser().parse_args(arguments)
    failed = 0
    for name in options.names or ENVIRONMENTS:
        row = _row_of(name, ENVIRONMENTS[name], options.work, () if options.window else TESTS)
        if row is not None:
            print(row.line(), flush=True)
            PAGE.write_text(
                with_row(PAGE.read_text(encoding="utf-8"), row, list(ENVIRONMENTS)),
                encoding="utf-8",
            )
            failed += not row.passed
    return min(failed, 100)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "names", nargs="*", choices=[[], *ENVIRONMENTS], metavar="ENVIRONMENT",
        help=f"one of {', '.join(ENVIRONMENTS)}; without, all",
    )  # fmt: skip
    parser.add_argument("--window", action="store_true", help="only open the window")
    parser.add_argument(
        "--work", type=Path, help="keep the environments in this folder, and use them again"
    )
    return parser


def _row_of(
    name: str, environment: Environment, work: Path | None, tests: tuple[str, ...]
) -> Row | None:
    python = find_python(environment.python)
    if python is None:
        print(f"{name}: not tried, there is no python{environment.python} on the PATH", flush=True)
        return None
    if work is not None:
        return tried(name, environment, python, work.resolve() / name, ROOT, tests=tests)
    with tempfile.TemporaryDirectory(prefix="compat-") as folder:
        return tried(name, environment, python, Path(folder) / name, ROOT, tests=tests)


if __name__ == "__main__":
    sys.exit(main())
