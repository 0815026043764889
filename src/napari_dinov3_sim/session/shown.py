"""Which heatmap lies over which image, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_dinov3_sim.session.heatmap_data import LayerData
    from napari_dinov3_sim.session.planes import LayerAxes
    from napari_dinov3_sim.session.questions import Question


class Place(NamedTuple):
    """Which layer over which image: by the id of the image and the kind."""

    image: Hashable
    kind: str


@dataclass(frozen=True, eq=False)
class Shown:
    """What a heatmap layer shows.

    Attributes
    ----------
    layer : LayerAxes
        The planes of the image whose maps it has.
    question : Question
        The question that it answers.
    data : LayerData
    model : str
        Name of the model that answered.
    name : str
        What the image is called.
    """

    layer: LayerAxes
    question: Question
    data: LayerData
    model: str
    name: str
