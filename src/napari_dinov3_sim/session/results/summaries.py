"""One sentence for the user about each result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.results.computations import AnsweredImage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.images.planes import LayerAxes, Plane, PlaneKey
    from napari_dinov3_sim.session.results.computations import (
        FoundColours,
        FoundLabels,
        FoundMatches,
        FoundPeaks,
    )
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import PlaneMaps


@dataclass(frozen=True)
class MissingImages:
    """The ticked images that a result does not have, at the moment it was asked for.

    Attributes
    ----------
    waiting : tuple of str
        Names of those that were still being embedded.
    absent : tuple of str
        Names of those that nothing was coming of: failed, cancelled, or never asked for.
    planes : bool
        Whether more planes of the images that it has were still on their way.
    unsearched : int
        Planes of their stacks that nobody has asked for.
    """

    waiting: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    planes: bool = False
    unsearched: int = 0


def known_images(scene: Scene) -> tuple[AnsweredImage, ...]:
    """Return the images that have heatmaps, each with all of its planes that are answered."""
    known: dict[LayerAxes, dict[PlaneKey, PlaneMaps]] = {}
    for key in scene.answers.planes():
        maps = scene.maps_of(key)
        if maps is not None:
            known.setdefault(key.layer, {})[key] = maps
    shown = scene.shown_planes().values()
    return tuple(
        AnsweredImage(plane, known[plane.key.layer]) for plane in shown if plane.key.layer in known
    )


def answered_images(scene: Scene) -> tuple[AnsweredImage, ...]:
    """Return the images that have heatmaps, as `known_images` does.

    Raises
    ------
    SimilarityError
        There is none.
    """
    images = known_images(scene)
    if not images:
        raise SimilarityError(
            "There is no heatmap yet; click on what you mean and wait until the images have "
            "lit up."
        )
    return images


def without_heatmap(scene: Scene) -> MissingImages:
    """Return the shown images that have no heatmap, and whether other planes have none yet."""
    missing = [
        plane for plane in scene.shown_planes().values() if scene.maps_of(plane.key) is None
    ]
    left_out = _sort(scene, missing)
    working = scene.embedder.busy or scene.answers.pending
    answered = Counter(key.layer for key in scene.answers.planes())
    unsearched = sum(
        plane.stack_size - answered[plane.key.layer]
        for plane in scene.shown_planes().values()
        if scene.maps_of(plane.key) is not None
    )
    return MissingImages(
        left_out.waiting,
        left_out.absent,
        planes=working and not left_out.waiting,
        unsearched=0 if working else unsearched,
    )


def without_embeddings(scene: Scene) -> MissingImages:
    """Return the shown images that are not embedded."""
    return _sort(
        scene, [p for p in scene.shown_planes().values() if scene.state_handle(p.key) is None]
    )


def _sort(scene: Scene, missing: list[Plane]) -> MissingImages:
    """Tell those that come by themselves from those that do not."""
    waiting = {plane.key for plane in missing if _is_coming(scene, plane)}
    return MissingImages(
        tuple(plane.name for plane in missing if plane.key in waiting),
        tuple(plane.name for plane in missing if plane.key not in waiting),
    )


def _is_coming(scene: Scene, plane: Plane) -> bool:
    if scene.state_handle(plane.key) is not None:
        return scene.answers.pending and not scene.answers.is_unanswerable(plane.key)
    return scene.embedder.busy and scene.embedder.is_coming(plane.key)


NAMED = 3
"""More images are counted: a sentence is no list."""


def describe_labels(left_out: MissingImages, found: Sequence[FoundLabels]) -> str:
    """Say how many objects there are, for example “3 objects in 2 images at score 0.61.”."""
    objects = sum(one.objects for one in found)
    images = _images(len({one.layer for one in found}), left_out)
    levels = {one.class_name: one.threshold for one in found}
    return _sentence(left_out, f"{plural(objects, 'object')} in {images} at {_levels(levels)}")


def describe_peaks(left_out: MissingImages, found: Sequence[FoundPeaks]) -> str:
    """Say how many peaks there are."""
    peaks = sum(len(one.peaks) for one in found)
    images, levels = _images(len(found), left_out), _levels(found[0].thresholds)
    return _sentence(left_out, f"{plural(peaks, 'peak')} in {images} from {levels} up")


def describe_table(path: Path, left_out: MissingImages, found: Sequence[int]) -> str:
    """Say how many peaks were written."""
    return _sentence(left_out, f"{plural(found[0], 'peak')} saved to {path}")


def describe_matches(names: tuple[str, str], found: Sequence[FoundMatches]) -> str:
    """Say how many pairs there are, and how good."""
    cosine = found[0].cosine
    if not len(cosine):
        return f"There are no mutual best matches between {names[0]} and {names[1]}."
    return (
        f"{len(cosine)} mutual best {'match' if len(cosine) == 1 else 'matches'} between "
        f"{names[0]} and {names[1]}, from cosine {cosine[-1]:.2f} to {cosine[0]:.2f}."
    )


def describe_colours(left_out: MissingImages, found: Sequence[FoundColours]) -> str:
    """Say what has colours, and what is not embedded."""
    said = f"colours of the embeddings of {_images(len(found), left_out)}"
    return _sentence(left_out, said, "is not embedded yet", "are not embedded yet")


def describe_saved(path: Path, found: Sequence[SavedQuery]) -> str:
    """Say what was saved."""
    return f"The query of {plural(len(found[0].classes), 'class')} was saved to {path}."


def describe_loaded(
    name: str,
    query: SavedQuery,
    remark: str,
    taken: Mapping[str, float],
    staying: Mapping[str, float],
) -> str:
    """Say what was loaded, if it was made at another resolution, and which thresholds hold.

    Parameters
    ----------
    name : str
        Of the file.
    query : SavedQuery
    remark : str
        How its resolution differs; empty if it does not.
    taken, staying : mapping of str to float
        Thresholds of classes that come from the query, and that were set by hand before.
    """
    names = [saved_class.name for saved_class in query.classes]
    parts = [f"{name} asks for {', '.join(names)}", remark]
    for verb, thresholds in (("is set to", taken), ("stays at", staying)):
        levels = [f"{thresholds[name]:.2f} ({name})" for name in names if name in thresholds]
        parts.append(f"the threshold {verb} {', '.join(levels)}" if levels else "")
    return f"{'; '.join(filter(None, parts))}."


def _images(number: int, left_out: MissingImages) -> str:
    """Return how many images there are, of how many if some are left out."""
    missing = len(left_out.waiting) + len(left_out.absent)
    return (
        f"{number} of {plural(number + missing, 'image')}" if missing else plural(number, "image")
    )


def _sentence(
    left_out: MissingImages,
    result: str,
    one: str = "has no heatmap",
    several: str = "have no heatmap",
) -> str:
    """Return what to do about what a result is without, then the result.

    The message that napari shows is cut to one line: what to do must not be at its end.
    """
    parts = []
    if left_out.waiting:
        are = "are" if len(left_out.waiting) > 1 else "is"
        parts.append(f"press again when {_names(left_out.waiting)} {are} embedded")
    if left_out.absent:
        has = several if len(left_out.absent) > 1 else one
        parts.append(f"press Embed and try again, {_names(left_out.absent)} {has}")
    if left_out.unsearched:
        were = "was" if left_out.unsearched == 1 else "were"
        other = plural(left_out.unsearched, "other plane")
        parts.append(f"tick All planes, {other} {were} not searched")
    if left_out.planes:
        parts.append("press again when all planes are embedded")
    text = f"{'; '.join(parts)}: {result}." if parts else f"{result}."
    return text[0].upper() + text[1:]


def _names(names: Sequence[str]) -> str:
    """Return names as they stand in a sentence, the last ones of many as a number."""
    shown = list(names) if len(names) <= NAMED else [*names[:NAMED], f"{len(names) - NAMED} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _levels(levels: Mapping[str, float]) -> str:
    """Return the thresholds: one where all classes have the same."""
    texts = {class_name: f"{level:.2f}" for class_name, level in levels.items()}
    if len(set(texts.values())) == 1:
        return f"score {next(iter(texts.values()))}"
    return "score " + ", ".join(f"{text} ({class_name})" for class_name, text in texts.items())
