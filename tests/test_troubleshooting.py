"""The page on troubleshooting has every message of the program, and no message that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from messages import LEAST, collect, is_same, plain, words

PAGE = Path(__file__).resolve().parent.parent / "docs" / "troubleshooting.md"


@pytest.fixture(scope="module")
def found():
    return collect()


@pytest.fixture(scope="module")
def quotes():
    """The lines of the page that begin as quotations do."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [plain(line[2:]) for line in lines if line.startswith("> ")]


def test_every_message_is_on_the_page(found, quotes):
    shown = [each for each in found if each.is_shown]
    missing = [each for each in shown if not any(is_same(quote, each.text) for quote in quotes)]
    assert not missing, "\n".join(
        [f"docs/{PAGE.name} lacks, each as a line of its own where it fits:"]
        + [f"> {each.text}    ({each.place})" for each in missing]
    )


def test_every_quotation_is_a_message(found, quotes):
    assert all(words(quote) >= LEAST for quote in quotes), "a reader finds it by its words"
    stale = [quote for quote in quotes if not any(is_same(quote, each.text) for each in found)]
    assert not stale, "\n".join([f"docs/{PAGE.name} has, and the program has not:", *stale])
