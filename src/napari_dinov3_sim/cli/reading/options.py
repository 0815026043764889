"""How files are read, as the command line wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from napari_dinov3_sim.readers.axes import ReadAs


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    Attributes
    ----------
    read_as : {'auto', 'rgb', 'stack', 'channels'}
        What the planes of a file are, where it does not say it.
    reader : str or None
        The plugin of napari that reads it; None for the one that napari would use.
    """

    read_as: ReadAs = "auto"
    reader: str | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> ReadOptions:
        """Return those of a command line."""
        return cls(arguments.read_as, arguments.reader)
