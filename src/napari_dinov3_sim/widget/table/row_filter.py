"""Which rows of a table a line of text means: words, and comparisons of columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.objects.object_table import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

COMPARISON = re.compile(r"^\s*(\w+)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*$")

DECIMAL_COMMA = re.compile(r"([<>=]\s*-?\d+),(?=\d)")

BETWEEN = re.compile(r"(,|\band\b)")

OPERATORS = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def rows_meant(columns: Mapping[str, NDArray[Any]], text: str) -> NDArray[np.bool_]:
    """Return which rows a text means; all for an empty one.

    Parameters
    ----------
    columns : mapping of str to ndarray
    text : str
        Parts with ``and`` or a comma between them, all of which must hold: a comparison such as
        ``area_um2 > 50`` or ``class = nuclei``, or words that a column of texts contains. In
        ``area_um2 > 1,5`` the comma is a decimal one, and a name may hold both.
    """
    count = len(next(iter(columns.values()), ()))
    meant = np.ones(count, bool)
    for part in _parts(columns, DECIMAL_COMMA.sub(r"\1.", text)):
        if part.strip():
            meant &= _part(columns, part.strip())
    return meant


def _parts(columns: Mapping[str, NDArray[Any]], text: str) -> Iterator[str]:
    """Yield what stands between commas and ``and``; these belong to a name that has them."""
    pieces = BETWEEN.split(text)
    while pieces:
        ends = range(len(pieces), 1, -2)
        end = next((n for n in ends if _is_name(columns, "".join(pieces[:n]))), 1)
        yield "".join(pieces[:end])
        pieces = pieces[end + 1 :]


def _is_name(columns: Mapping[str, NDArray[Any]], part: str) -> bool:
    """Whether a part compares a column of texts with one of these."""
    found = COMPARISON.match(part)
    column = columns.get(found[1]) if found else None
    if found is None or column is None or not is_text(column):
        return False
    return found[3].casefold() in {text.casefold() for text in column.tolist()}


def _part(columns: Mapping[str, NDArray[Any]], part: str) -> NDArray[np.bool_]:
    found = COMPARISON.match(part)
    if found and found[1] in columns:
        return _compared(columns[found[1]], found[2], found[3])
    words = part.casefold()
    texts = [column for column in columns.values() if is_text(column)]
    meant = np.zeros(len(next(iter(columns.values()), ())), bool)
    for column in texts:
        meant |= np.array([words in text.casefold() for text in column.tolist()], bool)
    return meant


def _compared(column: NDArray[Any], operator: str, value: str) -> NDArray[np.bool_]:
    """Compare a column; nothing is like what is no number."""
    if is_text(column):
        equal = np.array([text.casefold() == value.casefold() for text in column.tolist()], bool)
        return {"=": equal, "==": equal, "!=": ~equal}.get(operator, np.zeros(len(column), bool))
    try:
        number = float(value)
    except ValueError:
        return np.zeros(len(column), bool)
    meant: NDArray[np.bool_] = OPERATORS[operator](column, number)
    return meant
