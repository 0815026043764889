"""One thing that is asked: a patch, a region, or vectors of a saved query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass
class Asked:
    """Vectors of a class, and what they lie on.

    `named` says whether the class is known before anything is read: all but those of labels are,
    and those come last.
    """

    class_name: str
    positive: bool
    vectors: list
    on: tuple | None = None
    background: np.ndarray | None = None
    named: bool = True
