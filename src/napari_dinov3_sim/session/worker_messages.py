"""Messages from workers to the main thread: frozen values, failures among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.backbones import ModelIdentity
    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.images.planes import (
        IntensityWindows,
        LayerAxes,
        PlaneKey,
        WindowKey,
    )
    from napari_dinov3_sim.store import EmbeddingStore


@dataclass(frozen=True)
class StateHandle:
    """A plane's patch state, or the digest under which a worker finds it in the store."""

    digest: str
    state: PatchImageState | None = field(default=None, repr=False, compare=False)

    def fetch(self, store: EmbeddingStore) -> PatchImageState | None:
        """Return the state, or None if no store has it any more; for worker threads."""
        return store.fetch(self.digest) if self.state is None else self.state


@dataclass(frozen=True)
class Failure:
    """An error that travels as a value.

    Attributes
    ----------
    subject : {'model', 'plane', 'internal'}
        What failed: loading the model, embedding one plane, or the program itself.
    message : str
        One sentence with the cure.
    plane : PlaneKey or None
        The plane concerned.
    error : BaseException or None
        What was raised, for logs and for scripts that want it.
    """

    subject: Literal["model", "plane", "internal"]
    message: str
    plane: PlaneKey | None = None
    error: BaseException | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        error: BaseException,
        subject: Literal["model", "plane", "internal"],
        plane: PlaneKey | None = None,
    ) -> Failure:
        """Describe an exception: a user's error by its sentence, any other by its type too."""
        if isinstance(error, SimilarityError):
            return cls(subject, str(error), plane, error)
        message = f"{type(error).__name__}: {error}. Please report this with the steps before it."
        return cls("internal" if subject != "plane" else subject, message, plane, error)


@dataclass(frozen=True)
class Progress:
    """How far a job is; `total` 0 means that the end is not known."""

    description: str
    done: int
    total: int


@dataclass(frozen=True)
class Notice:
    """Something that the user should know, in one sentence."""

    message: str


@dataclass(frozen=True)
class ModelKnown:
    """What is remembered of a model that has not been loaded yet, under the name asked for."""

    model: str
    identity: ModelIdentity


@dataclass(frozen=True)
class ModelLoaded:
    """The backbone that a job loaded, under the name it was asked for."""

    model: str
    backbone: Backbone


@dataclass(frozen=True)
class PlaneEmbedded:
    """One plane's patch state, the digest it is stored under, and what is seen of its layer.

    Attributes
    ----------
    plane : PlaneKey
    digest : str
    state : PatchImageState
    window_key : WindowKey
    windows : tuple of IntensityWindow or None
        Those of the layer.
    contrast : bool
        Whether the layer shows anything.
    """

    plane: PlaneKey
    digest: str
    state: PatchImageState
    window_key: WindowKey
    windows: IntensityWindows
    contrast: bool


@dataclass(frozen=True, eq=False)
class PlaneMaps:
    """The maps of one plane: one for each class.

    Attributes
    ----------
    grid : PatchGrid
    cosines : mapping of str to ndarray of float32, shape (rows, columns)
        By class.
    """

    grid: PatchGrid
    cosines: Mapping[str, NDArray[np.float32]] = field(repr=False)


@dataclass(frozen=True)
class MapReady:
    """One target plane's maps."""

    plane: PlaneKey
    handle: StateHandle
    maps: PlaneMaps


@dataclass(frozen=True)
class LayerReady:
    """What the layers over one image show now: heatmaps by class, and the class map if any."""

    layer: LayerAxes
    heatmaps: Mapping[str, LayerData]
    class_map: LayerData | None


@dataclass(frozen=True)
class StateGone:
    """A plane's state is in no store any more; it must be embedded again."""

    plane: PlaneKey


@dataclass(frozen=True, eq=False)
class AnswerSummary:
    """What is known once everything that is shown has been answered.

    Attributes
    ----------
    limits : tuple of float
        One scale for all maps.
    histograms : mapping of str to ndarray of int, shape (HISTOGRAM_BINS,)
        How many patches have which cosine from -1 to 1, by class.
    thresholds : mapping of str to float
        The automatic threshold of each class.
    """

    limits: tuple[float, float]
    histograms: Mapping[str, NDArray[np.intp]] = field(repr=False)
    thresholds: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Answered:
    """What has been answered since the last message, together, so that it is drawn at once.

    Attributes
    ----------
    maps : tuple of MapReady
    layers : tuple of LayerReady
        Of the images of these maps.
    summary : AnswerSummary or None
        None as long as more comes.
    """

    maps: tuple[MapReady, ...]
    layers: tuple[LayerReady, ...]
    summary: AnswerSummary | None


@dataclass(frozen=True, eq=False)
class Computed:
    """One of the results that a job was asked for; several may follow each other."""

    value: object = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """A job has ended, by itself or because it was cancelled."""

    cancelled: bool = False


Message = (
    Failure
    | Notice
    | Progress
    | ModelKnown
    | ModelLoaded
    | PlaneEmbedded
    | StateGone
    | Answered
    | Computed
    | Finished
)
