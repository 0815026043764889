"""A question: picks of all classes, and how they are combined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session.images.planes import PlaneKey
    from napari_dinov3_sim.session.worker_messages import StateHandle


MAX_LABEL_CLASSES = 50
"""Each label is a class, and each class a heatmap layer over every image; more than so many freeze
the window and are told apart by nobody."""


@dataclass(frozen=True)
class Pick:
    """A query point: a pixel of the embedded plane, and where its state is found."""

    plane: PlaneKey
    x: int
    y: int
    class_name: str = DEFAULT_CLASS
    positive: bool = True


@dataclass(frozen=True)
class PolygonPick:
    """A drawn region.

    Attributes
    ----------
    plane : PlaneKey
    vertices : tuple of (x, y)
        In pixels of the embedded plane.
    class_name : str
    positive : bool
    """

    plane: PlaneKey
    vertices: tuple[tuple[float, float], ...]
    class_name: str = DEFAULT_CLASS
    positive: bool = True


@dataclass(frozen=True)
class LabelsPick:
    """The regions of a Labels layer; each id above 0 is a class, or one region of a class.

    Attributes
    ----------
    plane : PlaneKey
        The plane of the image that they lie on.
    source : (layer id, version)
        Which labels, at which state of editing.
    name : str
        Name of the labels layer; classes are called ``<name> <id>``.
    matrix, offset : tuple of float
        Where a pixel (y, x) of the embedded plane lies in the labels:
        ``matrix @ (y, x) + offset``, row by row.
    labels : array_like, shape (H, W)
        Not compared; `source` says which it is.
    class_name : str or None
        The class of all of them; None where each is a class of its own.
    positive : bool
    left_out : frozenset of str
        Classes that are not asked.
    """

    plane: PlaneKey
    source: tuple[Hashable, int]
    name: str
    matrix: tuple[float, ...]
    offset: tuple[float, ...]
    labels: Any = field(compare=False, repr=False)
    class_name: str | None = None
    positive: bool = True
    left_out: frozenset[str] = frozenset()

    def class_of(self, number: int) -> str:
        """Return the class of a label."""
        return class_of_label(self.name, number, self.class_name)


def class_of_label(name: str, number: int, class_name: str | None) -> str:
    """Return the class of a label of a layer: its own, or that of all of them."""
    return f"{name} {number}" if class_name is None else class_name


@dataclass(frozen=True, eq=False)
class VectorPick:
    """Vectors of a saved query: a class that lies in none of the open images.

    Attributes
    ----------
    class_name : str
    positives, negatives : ndarray, shape (n, D)
    background : ndarray, shape (D,), or None
    fingerprint : str
        Of the model that made them.
    """

    class_name: str
    positives: NDArray[np.float32]
    negatives: NDArray[np.float32]
    background: NDArray[np.float32] | None
    fingerprint: str


AnyPick = Pick | PolygonPick | LabelsPick | VectorPick


@dataclass(frozen=True)
class Question:
    """What every target is compared with.

    Attributes
    ----------
    picks : tuple of picks
    states : tuple of (PlaneKey, StateHandle)
        Of the planes that were picked on.
    combination : str
        How the picks of a class are combined, see `core.combine`.
    thresholds : tuple of (class name, float)
        A class wins no patch whose score is below its threshold; without one it may win any.
    """

    picks: tuple[AnyPick, ...]
    states: tuple[tuple[PlaneKey, StateHandle], ...]
    combination: Combination
    thresholds: tuple[tuple[str, float], ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that are known before labels are read, by their first pick."""
        return tuple(dict.fromkeys(named_classes(self.picks)))


def named_classes(picks: Iterable[AnyPick]) -> Iterator[str]:
    """Yield the class of each pick, but for labels that are a class each: a worker reads them."""
    for pick in picks:
        if pick.class_name is not None:
            yield pick.class_name


def has_rivals(picks: Iterable[AnyPick]) -> bool:
    """Whether there may be several classes, of which one wins each patch."""
    found = {pick.class_name for pick in picks}
    return None in found or len(found) > 1


def is_only_negative(picks: tuple[AnyPick, ...]) -> bool:
    """Whether something is picked, and all of it says what is not meant."""
    return bool(picks) and not any(_is_positive(pick) for pick in picks)


def classes_with_positive(picks: Iterable[AnyPick]) -> set[str | None]:
    """Return the classes that have an example; None where single labels are classes."""
    return {pick.class_name for pick in picks if _is_positive(pick)}


def classes_without_positive(picks: tuple[AnyPick, ...]) -> tuple[str, ...]:
    """Return the classes of which only what is not meant is picked: they get no heatmap."""
    meant = classes_with_positive(picks)
    return tuple(dict.fromkeys(name for name in named_classes(picks) if name not in meant))


def _is_positive(pick: AnyPick) -> bool:
    return isinstance(pick, VectorPick) or pick.positive
