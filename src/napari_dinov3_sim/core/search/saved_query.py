"""A saved query: vectors and names of classes, and thumbnails of what was clicked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.embedding.recipe import FACTORS
from napari_dinov3_sim.core.errors import QueryModelError, StateError
from napari_dinov3_sim.core.images.intensity import IntensityWindow, convert_to_rgb
from napari_dinov3_sim.core.state import same_weights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.combine import ClassQuery, Combination
    from napari_dinov3_sim.core.search.similarity import Point, SimilarityMap
    from napari_dinov3_sim.core.state import PatchImageState

COMBINATIONS = ("auto", "mean", "best", "contrast", "learned")
THUMBNAIL = 64
"""Side of a thumbnail, in pixels."""


@dataclass(frozen=True, eq=False)
class SavedClass:
    """One class of a saved query.

    Attributes
    ----------
    name : str
    colour : str
        As ``#rrggbb``.
    positives : ndarray of float32, shape (n, D)
        Unit rows, at least one.
    negatives : ndarray of float32, shape (m, D)
        Unit rows; m may be 0.
    background : ndarray of float32, shape (D,), or None
        Mean direction of the images that were clicked.
    thumbnails : tuple of ndarray of uint8, shape (h, w, 3)
        What was clicked, for people; see `make_thumbnail`.
    threshold : float or None
        The threshold that was set by hand, in units of the cosine; None where the automatic one
        is meant.

    Raises
    ------
    StateError
        A value is not of this form.
    """

    name: str
    colour: str
    positives: NDArray[np.float32] = field(repr=False)
    negatives: NDArray[np.float32] = field(repr=False)
    background: NDArray[np.float32] | None = field(default=None, repr=False)
    thumbnails: tuple[NDArray[np.uint8], ...] = field(default=(), repr=False)
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not self.name or not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise StateError("A saved class needs a name and a colour such as #ff8800.")
        rows = [self.positives, self.negatives]
        rows += [] if self.background is None else [self.background[np.newaxis]]
        lengths = {one.shape[-1] for one in rows if one.ndim == 2}
        if not all(map(_are_units, rows)) or len(lengths) != 1 or not len(self.positives):
            raise StateError(f"The vectors of “{self.name}” are not unit vectors of one length.")
        if not all(map(_is_picture, self.thumbnails)):
            raise StateError(f"A thumbnail of “{self.name}” is not an 8-bit RGB picture.")
        if self.threshold is not None and not _is_cosine(self.threshold):
            raise StateError(f"The threshold of “{self.name}” is not a cosine, from -1 to 1.")

    @classmethod
    def of(
        cls,
        class_query: ClassQuery,
        colour: str,
        thumbnails: Iterable[NDArray[np.uint8]] = (),
        threshold: float | None = None,
    ) -> SavedClass:
        """Return a class as it is saved.

        Parameters
        ----------
        class_query : ClassQuery
        colour : str
            As ``#rrggbb``.
        thumbnails : iterable of ndarray of uint8, shape (h, w, 3), optional
        threshold : float, optional
            The one that was set by hand, in units of the cosine.
        """
        from napari_dinov3_sim.core.vectors import normalize_embeddings

        background = class_query.background
        if background is not None:
            background = normalize_embeddings(background)
        negatives = class_query.negatives.reshape(-1, class_query.positives.shape[1])
        return cls(
            class_query.name,
            colour,
            class_query.positives,
            negatives,
            background,
            tuple(thumbnails),
            threshold,
        )

    def query(self) -> ClassQuery:
        """Return the class for `score_classes`."""
        from napari_dinov3_sim.core.search.combine import ClassQuery

        return ClassQuery(self.name, self.positives, self.negatives, self.background)


@dataclass(frozen=True, eq=False)
class SavedQuery:
    """A query that can be searched in other images, if the same model has embedded them.

    Attributes
    ----------
    classes : tuple of SavedClass
        At least one; no two of the same name.
    combination : {'auto', 'mean', 'best', 'contrast', 'learned'}
        How the vectors of a class are combined.
    fingerprint : str
        Of the model.
    model : str
        Name of the model, for messages and to load it again.
    cell_size : int
        Pixels of the image per vector along each axis when the query was made.
    factor : {0.5, 1, 2, 4} or None
        How much larger than the image its pixels went through the model then; None where that is
        not known.

    Raises
    ------
    StateError
        A value is not of this form.
    """

    classes: tuple[SavedClass, ...]
    combination: Combination
    fingerprint: str
    model: str
    cell_size: int
    factor: float | None = None

    def __post_init__(self) -> None:
        names = {saved_class.name for saved_class in self.classes}
        lengths = {saved_class.positives.shape[1] for saved_class in self.classes}
        if len(lengths) != 1 or len(names) != len(self.classes):
            raise StateError(
                "A saved query needs classes of different names with vectors of one length."
            )
        if self.combination not in COMBINATIONS or self.cell_size < 1 or not self.fingerprint:
            raise StateError("A saved query needs a combination, a model and a cell size.")
        if self.factor not in (None, *FACTORS):
            raise StateError(f"A query is made at resolution ½, 1, 2 or 4, not {self.factor}.")

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that were set by hand, by class."""
        return {one.name: one.threshold for one in self.classes if one.threshold is not None}

    def check_model(self, fingerprint: str, model: str) -> None:
        """Raise `QueryModelError` unless the query was made with these weights.

        In which arithmetic does not matter (`same_weights`).

        Parameters
        ----------
        fingerprint, model : str
            Of the model that is to be used, and its name.
        """
        if same_weights(fingerprint, self.fingerprint):
            return
        if model == self.model:
            raise QueryModelError(
                f"The query was made with the model {model}, which has other weights here: "
                "built-in models change with the version of the package; ask the query again from "
                "its pictures, or click anew."
            )
        raise QueryModelError(
            f"The query was made with the model {self.model}, and this is {model}; load the "
            "former, ask the query again from its pictures with the latter, or click anew."
        )

    def remark(self, factor: float, cell_size: int) -> str:
        """Return how the embeddings that are searched differ from those of the query.

        The model is the same and answers, but sees things larger or smaller than it did.

        Parameters
        ----------
        factor : float
            How much larger than the image its pixels go through the model.
        cell_size : int
            Pixels of the image per vector along each axis.

        Returns
        -------
        str
            A clause, such as "it was made at resolution 2, and this is 1"; empty where they do
            not differ.
        """
        # Shifted passes may have the cells of a higher resolution, in which all looks larger.
        if self.factor not in (None, factor):
            return f"it was made at resolution {self.factor:g}, and this is {factor:g}"
        if cell_size == self.cell_size:
            return ""
        return (
            f"it was made at one vector per {self.cell_size} pixels, and now there is one per "
            f"{cell_size}"
        )

    def score(self, state: PatchImageState, model: str = "another model") -> list[SimilarityMap]:
        """Return how similar the patches of an image are to each class.

        Parameters
        ----------
        state : PatchImageState
        model : str, optional
            Name of the model that embedded the image, for the message.

        Returns
        -------
        list of SimilarityMap
            In the order of the classes.

        Raises
        ------
        QueryModelError
            Another model embedded the image.
        """
        from napari_dinov3_sim.core.search.combine import score_classes

        self.check_model(state.fingerprint, model)
        return score_classes(
            [saved_class.query() for saved_class in self.classes], state, self.combination
        )


