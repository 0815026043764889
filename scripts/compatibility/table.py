"""The table of docs/compatibility.md: a row for each environment, replaced one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BEGIN, END = "<!-- tried: begin -->\n", "<!-- tried: end -->"
LIBRARIES = ("napari", "Qt", "torch", "transformers", "numpy", "zarr")
HEAD = ("environment", "date", "Python", *LIBRARIES, "tests", "window")


@dataclass(frozen=True)
class Counts:
    """How many tests there were, and what came of them; none where pip or pytest failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether tests were run and none of them failed."""
        return bool(self.passed) and not self.failed and not self.trouble

    def __str__(self) -> str:
        """Return what the table says."""
        if self.trouble:
            return self.trouble
        parts = [(self.failed, "failed"), (self.passed, "passed"), (self.skipped, "skipped")]
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "none"


NOT_RUN = Counts(trouble="not run")
"""Tests that were left out."""


@dataclass(frozen=True)
class Row:
    """What was tried in one environment, when, and what came of it."""

    name: str
    date: str
    python: str
    versions: Mapping[str, str]
    tests: Counts
    window: Counts

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and a window was opened."""
        return self.window.good and (self.tests.good or self.tests == NOT_RUN)

    def line(self) -> str:
        """Return it as a line of the table."""
        versions = [self.versions.get(library, "–") for library in LIBRARIES]
        cells = [self.name, self.date, self.python, *versions, self.tests, self.window]
        return "| " + " | ".join(map(str, cells)) + " |"


def with_row(page: str, row: Row, order: Sequence[str]) -> str:
    """Return the page with a row of its table added or replaced.

    Parameters
    ----------
    page : str
        Text of the page, with the two marks.
    row : Row
    order : sequence of str
        Names of all environments, as they are to stand in the table; rows of others go.

    Returns
    -------
    str
    """
    before, _, rest = page.partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = {line.split("|")[1].strip(): line for line in old.splitlines()[2:] if line[:1] == "|"}
    lines[row.name] = row.line()
    body = [lines[name] for name in order if name in lines]
    head = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    return before + BEGIN + "\n".join([*head, *body]) + "\n" + END + after
