"""What a project says: frozen values, each of which is checked and bounded when it is read.

They are dataclasses of pydantic, strict and without unknown fields: what a file says is either
exactly of this form, or refused. `docs/projects.md` describes the form for other programs.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import ConfigDict, Field, FiniteFloat, model_validator
from pydantic.dataclasses import dataclass

PROJECT_FORMAT: Final = "napari-dinov3-sim project"
PROJECT_VERSION: Final = 2
"""To be raised with every change of the form; a file of a newer version is refused."""

MAX_ARRAY = 2**30
"""Bytes of one array in a project."""

MAX_ARRAYS = 2**32
"""Bytes of all arrays of a project."""

MAX_AXES = 12
MAX_IMAGES = 10_000
MAX_ROWS = 1_000_000
MAX_TEXT = 4000

STRICT = ConfigDict(strict=True, extra="forbid")

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Count = Annotated[int, Field(ge=0, le=2**53)]
ImageNumber = Annotated[int, Field(ge=0, lt=MAX_IMAGES)]
Coordinate = FiniteFloat | None
"""None where a coordinate is no number, as in points that a program has put nowhere."""

Vector = Annotated[tuple[FiniteFloat, ...], Field(max_length=MAX_AXES)]
Place = Annotated[tuple[Coordinate, ...], Field(max_length=MAX_AXES)]
Matrix = Annotated[tuple[Vector, ...], Field(max_length=MAX_AXES + 1)]
Shape = Annotated[tuple[Count, ...], Field(max_length=MAX_AXES)]
Texts = Annotated[tuple[Text, ...], Field(max_length=MAX_IMAGES)]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Dtype = Annotated[str, Field(pattern=r"^(\|[bui]1|[<>][uif][248])$")]
MemberName = Annotated[
    str, Field(pattern=r"^((images|regions|results)/[0-9]{1,6}\.npy|query\.safetensors)$")
]
Cell = bool | int | FiniteFloat | Text | None
Area = Annotated[FiniteFloat, Field(ge=0)] | Text
"""Pixels, or a text with a unit."""

ColourRow = Annotated[tuple[FiniteFloat, ...], Field(min_length=4, max_length=4)]
Rows = Field(max_length=MAX_ROWS)
"""So many points, shapes or rows of a table at most."""


@dataclass(frozen=True, config=STRICT)
class MemberRecord:
    """A file inside the project.

    Attributes
    ----------
    name : str
    size : int
        Bytes, unpacked.
    sha256 : str
        In hexadecimal, of these bytes.
    """

    name: MemberName
    size: Count
    sha256: Sha256


@dataclass(frozen=True, config=STRICT)
class ArrayRecord:
    """An array in a member of NumPy's format.

    Attributes
    ----------
    member : str
    shape : tuple of int
    dtype : str
        As NumPy writes it, such as ``<u2``: booleans, integers and floats of up to 64 bits.
    """

    member: MemberName
    shape: Shape
    dtype: Dtype

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @model_validator(mode="after")
    def _check(self) -> ArrayRecord:
        if self.nbytes > MAX_ARRAY:
            raise ValueError(f"an array of {self.nbytes} bytes is too large")
        return self


@dataclass(frozen=True, config=STRICT)
class ColumnRecord:
    """A column of a table of features; None where there is no value."""

    name: Text
    values: Annotated[tuple[Cell, ...], Rows]


Columns = Annotated[tuple[ColumnRecord, ...], Field(max_length=1000)]


@dataclass(frozen=True, config=STRICT)
class PlacementRecord:
    """Where a layer lies in the world, as napari's attributes of these names.

    None where a layer has no rotation, shear or further affine transform.
    """

    scale: Vector
    translate: Vector
    units: Texts
    axis_labels: Texts
    rotate: Matrix | None = None
    shear: Vector | Matrix | None = None
    affine: Matrix | None = None

    def check(self, ndim: int) -> None:
        """Raise ValueError unless this is said of a layer with so many axes."""
        if {len(self.scale), len(self.translate), len(self.units), len(self.axis_labels)} != {
            ndim
        }:
            raise ValueError("a layer is placed with another number of axes than it has")
        matrices = [(self.rotate, ndim), (self.affine, ndim + 1)]
        if any(m is not None and {len(m), *map(len, m)} != {size} for m, size in matrices):
            raise ValueError("a layer is turned with another number of axes than it has")


@dataclass(frozen=True, config=STRICT)
class ColormapRecord:
    """A colormap by its name, with its colours where it is not one of napari's."""

    name: Text
    colours: Annotated[tuple[ColourRow, ...], Field(max_length=4096)] | None = None
    controls: Annotated[tuple[FiniteFloat, ...], Field(max_length=4097)] | None = None
    interpolation: Literal["linear", "zero"] = "linear"


