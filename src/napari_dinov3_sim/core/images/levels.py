"""Which level of a pyramid is embedded, and where a pixel lies in another level."""

from __future__ import annotations

Position = tuple[int, ...]
"""Where a plane lies along the axes before its rows and columns."""


def embedded_position(
    position: Position, full: tuple[int, ...], leading: tuple[int, ...]
) -> Position:
    """Return where a plane of the finest level lies in the embedded one, which may have fewer."""
    sizes = zip(position, full, leading, strict=True)
    return tuple((2 * at + 1) * n // (2 * m) for at, m, n in sizes)
