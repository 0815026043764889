"""The session as scripts and the dock use it."""

from __future__ import annotations

import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, get_args

import numpy as np

from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS, Combination
from napari_dinov3_sim.session.coordinator import Coordinator
from napari_dinov3_sim.session.images.planes import levels_of
from napari_dinov3_sim.session.images.target import MergedChannels
from napari_dinov3_sim.session.images.transforms import plane_transform
from napari_dinov3_sim.session.layers.style import HeatmapStyle
from napari_dinov3_sim.session.query.point_features import PointRole
from napari_dinov3_sim.session.runner import Runner, default_runner
from napari_dinov3_sim.store import DEFAULT_BUDGET, EmbeddingStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.embedding.model_loading import LoadModel
    from napari_dinov3_sim.session.layers.style import Scaling
    from napari_dinov3_sim.session.messages import Progress


class Asking(Coordinator):
    """The part of a session by which it is asked."""

    def add_query(
        self,
        layer: Image,
        x: float,
        y: float,
        *,
        class_name: str | None = None,
        positive: bool | None = None,
    ) -> None:
        """Add a query point at a pixel of the plane of an image that is shown.

        Parameters
        ----------
        layer : napari.layers.Image
        x, y : float
            Pixel column and row at full resolution.
        class_name : str, optional
            By default the current one, see `class_name`.
        positive : bool, optional
            Whether this is what is meant, or what is not; by default as `positive` says.

        Raises
        ------
        PointError
            The point lies outside the image, or no plane of the image is shown.
        """
        record = self._targets.get(layer.unique_id)
        shown = {plane.key.layer_id: plane for plane in self._targets.planes()}
        plane = None if record is None else shown.get(record.layer.unique_id)
        if record is None or plane is None:
            raise PointError(f"{layer.name} shows no plane that is searched; tick it and show it.")
        data = np.zeros(layer.ndim)
        for axis, index in plane.key.position:
            data[axis] = index
        data[list(plane.key.axes)] = y, x
        units = self._viewer.layers.units
        world = plane_transform(layer, plane.key.axes, units).to_world(data)
        if self._targets.pixel(record, world) is None:
            height, width = (levels_of(layer)[0].shape[axis] for axis in plane.key.axes)
            raise PointError(
                f"The point (x={x:g}, y={y:g}) lies outside {layer.name} of {width} × {height} "
                f"pixels; choose x from 0 to {width - 1} and y from 0 to {height - 1}."
            )
        self._queries.ensure(layer)
        role = self._queries.role
        chosen = PointRole(
            class_name or role.class_name, role.positive if positive is None else positive
        )
        self._queries.append(world, record.layer.unique_id, chosen)

    def new_queries(self) -> None:
        """Make the Points layer active and ready for clicks, and make it if it is gone."""
        self._make_queries()
        self._queries.activate()
        self._schedule()

    @property
    def class_name(self) -> str:
        """Name of the class that the next point belongs to."""
        return self._queries.role.class_name

    @class_name.setter
    def class_name(self, class_name: str) -> None:
        name = class_name.strip()
        if not name:
            raise SimilarityError("A class needs a name; give at least one letter.")
        self._palette.colour(name)
        self._queries.set_role(PointRole(name, self.positive))
        self.queried.emit()

    @property
    def positive(self) -> bool:
        """Whether the next point is an example of its class, or of what is not meant."""
        return self._queries.role.positive

    @positive.setter
    def positive(self, positive: bool) -> None:
        self._queries.set_role(PointRole(self.class_name, positive))
        self.queried.emit()

    @property
    def classes(self) -> dict[str, str]:
        """All classes there are and their colours, as ``#rrggbb``."""
        self._palette.colour(self.class_name)
        return {name: self._palette.colour(name) for name in self._palette.names}

    def rename_class(self, old: str, new: str) -> None:
        """Give a class another name; it keeps its points and its colour."""
        name = new.strip()
        if not name:
            raise SimilarityError("A class needs a name; give at least one letter.")
        self._overlays.heatmaps.rename_class(old, name)
        self._queries.rename_class(old, name)
        self.results.rename_class(old, name)
        self._answers.forget()  # regions may still ask for the old one, whose layers are gone
        self._schedule()

    @property
    def combination(self) -> Combination:
        """How the points of a class are combined: 'auto', 'mean', 'best' or 'contrast'."""
        return self._combination

    @combination.setter
    def combination(self, combination: Combination) -> None:
        if combination not in get_args(Combination):
            raise SimilarityError(
                f"There is no combination {combination!r}; choose auto, mean, best or contrast."
            )
        self._combination = combination
        self._schedule()

    @property
    def threshold(self) -> float | None:
        """Cosine below which nothing counts as found; None if there is none."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float | None) -> None:
        self._threshold = None if threshold is None else float(threshold)
        self._schedule()

    @property
    def histograms(self) -> dict[str, NDArray[np.intp]]:
        """How many patches of all maps have which cosine from -1 to 1, by class."""
        return dict(self._handler.histograms)

    def undo(self) -> bool:
        """Take the last edit of the query points back; return whether there was one."""
        return self._queries.undo()

    @property
    def all_planes(self) -> bool:
        """Whether stacks are answered on all planes, or only on those that are shown."""
        return self._all_planes

    @all_planes.setter
    def all_planes(self, all_planes: bool) -> None:
        self._all_planes = all_planes
        self._schedule()

    @property
    def source(self) -> Image | None:
        """The image that clicks belong to wherever it lies; None for the topmost below them."""
        record = self._targets.get(self._targets.source)
        return None if record is None else record.layer

    @source.setter
    def source(self, layer: Image | None) -> None:
        self._targets.source = None if layer is None else layer.unique_id


class Showing(Coordinator):
    """The part of a session by which answers are seen."""

    @property
    def heatmaps(self) -> dict[Image, Image]:
        """Each image layer's heatmap layer, that of the first class where there are several."""
        classes = self._overlays.heatmaps.classes
        return self.heatmaps_of(classes[0] if classes else DEFAULT_CLASS)

    def heatmaps_of(self, class_name: str) -> dict[Image, Image]:
        """Return each image layer's heatmap layer of a class, as they are in the viewer now."""
        items = self._overlays.heatmaps.items().items()
        found = {place.image: layer for place, layer in items if place.class_name == class_name}
        records = {image_id: self._targets.get(image_id) for image_id in found}
        return {r.layer: found[image_id] for image_id, r in records.items() if r is not None}

    @property
    def class_maps(self) -> dict[Image, Labels]:
        """Each image layer's class map, a Labels layer; empty with fewer than two classes."""
        items = self._overlays.class_maps.items()
        records = {image_id: self._targets.get(image_id) for image_id in items}
        return {r.layer: items[image_id] for image_id, r in records.items() if r is not None}

    @property
    def show_class_maps(self) -> bool:
        """Whether class maps are shown, also those still to come."""
        return self._overlays.class_maps.visible

    @show_class_maps.setter
    def show_class_maps(self, show: bool) -> None:
        self._overlays.class_maps.visible = show
        self.restyled.emit()

    @property
    def hovering(self) -> bool:
        """Whether the map of the patch under the mouse is shown, without a click."""
        return self._interaction.hovering

    @hovering.setter
    def hovering(self, hovering: bool) -> None:
        self._interaction.hovering = hovering
        self._schedule()

    @property
    def outlines(self) -> bool:
        """Whether the patches that were clicked are outlined."""
        return self._interaction.outlined

    @outlines.setter
    def outlines(self, outlined: bool) -> None:
        self._interaction.outlined = outlined
        self._schedule()

    @property
    def side_by_side(self) -> bool:
        """Whether every target is shown in a viewbox of its own."""
        return self._interaction.side_by_side

    @side_by_side.setter
    def side_by_side(self, wanted: bool) -> None:
        self._interaction.show_side_by_side(wanted, self.queries)
        self._schedule()

    def go_to_best_match(self) -> bool:
        """Move the view to the best match in the next image that has not been seen yet.

        Returns
        -------
        bool
            False if there is no heatmap to go by.
        """
        classes = self._overlays.heatmaps.classes
        current = self._queries.role.class_name
        class_name = current if current in classes else next(iter(classes), current)
        match = self._interaction.go_to_best_match(class_name)
        if match is not None:
            self._viewer.status = f"{match.name}: similarity {match.score:.2f}"
        return match is not None

    @property
    def heatmap_style(self) -> HeatmapStyle:
        """Colormap, opacity and blending of new heatmaps."""
        return self._overlays.heatmaps.heatmap_style

    def style(
        self,
        *,
        colormap: str | None = None,
        opacity: float | None = None,
        blending: str | None = None,
    ) -> None:
        """Change how all heatmaps are drawn; see `HeatmapStyle`."""
        wanted = {"colormap": colormap, "opacity": opacity, "blending": blending}
        self._overlays.heatmaps.style(**{k: v for k, v in wanted.items() if v is not None})
        self.restyled.emit()

    @property
    def scaling(self) -> Scaling:
        """Contrast of the heatmaps.

        'shared' is one scale for all, 'each' its own minimum and maximum, 'fixed' the `limits`.
        """
        return self._overlays.heatmaps.scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        self._overlays.heatmaps.scaling = scaling
        self.restyled.emit()

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest on the common scale; setting them fixes it."""
        return self._overlays.heatmaps.limits

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        low, high = (float(limit) for limit in limits)
        if not -1.0 <= low < high <= 1.0:
            raise SimilarityError(
                f"Limits go from the lower to the higher cosine, within -1 and 1, not {limits}."
            )
        self._overlays.heatmaps.limits = (low, high)
        self.restyled.emit()


class SimilaritySession(Asking, Showing):
    """Clicks in any open image light up every open image.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    backbone : Backbone or str, optional
        A loaded model, or the name of one that is loaded when it is first needed.
    runner : Runner, optional
        How work runs; by default on threads, delivered by the GUI's event loop where there is
        one and by `wait` everywhere.
    memory_budget : int, optional
        Bytes of embeddings to keep for planes that are not shown.
    store : EmbeddingStore, optional
        Where embeddings are kept, in place of `memory_budget`; by default in memory only.
    notices : SimpleQueue of str, optional
        Sentences for the user from any thread, such as a store's warnings; they are told by
        `noticed` on the main thread, with the next message of a job.
    recipe : Recipe, optional
        Images up to one tile go through the model whole.
    load_model : callable, optional
        Replaces `load_backbone`; see `embed_job.LoadModel`.
    heatmap_style : HeatmapStyle, optional
        Colormap, opacity and blending of the heatmaps.

    Attributes
    ----------
    status_changed, progressed, failed, listed, answered, model_changed, restyled : psygnal.Signal
        Emitted on the main thread: a line of text; a `Progress` or None at the end; a
        `Failure`; the image list or a tick has changed; heatmaps are up to date; the model
        or its device has changed; the look or the scaling of heatmaps has changed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        backbone: Backbone | str | None = None,
        runner: Runner | None = None,
        memory_budget: int = DEFAULT_BUDGET,
        store: EmbeddingStore | None = None,
        notices: SimpleQueue[str] | None = None,
        recipe: Recipe | None = None,
        load_model: LoadModel | None = None,
        heatmap_style: HeatmapStyle | None = None,
    ) -> None:
        self.store = EmbeddingStore(MemoryStore(memory_budget)) if store is None else store
        super().__init__(
            viewer,
            runner=runner if runner is not None else default_runner(),
            store=self.store,
            notices=SimpleQueue() if notices is None else notices,
            recipe=recipe or Recipe(),
            load_model=load_model or ModelLoader(),
            heatmap_style=heatmap_style or HeatmapStyle(),
        )
        self.results.progressed.connect(self._on_result_progress)
        self._choose(backbone)
        self._schedule()

    def refusal(self, layer: Image) -> str | None:
        """Say why an image cannot be searched, or None if it can."""
        return self._targets.refusal(layer)

    def name_of(self, layer: Image) -> str:
        """Return what an image is called: merged, after all of its channels."""
        return self._targets.name(layer)

    def set_target(self, layer: Image, ticked: bool) -> None:
        """Search an image, or leave it out."""
        self._targets.tick(layer, ticked)

    def merge_channels(self, channels: Sequence[Image | None]) -> None:
        """Search one to three grayscale layers as the red, green and blue of one image.

        The first of them stands for all: it is in `targets`, and in `heatmaps`. The layers
        themselves are not touched. They are split again, with a notice, when one of them leaves,
        or has another shape or place than the others.

        Parameters
        ----------
        channels : sequence of napari.layers.Image or None
            In the order red, green, blue; None, and what is missing at the end, is black.

        Raises
        ------
        ImageError
            They cannot be one image; the sentence says why.
        """
        self._targets.merge(MergedChannels.of(channels))

    def split_channels(self, image: Image) -> bool:
        """Search layers one by one again.

        Parameters
        ----------
        image : napari.layers.Image
            Any of those that were merged.

        Returns
        -------
        bool
            Whether it was merged with others.
        """
        return self._targets.split(image)

    @property
    def merged(self) -> dict[Image, tuple[Image | None, Image | None, Image | None]]:
        """The red, green and blue of what was merged, by the layer that stands for all."""
        return {found.lead: found.channels for found in self._targets.merging.merged()}

    def set_model(self, backbone: Backbone | str | None) -> None:
        """Change the model; heatmaps of the old one are removed. Its own name changes nothing.

        Parameters
        ----------
        backbone : Backbone or str or None
            A loaded model, the name of one to load when needed, or None.
        """
        if self._closed or (isinstance(backbone, str) and self._has_loaded(backbone)):
            return
        self._overlays.clear()
        self._answers.forget()
        self._choose(backbone)
        self.model_changed.emit()
        self._schedule()

    def embed(self) -> None:
        """Embed the shown plane of every target, in the background; see `wait`."""
        self._require_model()
        self._queries_due = True
        self._failures.start_over()
        self._answers.forget()
        shown = self._targets.planes()
        hidden = self._targets.other_planes(shown) if self._all_planes else []
        self._embedder.reembed([*shown, *hidden])
        self._schedule()

    def cancel(self) -> None:
        """Stop embedding and matching; what is done stays, and the next click asks again."""
        self._embedder.cancel()
        self.results.cancel()
        self.progressed.emit(None)
        self._schedule()

    @property
    def recipe(self) -> Recipe:
        """How pixels become embeddings: resolution, tiles, padding."""
        return self._embedder.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        if recipe != self._embedder.recipe:
            self._overlays.clear()
            self._answers.forget()
            self._embedder.recipe = recipe
            self._schedule()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything asked for is embedded and every heatmap is up to date.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default there is no limit.

        Raises
        ------
        SimilarityError
            Something failed in the meantime; the first failure is raised.
        TimeoutError
            Time is up; the work goes on.
        """
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while not self._closed and (self._dirty or self.busy or self.results.pending):
            if self._dirty:
                self._refresh()
            self._runner.deliver(0.05)
            if time.monotonic() > deadline:
                raise TimeoutError(f"Embedding takes longer than {timeout} s; it goes on.")
        failures = self._failures.take(self._targets.versions())
        if failures:
            first = failures[0]
            if isinstance(first.error, SimilarityError):
                raise first.error
            raise SimilarityError(first.message) from first.error

    def close(self) -> None:
        """Stop listening and working; layers stay in the viewer, they are the user's."""
        if self._closed:
            return
        self._closed = True
        self._dirty = False
        self._embedder.cancel()
        self._answers.forget()
        self._runner.close()
        self._interaction.close()
        self._queries.forget()
        self.regions.close()
        self.results.close()
        self._targets.close()
        self._viewer.dims.events.disconnect(self._on_dims)

    def _on_result_progress(self, progress: Progress | None) -> None:
        if progress is not None or not self._embedder.busy:
            self.progressed.emit(progress)

    def _choose(self, backbone: Backbone | str | None) -> None:
        if backbone is None or isinstance(backbone, str):
            self._embedder.set_model(backbone or "")
        else:
            self._embedder.set_model(backbone.name, backbone)

    def _has_loaded(self, model: str) -> bool:
        if model != self.model or self._embedder.model_failed:
            return False
        return self._embedder.identity is not None or self._embedder.is_loading

    def _require_model(self) -> None:
        if not self.model:
            raise SimilarityError('No model is chosen; call set_model("builtin") first.')