@dataclass(frozen=True, config=STRICT)
class LookRecord:
    """How a layer is shown, as napari's attributes of these names."""

    visible: bool
    opacity: FiniteFloat
    blending: Text
    contrast_limits: Annotated[tuple[FiniteFloat, ...], Field(min_length=2, max_length=2)] | None
    gamma: FiniteFloat = 1.0
    colormap: ColormapRecord | None = None
    interpolation: Text = "nearest"


@dataclass(frozen=True, config=STRICT)
class FileRecord:
    """The file that an image was opened from.

    Attributes
    ----------
    relative : str or None
        From the folder of the project, as a relative URI reference; None on another drive.
    absolute : str
        Where it was when the project was saved, as a ``file:`` URI.
    reader : str
        The napari plugin that read it.
    layer : int
        Which of the image layers of the file it is.
    """

    relative: Text | None
    absolute: Text
    reader: Text
    layer: Count


@dataclass(frozen=True, config=STRICT)
class ImageRecord:
    """An image layer.

    Attributes
    ----------
    name : str
    levels : tuple of tuple of int
        Shapes of all levels, the finest first, with channels if `rgb`.
    dtype : str
        As the array says.
    rgb : bool
    digest : str
        Of the pixels that are searched.
    file : FileRecord or None
    arrays : tuple of ArrayRecord
        The levels of an image that has no file, if they are in the project.
    placement : PlacementRecord
    look : LookRecord
    ticked : bool
        Whether it is searched.
    """

    name: Text
    levels: Annotated[tuple[Shape, ...], Field(min_length=1, max_length=64)]
    dtype: Text
    rgb: bool
    digest: Sha256
    file: FileRecord | None
    arrays: Annotated[tuple[ArrayRecord, ...], Field(max_length=64)]
    placement: PlacementRecord
    look: LookRecord
    ticked: bool

    @model_validator(mode="after")
    def _check(self) -> ImageRecord:
        if self.arrays and tuple(array.shape for array in self.arrays) != self.levels:
            raise ValueError("the arrays of an image are not its levels")
        if len({len(shape) for shape in self.levels}) > 1:
            raise ValueError("the levels of an image have different numbers of axes")
        self.placement.check(len(self.levels[0]) - self.rgb)
        return self


@dataclass(frozen=True, config=STRICT)
class ChannelsRecord:
    """Images that are searched as the red, green and blue of one; None is black."""

    channels: Annotated[tuple[ImageNumber | None, ...], Field(min_length=3, max_length=3)]


@dataclass(frozen=True, config=STRICT)
class UsedModel:
    """The model: its name, or the path of its weights, and its fingerprint, if it was known."""

    name: Text
    fingerprint: Text


@dataclass(frozen=True, config=STRICT)
class RecipeRecord:
    """How images were embedded; see `Recipe` and `Tiling`."""

    factor: FiniteFloat
    shifts: Count
    padding: Text
    debias: Count
    side: Count
    overlap: Count
    joint: Text


