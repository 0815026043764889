"""What is asked, as shapes for other programs: points, drawn regions, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.levels import coordinate_in_level
from napari_dinov3_sim.exchange.outlines import trace_array
from napari_dinov3_sim.exchange.shapes import Polygon, Shape
from napari_dinov3_sim.session.answering.query_vectors import labels_over_image
from napari_dinov3_sim.session.answering.question import LabelsPick, Pick, PolygonPick
from napari_dinov3_sim.session.images.planes import level_ratios

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_dinov3_sim.exchange.objects import ImagePlacement
    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey


def planes_asked_on(question: Question) -> dict[Hashable, list[PlaneKey]]:
    """Return the planes that something was picked on, by the id of their image."""
    found: dict[Hashable, dict[PlaneKey, None]] = {}
    for pick in question.picks:
        if isinstance(pick, Pick | PolygonPick | LabelsPick):
            found.setdefault(pick.plane.layer_id, {})[pick.plane] = None
    return {image_id: list(planes) for image_id, planes in found.items()}


def query_shapes(
    question: Question,
    planes: Mapping[PlaneKey, Plane],
    placement: ImagePlacement,
    colours: Mapping[str, str],
) -> Iterator[Shape]:
    """Yield what is asked on one image; a saved query that was loaded lies on none.

    Parameters
    ----------
    question : Question
    planes : mapping of PlaneKey to Plane
        Those of the image that something was picked on.
    placement : ImagePlacement
    colours : mapping of str to str
        Of the classes.
    """
    for pick in question.picks:
        if not isinstance(pick, Pick | PolygonPick | LabelsPick) or pick.plane not in planes:
            continue
        plane = planes[pick.plane]
        places = placement.stack_place(_place_in_file(pick.plane, placement))
        for class_name, about in _geometry(pick, plane):
            colour = colours.get(class_name, Shape().colour)
            yield Shape(
                **about,
                class_name=class_name,
                colour=colour,
                positive=pick.positive,
                plane=places,
            )


def _place_in_file(key: PlaneKey, placement: ImagePlacement) -> tuple[int, ...]:
    indices = dict(key.position)
    return tuple(indices.get(axis, 0) for axis in placement.order[:-2])


def _geometry(
    pick: Pick | PolygonPick | LabelsPick, plane: Plane
) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(pick, Pick):
        places = _corners(np.array([[pick.x, pick.y]], float), plane)
        yield pick.class_name, {"geometry": "points", "places": places}
    elif isinstance(pick, PolygonPick):
        corners = _corners(np.array(pick.vertices, float), plane)
        yield pick.class_name, {"polygons": (Polygon(corners),)}
    else:
        labels = labels_over_image(pick, plane.embedded_shape)
        for number, polygons in trace_array(labels).items():
            found = tuple(Polygon(*_scaled_rings(polygon.rings, plane)) for polygon in polygons)
            if pick.class_of(number) not in pick.left_out:
                yield pick.class_of(number), {"polygons": found}


def _corners(places: NDArray[np.float64], plane: Plane) -> NDArray[np.float64]:
    """Return places (x, y) of an embedded plane as files count them, at level 0."""
    return np.asarray(coordinate_in_level(places, level_ratios(plane)[::-1]) + 0.5)


def _scaled_rings(
    rings: tuple[Any, ...], plane: Plane
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], ...]]:
    exterior, *holes = (np.asarray(ring, float) * level_ratios(plane)[::-1] for ring in rings)
    return exterior, tuple(holes)
