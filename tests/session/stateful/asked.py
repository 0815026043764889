"""One thing that is asked: a patch, a region, or vectors of a saved query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass
class Asked:
    """Vectors of a kind, and what they lie on.

    `named` says whether the kind is known before anything is read: all but those of labels are,
    and those come last.
    """

    kind: str
    positive: bool
    vectors: list
    on: tuple | None = None
    background: np.ndarray | None = None
    named: bool = True
