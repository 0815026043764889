"""Everything that the parts of a session need to know of the present, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session.answering.answer_job import TargetPlane
    from napari_dinov3_sim.session.answering.question import AnyPick, Question
    from napari_dinov3_sim.session.images.hit_testing import ResolvedImages
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey


@dataclass(frozen=True)
class ClassCounts:
    """How much says what a class is.

    Attributes
    ----------
    positive, negative : int
        Query points.
    regions : int
        Shapes and labels of both signs; of labels in a file, only those that were read.
    """

    positive: int = 0
    negative: int = 0
    regions: int = 0


@dataclass(frozen=True)
class PickCounts:
    """What the status line says of picks.

    Attributes
    ----------
    points, outside, ignored : int
        Query points, those on no searched image, and those set where a click means nothing.
    regions, regions_outside : int
        Drawn or labelled regions, and those on no searched image.
    saved : int
        Classes of a loaded query.
    saved_remark : str
        How that query differs from the present resolution, as a clause.
    only_negative : bool
        Whether everything that was picked says what is not meant.
    without_positive : tuple of str
        Classes of which that is so.
    """

    points: int = 0
    outside: int = 0
    ignored: int = 0
    regions: int = 0
    regions_outside: int = 0
    saved: int = 0
    saved_remark: str = ""
    only_negative: bool = False
    without_positive: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Picked:
    """What the user has picked; the same value until a point, a region or an image changes.

    Attributes
    ----------
    picks : tuple of AnyPick
    planes : mapping of PlaneKey to Plane
        The planes that they lie on.
    owners : tuple of hashable or None
        For each query point, the image that it lies on; None on no image.
    counts : PickCounts
    """

    picks: tuple[AnyPick, ...]
    planes: Mapping[PlaneKey, Plane]
    owners: tuple[Hashable | None, ...]
    counts: PickCounts


@dataclass(frozen=True, eq=False)
class ResolvedState:
    """What is open, shown, picked and asked; made once for each change of anything.

    Whatever shows something takes the state before and the present one, and applies the
    difference. Parts of it that have not changed are the same objects.

    Attributes
    ----------
    images : ResolvedImages
    picked : Picked
    combination : str
        How the picks of a class are combined, see `core.search.combine`.
    question : Question or None
        None while something that was picked is not embedded, or nothing is picked.
    hidden : mapping of PlaneKey to Plane
        Planes of stacks that are not shown and are answered next.
    wanted : tuple of Plane
        What is to be embedded if it is not yet, in this order.
    targets : tuple of TargetPlane
        What is embedded and can be compared, the visible planes first.
    cell_size : int or None
        Side of a patch in pixels of the embedded level; None before the model is known.
    three_d, in_napari_grid : bool
        Whether the view is in 3-D, or napari's own grid, where clicks are no queries.
    """

    images: ResolvedImages
    picked: Picked
    combination: Combination
    question: Question | None
    hidden: Mapping[PlaneKey, Plane]
    wanted: tuple[Plane, ...]
    targets: tuple[TargetPlane, ...]
    cell_size: int | None
    three_d: bool
    in_napari_grid: bool