def make_thumbnail(
    image: NDArray[Any],
    window: IntensityWindow | None,
    point: Point,
    side: int = THUMBNAIL,
) -> NDArray[np.uint8]:
    """Return what lies around a point, as the model saw it.

    Parameters
    ----------
    image : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
    window : IntensityWindow or None
        The window the image was embedded through.
    point : (x, y)
        In pixels, inside the image.
    side : int, optional
        Height and width, in pixels.

    Returns
    -------
    ndarray of uint8, shape (side, side, 3)
        The point is in the middle; beyond a border the image goes on mirrored.
    """
    inside, beyond = [], []
    for at, size in zip(reversed(point), image.shape, strict=False):
        start = int(at) - side // 2
        inside.append(slice(max(0, start), min(start + side, size)))
        beyond.append((max(0, -start), max(0, start + side - size)))
    rgb = convert_to_rgb(image[tuple(inside)], window)
    picture = (rgb * 255 + 0.5).astype(np.uint8)
    return np.pad(picture, [*beyond, (0, 0)], mode="symmetric")


def _are_units(rows: NDArray[Any]) -> bool:
    if rows.ndim != 2 or rows.dtype != np.float32:
        return False
    return bool(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-2))


def _is_cosine(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -1 <= value <= 1  # type: ignore[operator]


def _is_picture(picture: NDArray[Any]) -> bool:
    return picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
