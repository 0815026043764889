"""What a result is made of, and which images it leaves out for now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.result_jobs import AnsweredImage

if TYPE_CHECKING:
    from napari_dinov3_sim.session.atlas import Atlas
    from napari_dinov3_sim.session.planes import Plane


@dataclass(frozen=True)
class LeftOut:
    """The ticked images that a result does not have, at the moment it was asked for.

    Attributes
    ----------
    waiting : tuple of str
        Names of those that were still being embedded.
    absent : tuple of str
        Names of those that nothing was coming of: failed, cancelled, or never asked for.
    planes : bool
        Whether more planes of the images that it has were still on their way.
    """

    waiting: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    planes: bool = False


def answered_images(atlas: Atlas) -> tuple[AnsweredImage, ...]:
    """Return the images that have heatmaps, each with all of its planes that are answered.

    Raises
    ------
    SimilarityError
        There is none.
    """
    known = {key: atlas.maps(key) for key in atlas.answers.planes()}
    images = []
    for plane in atlas.shown().values():
        maps = {
            key: found
            for key, found in known.items()
            if found is not None and key.layer == plane.key.layer
        }
        if maps:
            images.append(AnsweredImage(plane, maps))
    if not images:
        raise SimilarityError(
            "There is no heatmap yet; click on what you mean and wait until the images have "
            "lit up."
        )
    return tuple(images)


def without_heatmap(atlas: Atlas) -> LeftOut:
    """Return the shown images that have no heatmap, and whether other planes have none yet."""
    missing = [plane for plane in atlas.shown().values() if atlas.maps(plane.key) is None]
    left_out = _sort(atlas, missing)
    working = atlas.embedder.busy or atlas.answers.pending
    return LeftOut(left_out.waiting, left_out.absent, planes=working and not left_out.waiting)


def without_embeddings(atlas: Atlas) -> LeftOut:
    """Return the shown images that are not embedded."""
    return _sort(atlas, [p for p in atlas.shown().values() if atlas.handle(p.key) is None])


def _sort(atlas: Atlas, missing: list[Plane]) -> LeftOut:
    """Tell those that come by themselves from those that do not."""
    waiting = {plane.key for plane in missing if _is_coming(atlas, plane)}
    return LeftOut(
        tuple(plane.name for plane in missing if plane.key in waiting),
        tuple(plane.name for plane in missing if plane.key not in waiting),
    )


def _is_coming(atlas: Atlas, plane: Plane) -> bool:
    if atlas.handle(plane.key) is not None:
        return atlas.answers.pending and not atlas.answers.has_given_up(plane.key)
    return atlas.embedder.busy and atlas.embedder.is_coming(plane.key)
