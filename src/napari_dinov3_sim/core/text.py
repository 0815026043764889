"""Words for numbers in messages."""

from __future__ import annotations


def plural(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> plural(1, "class"), plural(2, "class"), plural(0, "image")
    ('1 class', '2 classes', '0 images')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
