"""The ways in which points are combined, in words: what a menu needs, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Combination = Literal["auto", "mean", "best", "contrast"]
"""How the vectors of a kind are combined; see `EXPLANATIONS`."""

EXPLANATIONS: Mapping[Combination, str] = {
    "auto": "The mean while there are positive points only, so that one click is its raw cosine; "
    "contrast, for all kinds, as soon as there is a negative point.",
    "mean": "The cosine with the mean of the positive points; negative points are ignored.",
    "best": "The greatest cosine with any of the positive points, for kinds of several looks; "
    "negative points are ignored.",
    "contrast": "The mean, less half of the greatest cosine with the negative points and with "
    "the background of the images that were clicked.",
}
"""One sentence about each combination, for the user."""
