"""Heatmap layers: one per image and class, made once, kept exactly over their image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import follow_name, mark, overlay_name
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above
from napari_dinov3_sim.session.layers.style import (
    CLASS_COLOUR,
    STEPS,
    HeatmapStyle,
    colormap_of_style,
    heatmap_colormap,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.images.planes import LayerAxes
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.layers.style import Palette


class HeatmapKey(NamedTuple):
    """Which layer over which image: by the id of the image and the class."""

    image: Hashable
    class_name: str


@dataclass(frozen=True, eq=False)
class HeatmapContent:
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


Scaling = Literal["shared", "each", "fixed"]
"""Contrast limits: the same for all maps, each map's own minimum and maximum, or those given."""


class Contrast:
    """Chooses contrast limits.

    Attributes
    ----------
    pooled : tuple of float
        The one scale for all maps that there are.
    fixed : tuple of float
        The one that was given.
    """

    def __init__(self) -> None:
        self.pooled = self.fixed = (0.0, 1.0)
        self._scaling: Scaling = "shared"

    @property
    def scaling(self) -> Scaling:
        """How contrast limits are chosen."""
        return self._scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        if scaling not in get_args(Scaling):
            raise SimilarityError(
                f"There is no scaling {scaling!r}; choose shared, each or fixed."
            )
        self._scaling = scaling

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest where one scale holds for all maps."""
        return self.fixed if self._scaling == "fixed" else self.pooled

    def limits_of(self, data: LayerData) -> tuple[float, float]:
        """Return the limits of one map; they must differ, also for a map of one value."""
        low, high = data.limits if self._scaling == "each" else self.limits
        return (low, high) if high - low > 1e-6 else (high - 1e-3, high)


@dataclass(frozen=True, eq=False)
class ColourScale:
    """What the colours of the heatmaps mean.

    Attributes
    ----------
    limits : tuple of float or None
        The scores at the two ends; None where each map has ends of its own.
    colours : mapping of str to ndarray of float, shape (N, 4)
        By class: red, green, blue and alpha from the lower end to the upper one.
    """

    limits: tuple[float, float] | None
    colours: Mapping[str, NDArray[np.float64]]


@dataclass(eq=False)
class _HeatmapRecord:
    """What we made of a layer; where it is otherwise by now, the user has made it so.

    Attributes
    ----------
    hidden : bool
        Whether it is we who have hidden it, and will show it again.
    concealed : bool
        Whether there is a reason to hide it.
    step : tuple of int
        Of the data that it has, see `LayerData`.
    """

    model: str
    name: str
    colormap: str
    step: tuple[int, ...] = ()
    content: HeatmapContent | None = None
    limits: tuple[float, float] | None = None
    hidden: bool = False
    concealed: bool = False
    label: tuple[str, str] | None = None


class HeatmapLayers(OverlayLayers[HeatmapKey, "Image"]):
    """Makes, updates, places and removes heatmap layers.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    heatmap_style : HeatmapStyle
        How new layers are drawn; layers of an earlier session keep theirs and pass it on.
    palette : Palette
        Colours of the classes.

    Attributes
    ----------
    replaced : frozenset of hashable
        Ids of the images that are shown as class maps instead.
    hidden_classes : frozenset of str
        Those whose heatmaps are not shown.
    """

    def __init__(self, viewer: ViewerModel, heatmap_style: HeatmapStyle, palette: Palette) -> None:
        super().__init__(viewer, "heatmap")
        self.replaced: frozenset[Hashable] = frozenset()
        self.hidden_classes: frozenset[str] = frozenset()
        self._palette, self._style = palette, heatmap_style
        self._records: dict[HeatmapKey, _HeatmapRecord] = {}
        self._of_image: dict[Hashable, dict[HeatmapKey, None]] = {}
        self._classes: tuple[str, ...] = ()
        self._contrast = Contrast()
        self._adopt()

    def _adopt(self) -> None:
        from napari.layers import Image

        for found, layer in self._from_earlier_session():
            if isinstance(layer, Image):
                key = HeatmapKey(found["image"], found.get("class_name", DEFAULT_CLASS))
                model, name = found.get("model", ""), found.get("name", layer.name)
                hidden = found.get("hidden", False)
                step = tuple(found.get("step", ()))
                record = _HeatmapRecord(
                    model, name, layer.colormap.name, step, hidden=hidden, concealed=hidden
                )
                self._keep(key, layer, record)
                colormap = colormap_of_style(layer.colormap.name)
                self._style = HeatmapStyle.closest(colormap, layer.opacity, str(layer.blending))

    def contents(self) -> dict[HeatmapKey, HeatmapContent | None]:
        """Return what each heatmap layer shows; None for one of an earlier session."""
        return {key: record.content for key, record in self._records.items()}

    def _keep(self, key: HeatmapKey, layer: Image, record: _HeatmapRecord) -> None:
        self.layers[key], self._records[key] = layer, record
        self._of_image.setdefault(key.image, {})[key] = None

    def _drop(self, key: HeatmapKey) -> Image | None:
        self._records.pop(key, None)
        over = self._of_image.get(key.image, {})
        over.pop(key, None)
        if not over:
            self._of_image.pop(key.image, None)
        return super()._drop(key)

    def _keys_over(self, image_id: Hashable) -> Iterable[HeatmapKey]:
        return self._of_image.get(image_id, ())

    def _image_of(self, key: HeatmapKey) -> Hashable:
        return key.image

    def _step_of(self, key: HeatmapKey) -> tuple[int, ...]:
        return self._records[key].step

    def _update_visibility(self, key: HeatmapKey, layer: Image) -> None:
        """Hide a layer for as long as there is a reason; what the user has hidden stays so."""
        record, concealed = self._records[key], self._is_concealed(key)
        if concealed and not record.concealed and layer.visible:
            record.hidden, layer.visible = True, False
        elif not concealed and record.hidden:
            record.hidden, layer.visible = False, True
        record.concealed = concealed
        self._mark(key)

    def _is_concealed(self, key: HeatmapKey) -> bool:
        hidden = key.image in self._hidden_images or key.class_name in self.hidden_classes
        return hidden or key.image in self.replaced

    def update_visibility(self) -> None:
        """Show and hide after `replaced` or `hidden_classes` have changed."""
        for key, layer in self.layers.items():
            self._update_visibility(key, layer)

    def by_class(self, image_id: Hashable) -> dict[str, Image]:
        """Return the heatmaps over an image by class."""
        return {key.class_name: layer for key, layer in self.over(image_id).items()}

    def by_pixel(self, image_id: Hashable, class_name: str) -> NDArray[np.float32] | None:
        """Return the value of a heatmap at each pixel of its image; None if there is none."""
        key = HeatmapKey(image_id, class_name)
        layer = self.layers.get(key)
        if layer is None:
            return None
        values = np.asarray(layer.data[0] if layer.multiscale else layer.data)
        for axis, length in enumerate(self._step_of(key)):
            values = np.repeat(values, length, axis)
        return values

    # -- showing -----------------------------------------------------------------------------

    def show(self, image: Image, class_name: str, content: HeatmapContent, above: Image) -> None:
        """Give an image the heatmap of a class, in the layer it already has if there is one.

        A new one lies above `above`: the image, or the topmost of those that are one with it.
        """
        key = HeatmapKey(image.unique_id, class_name)
        data = content.data.in_view(self._viewer.dims.ndisplay)
        layer = self._fitting(key, image, data)
        if layer is None:
            self._make(image, key, content, data, above)
            return
        record = self._records[key]
        before, record.content = record.content, content
        self._fill(key, image, data)
        label = content.name, class_name
        if record.label != label or before is None or before.model != content.model:
            record.label, record.model = label, content.model
            wanted = overlay_name(content.name, class_name)
            record.name = follow_name(layer, record.name, wanted)
            self._mark(key)

    def _fill(self, key: HeatmapKey, image: Image, data: LayerData) -> None:
        """Give a layer data, and lay it over its image if their elements have another length."""
        layer, record = self.layers[key], self._records[key]
        data.show_in(layer)
        if record.step != data.step:
            record.step = data.step
            copy_transform(image, layer, data.step)
            self._mark(key)

    def adapt_to_view(self, images: Mapping[Hashable, Target]) -> None:
        """Show data for a view of two or of three dimensions, whichever there is by now."""
        for key, record in self._records.items():
            target = images.get(key.image)
            if target is not None and record.content is not None:
                data = record.content.data.in_view(self._viewer.dims.ndisplay)
                if record.step != data.step and data.fits(self.layers[key]):
                    self._fill(key, target.layer, data)

    def _make(
        self,
        image: Image,
        key: HeatmapKey,
        content: HeatmapContent,
        data: LayerData,
        above: Image,
    ) -> None:
        from napari.layers import Image as ImageLayer

        limits, over = self._contrast.limits_of(data), self.over(image.unique_id)
        self._note_visibility(image, image.visible)
        concealed = self._is_concealed(key)
        layer = ImageLayer(
            data.data,
            rgb=False,  # napari guesses where the last axis has 3 or 4 pixels
            multiscale=data.multiscale,
            name=overlay_name(content.name, key.class_name),
            colormap=self._colormap(key.class_name),
            opacity=self._style.opacity,
            blending=self._style.blending,
            contrast_limits=limits,
            interpolation2d="nearest",
            interpolation3d="nearest",
            visible=not concealed,
        )
        copy_transform(image, layer, data.step)
        layer.contrast_limits_range = (-1.0, 1.0)
        layer.contrast_limits = limits
        step, colormap = data.step, layer.colormap.name
        record = _HeatmapRecord(content.model, layer.name, colormap, step, content, limits)
        record.hidden = record.concealed = concealed
        record.label = content.name, key.class_name
        self._keep(key, layer, record)
        # Marked before it is inserted: an unmarked image would be searched.
        self._mark(key)
        insert_above(self._viewer, layer, [above, *over.values()])

    def _mark(self, key: HeatmapKey) -> None:
        layer, record = self.layers[key], self._records[key]
        kept = {"model": record.model, "name": record.name, "hidden": record.hidden}
        replaced = key.image in self.replaced
        mark(layer, "heatmap", **key._asdict(), **kept, step=record.step, replaced=replaced)

    # -- classes and names ---------------------------------------------------------------------

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that have heatmaps."""
        return self._classes

    def set_classes(self, classes: Sequence[str]) -> None:
        """Say which classes there are: with several, each is drawn in its own colour."""
        if tuple(classes) == self._classes:
            return
        self._classes = tuple(classes)
        self.recolour()

    def rename_class(self, old: str, new: str) -> None:
        """Give the heatmaps of a class to another, unless that has its own.

        Their names follow with the answer that comes next.
        """
        self._classes = tuple(
            new if class_name == old else class_name for class_name in self._classes
        )
        for key in list(self.layers):
            renamed = key._replace(class_name=new)
            if key.class_name == old and renamed not in self.layers:
                record = self._records[key]
                layer = self._drop(key)
                if layer is not None:
                    self._keep(renamed, layer, record)
                    self._mark(renamed)

    # -- colours and style -------------------------------------------------------------------

    def recolour(self) -> None:
        """Draw each class in the colour it has now, unless the user has given it another."""
        for key, layer in self.layers.items():
            ours = self._records[key].colormap == layer.colormap.name
            if ours and key.class_name in self._palette:
                self._set_colormap(key, layer)

    def _set_colormap(self, key: HeatmapKey, layer: Image) -> None:
        layer.colormap = self._colormap(key.class_name)
        self._records[key].colormap = layer.colormap.name

    def _colormap(self, class_name: str) -> Any:
        one_of_several = len(self._classes) > 1 and class_name in self._classes
        if one_of_several or self._style.colormap == CLASS_COLOUR:
            return heatmap_colormap(self._palette[class_name], self._style.blending)
        return heatmap_colormap(self._style.colormap, self._style.blending)

    @property
    def colour_scale(self) -> ColourScale:
        """What the colours of the heatmaps mean that are not hidden."""
        colours = {}
        present = {key.class_name for key in self.layers} - self.hidden_classes
        for class_name in self._classes:
            if class_name in present:
                rgba = np.array(self._colormap(class_name).map(STEPS), float)
                rgba[:, 3] *= self._style.opacity
                colours[class_name] = rgba
        each = self._contrast.scaling == "each"
        return ColourScale(None if each else self._contrast.limits, colours)

    @property
    def heatmap_style(self) -> HeatmapStyle:
        """How new heatmaps are drawn."""
        return self._style

    def style(self, **changes: Any) -> None:
        """Change attributes of `HeatmapStyle` in all heatmaps, and in those still to come."""
        heatmap_style = replace(self._style, **changes)
        heatmap_style.check()
        self._style = heatmap_style
        for key, layer in self.layers.items():
            for name in changes.keys() - {"colormap"}:
                setattr(layer, name, changes[name])
            if "colormap" in changes:
                self._set_colormap(key, layer)
        if "blending" in changes:  # by which the colours rise, too
            self.recolour()

    # -- contrast ----------------------------------------------------------------------------

    @property
    def scaling(self) -> Scaling:
        """How contrast limits are chosen."""
        return self._contrast.scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        self._contrast.scaling = scaling
        for record in self._records.values():
            record.limits = None  # those that the user has set, too
        self._apply_limits()

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest where one scale holds for all maps."""
        return self._contrast.limits

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        self._contrast.fixed = limits
        self.scaling = "fixed"

    def rescale(self, pooled: tuple[float, float]) -> None:
        """Use one scale for all maps after some of them have changed."""
        self._contrast.pooled = pooled
        self._apply_limits()

    def _apply_limits(self) -> None:
        """Set the limits of all layers, but where the user has set others since."""
        for key, layer in self.layers.items():
            record = self._records[key]
            ours = record.limits is None or np.allclose(layer.contrast_limits, record.limits)
            if record.content is not None and ours:
                record.limits = self._contrast.limits_of(record.content.data)
                layer.contrast_limits = record.limits
