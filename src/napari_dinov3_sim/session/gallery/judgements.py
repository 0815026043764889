"""What was judged, read from the query points, and its JSON file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import PointError
from napari_dinov3_sim.exchange.files import write_json
from napari_dinov3_sim.session.images.planes import data_coordinates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_dinov3_sim.session.answering.question import Pick
    from napari_dinov3_sim.session.gallery.matches import ChosenPlace


def points_on(place: ChosenPlace, class_name: str, picks: Mapping[int, Pick]) -> list[int]:
    """Return the numbers of the points of a class that lie in a patch.

    Parameters
    ----------
    place : ChosenPlace
    class_name : str
    picks : mapping of int to Pick
        The pick of each query point, by its number.
    """
    return [
        number
        for number, pick in picks.items()
        if pick.class_name == class_name
        and pick.plane == place.id.plane
        and place.holds(pick.x, pick.y)
    ]


def sign_of(place: ChosenPlace, class_name: str, picks: Mapping[int, Pick]) -> bool | None:
    """Return whether a place was judged right, by the last point on it; None for no point."""
    numbers = points_on(place, class_name, picks)
    return picks[numbers[-1]].positive if numbers else None


@dataclass(frozen=True)
class Judgement:
    """A place that was judged, as it stands in a file.

    Attributes
    ----------
    image : str
        What the image is called.
    plane : tuple of int
        Where its plane lies along the axes that are not shown.
    x, y : float
        The middle of the patch in pixels of level 0.
    class_name : str
    right : bool
    score : float
        Before it was judged.
    """

    image: str
    plane: tuple[int, ...]
    x: float
    y: float
    class_name: str
    right: bool
    score: float

    @classmethod
    def of(cls, place: ChosenPlace, class_name: str, right: bool) -> Judgement:
        """Return the judgement of a place."""
        key = place.plane.key
        data = data_coordinates(place.plane, key, np.array([place.centre]))[0]
        y, x = (float(data[axis]) for axis in key.axes)
        return cls(place.plane.name, key.indices, x, y, class_name, right, place.score)

    def as_object(self) -> dict[str, object]:
        """Return what is written: the class is called ``class``."""
        found = asdict(self)
        return {("class" if name == "class_name" else name): found[name] for name in found}


def save_judgements(judgements: Sequence[Judgement], path: Path, *, overwrite: bool) -> None:
    """Write judgements to a JSON file.

    Parameters
    ----------
    judgements : sequence of Judgement
    path : Path
    overwrite : bool
        Whether a file that is there is replaced.

    Raises
    ------
    PointError
        There are none.
    ExchangeError
        The file exists and is not to be replaced.
    StoreError
        The file cannot be written.
    """
    if not judgements:
        raise PointError("Nothing is judged yet; say of some matches whether they are right.")
    content = {"judgements": [one.as_object() for one in judgements]}
    write_json(content, path, "judgements", overwrite=overwrite)