@dataclass(frozen=True, config=STRICT)
class ClassRecord:
    """A class of the query, with its threshold where that was set by hand."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    colour: Colour
    threshold: Annotated[FiniteFloat, Field(ge=-1, le=1)] | None = None
    hidden: bool = False


@dataclass(frozen=True, config=STRICT)
class OriginRecord:
    """What a point or a shape was set on.

    Attributes
    ----------
    image : int or None
        Number of the image; None for none.
    lead : tuple of float
        Where the sliders were along the axes that its layer lacks.
    ignored : bool
        Whether it was set where a click means nothing.
    """

    image: ImageNumber | None
    lead: Vector = ()
    ignored: bool = False


@dataclass(frozen=True, config=STRICT)
class PointRecord:
    """A query point: its place in data of the layer, its class and sign, and its image."""

    place: Place
    class_name: Text
    positive: bool
    origin: OriginRecord


@dataclass(frozen=True, config=STRICT)
class PointsRecord:
    """The layer of query points; `columns` are those of the user, `size` that of a point."""

    name: Text
    ndim: Annotated[int, Field(ge=2, le=MAX_AXES)]
    size: Annotated[FiniteFloat, Field(gt=0)]
    placement: PlacementRecord
    points: Annotated[tuple[PointRecord, ...], Rows]
    columns: Columns = ()

    @model_validator(mode="after")
    def _check(self) -> PointsRecord:
        self.placement.check(self.ndim)
        if any(len(point.place) != self.ndim for point in self.points):
            raise ValueError("a point has another number of axes than its layer")
        return self


@dataclass(frozen=True, config=STRICT)
class ShapeRecord:
    """A shape: its corners in data of the layer, its class and sign, and its image."""

    shape: Literal["rectangle", "ellipse", "polygon", "line", "path"]
    corners: Annotated[tuple[Place, ...], Rows]
    class_name: Text
    positive: bool
    origin: OriginRecord


@dataclass(frozen=True, config=STRICT)
class ShapesRecord:
    """A layer of shapes that are queries.

    Attributes
    ----------
    name : str
    drawn : bool
        Whether it is the plugin's own, in which boxes are drawn.
    ndim : int
    edge_width : float
    placement : PlacementRecord
    shapes : tuple of ShapeRecord
    columns : tuple of ColumnRecord
        All of the layer.
    class_name : str or None
        The class of shapes whose columns name none.
    positive : bool
    left_out : tuple of str
        Classes that are not asked.
    """

    name: Text
    drawn: bool
    ndim: Annotated[int, Field(ge=2, le=MAX_AXES)]
    edge_width: Annotated[FiniteFloat, Field(gt=0)]
    placement: PlacementRecord
    shapes: Annotated[tuple[ShapeRecord, ...], Rows]
    columns: Columns = ()
    class_name: Text | None = None
    positive: bool = True
    left_out: Texts = ()

    @model_validator(mode="after")
    def _check(self) -> ShapesRecord:
        self.placement.check(self.ndim)
        if any(len(place) != self.ndim for shape in self.shapes for place in shape.corners):
            raise ValueError("a shape has another number of axes than its layer")
        return self


@dataclass(frozen=True, config=STRICT)
class LabelsRecord:
    """A Labels layer of the user's that is a query.

    Attributes
    ----------
    name, class_name, positive, left_out
        See `ShapesRecord`.
    array : ArrayRecord
    placement : PlacementRecord
    image : int or None
        The image that it lies on, if that was said.
    sliders : tuple of tuple of float
        Where the sliders were when it was labelled.
    """

    name: Text
    array: ArrayRecord
    placement: PlacementRecord
    image: ImageNumber | None
    sliders: Annotated[tuple[Vector, ...], Field(max_length=10_000)]
    class_name: Text | None = None
    positive: bool = True
    left_out: Texts = ()

    @model_validator(mode="after")
    def _check(self) -> LabelsRecord:
        self.placement.check(len(self.array.shape))
        return self


@dataclass(frozen=True, config=STRICT)
class JudgedRecord:
    """A place of the gallery that was judged; whether it is right, the point on it says.

    Attributes
    ----------
    class_name : str
    image : int
    axes : tuple of int
        Data axes of rows and columns.
    position : tuple of int
        Where the plane lies along the other axes, ascending.
    row, column : int
        Of the patch.
    embedded_shape : tuple of int
        Height and width of what was embedded.
    patch_size : int
        Pixels of it along the side of the patch.
    score : float
        Before it was judged.
    rank : int
    threshold : float
        Score from which a place counted as found then.
    """

    class_name: Text
    image: ImageNumber
    axes: Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)]
    position: Shape
    row: Count
    column: Count
    embedded_shape: Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)]
    patch_size: Annotated[int, Field(ge=1, le=2**20)]
    score: FiniteFloat
    rank: Count
    threshold: FiniteFloat


@dataclass(frozen=True, config=STRICT)
class ResultRecord:
    """A layer of results, as it was.

    Attributes
    ----------
    form : {'labels', 'points', 'image'}
        Which sort of layer it is.
    name : str
    image : int
        The image that it lies over.
    what : tuple of str or int
        What it shows, as its mark says; a number is that of an image.
    unchanged : bool
        Whether it is as it was computed: such a layer is renewed in place.
    array : ArrayRecord
        Labels, colours, or places of points, in data of the layer.
    look : LookRecord
    columns : tuple of ColumnRecord
        Features of points or labels.
    colours : tuple of tuple of float
        Of the points, as RGBA.
    size : float
        Of the points.
    made : tuple of str
        Which columns were measured, or found by following; all others are the user's.
    axes : tuple of int
        The data axes of rows and columns that objects were found along; empty if not known.
    planes : tuple of tuple of int
        The positions along the other axes that were searched; empty if not known.
    """

    form: Literal["labels", "points", "image"]
    name: Text
    image: ImageNumber
    what: Annotated[tuple[Text | ImageNumber, ...], Field(min_length=1, max_length=8)]
    unchanged: bool
    array: ArrayRecord
    look: LookRecord
    columns: Columns = ()
    colours: Annotated[tuple[ColourRow, ...], Rows] = ()
    size: Annotated[FiniteFloat, Field(ge=0)] = 1.0
    made: Texts = ()
    axes: Annotated[tuple[Count, ...], Field(max_length=2)] = ()
    planes: Annotated[tuple[Shape, ...], Rows] = ()


@dataclass(frozen=True, config=STRICT)
class SettingsRecord:
    """What is set in the dock; see the properties of `SimilaritySession` of these names.

    `max_area` is None where objects may be of any size.
    """

    combination: Literal["auto", "mean", "best", "contrast", "learned"]
    class_name: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    positive: bool
    all_planes: bool
    auto_merge: bool
    outline: Literal["edges", "patches"]
    split_touching: bool
    connect_planes: Literal["none", "depth", "all"]
    min_area: Area
    max_area: Area | None
    show_contours: bool
    show_class_maps: bool
    smooth: bool
    outlines: bool
    side_by_side: bool
    colormap: Text
    opacity: Annotated[FiniteFloat, Field(ge=0, le=1)]
    blending: Text
    scaling: Literal["shared", "each", "fixed"]
    limits: Annotated[tuple[FiniteFloat, ...], Field(min_length=2, max_length=2)]
    source: ImageNumber | None = None


@dataclass(frozen=True, config=STRICT)
class ViewRecord:
    """Where the sliders and the camera were."""

    point: Vector
    order: Annotated[tuple[Count, ...], Field(max_length=MAX_AXES)]
    ndisplay: Literal[2, 3]
    center: Vector
    zoom: Annotated[FiniteFloat, Field(gt=0)]


@dataclass(frozen=True, config=STRICT)
class Project:
    """All of a project but its arrays.

    Attributes
    ----------
    format : str
    version : int
    program : str
        Version of the package that saved it.
    images : tuple of ImageRecord
        In the order of the layer list, the bottom one first.
    channels : tuple of ChannelsRecord
    model : UsedModel or None
    recipe : RecipeRecord
    classes : tuple of ClassRecord
    points : PointsRecord or None
    regions : tuple of ShapesRecord or LabelsRecord
        In the order in which they were added.
    query : str or None
        What a loaded query is called; it is in the member ``query.safetensors``.
    judged : tuple of JudgedRecord
    results : tuple of ResultRecord
    settings : SettingsRecord
    view : ViewRecord or None
    members : tuple of MemberRecord
    """

    program: Text
    images: Annotated[tuple[ImageRecord, ...], Field(max_length=MAX_IMAGES)]
    channels: Annotated[tuple[ChannelsRecord, ...], Field(max_length=MAX_IMAGES)]
    model: UsedModel | None
    recipe: RecipeRecord
    classes: Annotated[tuple[ClassRecord, ...], Field(max_length=MAX_IMAGES)]
    points: PointsRecord | None
    regions: Annotated[tuple[ShapesRecord | LabelsRecord, ...], Field(max_length=MAX_IMAGES)]
    query: Text | None
    judged: Annotated[tuple[JudgedRecord, ...], Rows]
    results: Annotated[tuple[ResultRecord, ...], Field(max_length=MAX_IMAGES)]
    settings: SettingsRecord
    view: ViewRecord | None
    members: Annotated[tuple[MemberRecord, ...], Field(max_length=MAX_IMAGES)] = ()
    format: Literal["napari-dinov3-sim project"] = PROJECT_FORMAT
    version: Literal[1, 2] = PROJECT_VERSION

    @property
    def arrays(self) -> tuple[ArrayRecord, ...]:
        """All arrays, in no order that means anything."""
        of_images = [array for image in self.images for array in image.arrays]
        of_regions = [each.array for each in self.regions if isinstance(each, LabelsRecord)]
        return (*of_images, *of_regions, *(result.array for result in self.results))

    @model_validator(mode="after")
    def _check(self) -> Project:
        arrays = self.arrays
        if sum(array.nbytes for array in arrays) > MAX_ARRAYS:
            raise ValueError("its arrays are too large together")
        named = [array.member for array in arrays] + ["query.safetensors"] * bool(self.query)
        if len(set(named)) < len(named):
            raise ValueError("two arrays are one member")
        if self.members and sorted(named) != sorted(member.name for member in self.members):
            raise ValueError("the members are not those that are used")
        if any(number >= len(self.images) for number in self._numbers()):
            raise ValueError("there is no image of a number that is used")
        return self

    def _numbers(self) -> list[int]:
        """Return all numbers of images that are used."""
        shapes = [each for each in self.regions if isinstance(each, ShapesRecord)]
        labelled = [each.image for each in self.regions if isinstance(each, LabelsRecord)]
        set_on = [shape.origin.image for each in shapes for shape in each.shapes]
        if self.points is not None:
            set_on += [point.origin.image for point in self.points.points]
        shown = [part for result in self.results for part in (result.image, *result.what)]
        found = [
            *(number for group in self.channels for number in group.channels),
            *(place.image for place in self.judged),
            *set_on,
            *labelled,
            *(part for part in shown if isinstance(part, int)),
            self.settings.source,
        ]
        return [number for number in found if number is not None]
