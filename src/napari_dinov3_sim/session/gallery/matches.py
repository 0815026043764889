"""The values of the gallery: what is shown of a place, and how sure the scores are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_dinov3_sim.core.search.peaks import patch_center
from napari_dinov3_sim.session.images.planes import level_ratios

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, the last two not included."""


class PatchId(NamedTuple):
    """Identity of a patch of one plane."""

    plane: PlaneKey
    row: int
    column: int


@dataclass(frozen=True)
class GalleryMatch:
    """A place that was found, as it is now.

    Attributes
    ----------
    id : PatchId
    image : str
        What the image is called.
    score : float
        Of the current class, in units of the cosine; it follows what is judged.
    rank : int
        Among all places when it was chosen, from 1.
    judgement : bool or None
        Right, wrong, or not judged.
    box : tuple of int
        The patch in pixels of level 0: left, top, right, bottom.
    """

    id: PatchId
    image: str
    score: float
    rank: int
    judgement: bool | None
    box: Box

    @property
    def plane(self) -> PlaneKey:
        """The plane that it lies on."""
        return self.id.plane

    @property
    def source(self) -> Hashable:
        """Id of the image layer, or the path of a file that is not open."""
        return self.id.plane.layer_id

    @property
    def path(self) -> Path | None:
        """The file, if it is not open."""
        return self.source if isinstance(self.source, Path) else None


@dataclass(frozen=True, eq=False)
class ChosenPlace:
    """A place as it was when it was chosen; nothing of it changes.

    Attributes
    ----------
    id : PatchId
    plane : Plane
    grid : PatchGrid
    score : float
        Before it was judged.
    rank : int
    threshold : float
        Score from which a place counted as found then.
    """

    id: PatchId
    plane: Plane
    grid: PatchGrid
    score: float
    rank: int
    threshold: float

    @property
    def centre(self) -> tuple[float, float]:
        """The middle (x, y) of the patch, in pixels of the embedded level."""
        return patch_center(self.id.row, self.id.column, self.grid)

    @property
    def embedded_box(self) -> Box:
        """The patch in pixels of the embedded level."""
        side, (height, width) = self.grid.patch_size, self.grid.image_shape
        left, top = self.id.column * side, self.id.row * side
        return left, top, min(left + side, width), min(top + side, height)

    @property
    def box(self) -> Box:
        """The patch in pixels of level 0."""
        down, along = level_ratios(self.plane)
        left, top, right, bottom = self.embedded_box
        edges = (left * along, top * down, right * along, bottom * down)
        return tuple(round(edge) for edge in edges)

    def holds(self, x: int, y: int) -> bool:
        """Whether a pixel of the embedded level lies in the patch."""
        side = self.grid.patch_size
        return (y // side, x // side) == (self.id.row, self.id.column)


@dataclass(frozen=True)
class Certainty:
    """How often the scores had said what was judged then, in one round.

    Attributes
    ----------
    agreed, judged : int
        Places judged as predicted, and all places judged.
    """

    agreed: int
    judged: int

    @property
    def text(self) -> str:
        """The same in words, such as "8 of 10 judged as predicted"; empty if none was judged."""
        return f"{self.agreed} of {self.judged} judged as predicted" if self.judged else ""


@dataclass(frozen=True)
class JudgementCounts:
    """How many places of the current class were judged right, and how many wrong."""

    right: int = 0
    wrong: int = 0
