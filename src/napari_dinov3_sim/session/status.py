"""The one line that says what is going on and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from napari_dinov3_sim.session.result_sentences import count


@dataclass(frozen=True)
class StackProgress:
    """How many planes of all images there are, are embedded, and are answered."""

    planes: int
    embedded: int
    answered: int


@dataclass(frozen=True)
class Situation:
    """What the status line depends on.

    Attributes
    ----------
    images, targets, planes : int
        Image layers, ticked ones, and ticked ones that show a plane.
    points, outside, ignored : int
        Query points, those on no target, and those set where a click means nothing.
    embedded : int
        Shown planes that have a state.
    levels : tuple of str
        Sentences about multiscale layers that are embedded at a coarser level.
    model : str
        Name of the model, empty if none is chosen.
    three_d, grid, busy, model_failed : bool
        Whether the view is in 3-D, whether it is napari's grid, whether work is under way,
        whether the model could not be loaded.
    answered : int
        Heatmaps.
    regions, regions_outside : int
        Drawn or labelled regions that are asked about, and those on no target.
    saved : int
        Kinds of a loaded query.
    saved_remark : str
        How that query differs from the present resolution, as a clause.
    only_negative : bool
        Whether everything that was picked says what is not meant.
    without_positive : tuple of str
        Kinds of which that is so.
    stacks : StackProgress or None
        Where all planes of stacks are asked for.
    """

    images: int
    targets: int
    planes: int
    points: int
    outside: int
    ignored: int
    embedded: int
    levels: tuple[str, ...]
    model: str
    three_d: bool
    grid: bool
    busy: bool
    model_failed: bool
    answered: int
    regions: int = 0
    regions_outside: int = 0
    saved: int = 0
    saved_remark: str = ""
    only_negative: bool = False
    without_positive: tuple[str, ...] = ()
    stacks: StackProgress | None = None


def describe(now: Situation) -> str:
    """Return the status line.

    Examples
    --------
    >>> describe(Situation(0, 0, 0, 0, 0, 0, 0, (), "builtin", False, False, False, False, 0))
    'Open an image to begin.'
    """
    return " ".join([_main(now), *_remarks(now)])


def _main(now: Situation) -> str:
    if not now.images:
        return "Open an image to begin."
    if not now.targets:
        return "Tick at least one image to search."
    if not now.model:
        return "Choose a model."
    asking = _asking(now)
    if not asking:
        return "Click on a structure in an image."
    if now.busy:
        return f"Working: {_how_far(now)}."
    if now.only_negative:
        return "Nothing says what is meant; add a point that does (+ this)."
    if now.model_failed:
        return f"{now.model} could not be loaded; choose another model."
    if not now.answered:
        return "Not every image that was clicked is embedded; press Embed."
    return f"{count(now.answered, 'heatmap')} for {' and '.join(asking)}."


def _how_far(now: Situation) -> str:
    stacks = now.stacks
    if stacks is None or stacks.planes == now.planes:
        return f"{now.embedded} of {count(now.planes, 'image')} embedded"
    if stacks.embedded < stacks.planes:
        return f"{stacks.embedded} of {stacks.planes} planes embedded"
    return f"{stacks.answered} of {stacks.planes} planes answered"


def _asking(now: Situation) -> list[str]:
    points = now.points - now.outside - now.ignored
    counted = ((points, "point"), (now.regions, "region"), (now.saved, "saved kind"))
    return [count(number, noun) for number, noun in counted if number]


def _remarks(now: Situation) -> list[str]:
    remarks = list(now.levels)
    if now.without_positive and not now.only_negative:
        remarks.append(_without_positive(now.without_positive))
    if now.saved and now.saved_remark:
        remarks.append(f"The saved query finds less: {now.saved_remark}.")
    if now.targets and now.planes < now.targets:
        remarks.append(f"{count(now.targets - now.planes, 'image')} outside the shown plane.")
    if now.outside:
        remarks.append(f"{count(now.outside, 'point')} outside all ticked images.")
    if now.regions_outside:
        remarks.append(f"{count(now.regions_outside, 'region')} outside all ticked images.")
    if now.three_d:
        remarks.append("Clicks in the 3-D view are not queries; click in 2-D.")
    if now.grid:
        remarks.append("Clicks in the grid are not queries; leave the grid and click.")
    if now.ignored:
        remarks.append(_ignored(now.ignored))
    return remarks


def _ignored(number: int) -> str:
    if number == 1:
        return "1 point was set in 3-D or in the grid and is not used; undo or delete it."
    return f"{number} points were set in 3-D or in the grid and are not used; delete them."


def _without_positive(kinds: tuple[str, ...]) -> str:
    has = "have" if len(kinds) > 1 else "has"
    return f"{', '.join(kinds)} {has} no positive point yet: click with + this."
