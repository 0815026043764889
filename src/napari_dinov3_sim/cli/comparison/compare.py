"""The comparison: every way answers the same clicks on every set."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.cli.errors import UsageError
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.evaluation.clicks import draw_clicks
from napari_dinov3_sim.core.evaluation.comparison import ClassScores, Comparison
from napari_dinov3_sim.core.evaluation.precision import score_clicks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.comparison.annotated_sets import AnnotatedSet
    from napari_dinov3_sim.cli.comparison.ways import Features, Way
    from napari_dinov3_sim.core.evaluation.clicks import AnnotatedClick


@dataclass(frozen=True, eq=False)
class Questions:
    """The clicks on a set.

    Attributes
    ----------
    of : AnnotatedSet
    names : tuple of str
        Its classes.
    clicks : list of list of AnnotatedClick
        For each class.
    """

    of: AnnotatedSet
    names: tuple[str, ...]
    clicks: list[list[AnnotatedClick]]


def compare(
    sets: Sequence[AnnotatedSet],
    ways: Sequence[Way],
    clicks: int = 3,
    progress: Callable[[str, int, int], None] | None = None,
    failed: Callable[[SimilarityError], None] | None = None,
) -> Comparison:
    """Compare ways to make features, one way in memory at a time.

    Parameters
    ----------
    sets : sequence of AnnotatedSet
    ways : sequence of Way
        Their names differ.
    clicks : int
        On each class in each image, at most.
    progress : callable, optional
        Called with (name of the way, images done, images in all).
    failed : callable, optional
        Called with why a way cannot be opened, which is then left out; by default that is raised.

    Raises
    ------
    SimilarityError
        A file cannot be read, nothing can be asked, or no way can be opened.
    """
    questions = [ask(one, clicks) for one in sets]
    if not any(map(_can_be_asked, itertools.chain(*(asked.clicks for asked in questions)))):
        raise UsageError(
            "No class covers enough patches to be asked: five in an image, of 16 × 16 pixels, and "
            "most of each; enlarge the images with --zoom, or annotate more."
        )
    scores = {}
    for way in ways:
        try:
            features = way.open()
        except SimilarityError as error:
            if failed is None:
                raise
            failed(error)
        else:
            scores[way.name] = _answers(questions, way, features, progress)
            del features  # before the next is loaded
    if not scores:
        raise UsageError("There is nothing to compare; name a model that can be loaded.")
    found = []
    for number, asked in enumerate(questions):
        for at, (name, drawn) in enumerate(zip(asked.names, asked.clicks, strict=True)):
            if _can_be_asked(drawn):
                chances = np.array([one.chance for one in drawn])
                known = chances[~np.isnan(chances)]
                chance = float(known.mean()) if len(known) else float("nan")
                of_class = {way: answers[number][at] for way, answers in scores.items()}
                found.append(ClassScores(asked.of.name, name, chance, of_class))
    return Comparison(tuple(scores), tuple(found))


def _can_be_asked(clicks: Sequence[AnnotatedClick]) -> bool:
    return any(click.within or click.across for click in clicks)


def ask(one: AnnotatedSet, most: int) -> Questions:
    """Read the annotation of a set and draw clicks."""
    annotations = [image.read_annotation() for image in one.images]
    names = one.names_of(annotations)
    return Questions(one, tuple(names.values()), draw_clicks(annotations, list(names), most))


def _answers(
    questions: Sequence[Questions],
    way: Way,
    features: Features,
    progress: Callable[[str, int, int], None] | None,
) -> list[list[NDArray[np.float64]]]:
    """Return the precision of all clicks, by set and class."""
    total = sum(len(asked.of.images) for asked in questions)
    done = 0
    found = []
    for asked in questions:
        maps = []
        for image in asked.of.images:
            if progress is not None:
                progress(way.name, done, total)
            maps.append(way.vectors(features, image.read_pixels()))
            done += 1
        found.append([score_clicks(clicks, maps) for clicks in asked.clicks])
    if progress is not None:
        progress(way.name, done, total)
    return found
