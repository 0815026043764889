"""The session, as scripts and the dock use it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.objects.sizes import Area
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS, Combination
from napari_dinov3_sim.session.coordinator import Coordinator, SessionSignals
from napari_dinov3_sim.session.images.planes import levels_of
from napari_dinov3_sim.session.images.target import ChannelGroup, MergedChannels
from napari_dinov3_sim.session.images.transforms import plane_transform
from napari_dinov3_sim.session.layers.style import HeatmapStyle
from napari_dinov3_sim.session.objects.options import checked_connection, checked_outline
from napari_dinov3_sim.session.project.projects import Projects
from napari_dinov3_sim.session.query.point_features import PointRole
from napari_dinov3_sim.session.runner import Runner, default_runner
from napari_dinov3_sim.store import DEFAULT_BUDGET, EmbeddingStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Points, Shapes
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.discovery.discovery import Discovery
    from napari_dinov3_sim.session.embedding.model_loading import LoadModel
    from napari_dinov3_sim.session.exports.exports import Exports
    from napari_dinov3_sim.session.file_search.file_search import FileSearch
    from napari_dinov3_sim.session.gallery.gallery import Gallery
    from napari_dinov3_sim.session.layers.heatmaps import ColourScale, Scaling
    from napari_dinov3_sim.session.measurements.measurements import Measurements
    from napari_dinov3_sim.session.objects.options import Connection, Outline
    from napari_dinov3_sim.session.query.regions import Regions
    from napari_dinov3_sim.session.resolved_state import ClassCounts
    from napari_dinov3_sim.session.results.results import Results
    from napari_dinov3_sim.session.results.thresholds import Found
    from napari_dinov3_sim.session.status import StepStatus
    from napari_dinov3_sim.session.tracking.tracking import Tracking
    from napari_dinov3_sim.session.worker_messages import Progress


class SimilaritySession(SessionSignals):
    """The plugin for one viewer: a click in one image gives heatmaps over every open image.

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
    auto_merge : bool, optional
        Whether channels of one image are searched as one, see `auto_merge`.

    Attributes
    ----------
    status_changed, progressed, failed, listed, answered, model_changed, restyled : psygnal.Signal
        Emitted on the main thread: a line of text; a `Progress` or None at the end; a
        `Failure`; the image list or a tick has changed; heatmaps are up to date; the model
        or its device has changed; the look or the scaling of heatmaps has changed.
    thresholded : psygnal.Signal
        Emitted on the main thread when the threshold of a class has changed, or what reaches it.
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
        auto_merge: bool = True,
    ) -> None:
        self.store = EmbeddingStore(MemoryStore(memory_budget)) if store is None else store
        self._viewer = viewer
        self._runner = runner if runner is not None else default_runner()
        self._coordinator = Coordinator(
            viewer,
            self,
            runner=self._runner,
            store=self.store,
            notices=SimpleQueue() if notices is None else notices,
            recipe=recipe or Recipe(),
            load_model=load_model or ModelLoader(),
            heatmap_style=heatmap_style or HeatmapStyle(),
            auto_merge=auto_merge,
        )
        self._coordinator.results.progressed.connect(self._on_result_progress)
        self._coordinator.exports.progressed.connect(self._on_result_progress)
        self._coordinator.discovery.progressed.connect(self._on_result_progress)
        self._coordinator.measurements.progressed.connect(self._on_result_progress)
        self._project = Projects(viewer, self._coordinator, self, self._runner)
        self._project.progressed.connect(self._on_result_progress)
        self._coordinator.tracking.progressed.connect(self._on_result_progress)
        self._choose(backbone)
        self._coordinator.schedule()

    @property
    def backbone(self) -> Backbone | None:
        """The loaded model, or None before it is first needed."""
        return self._coordinator.embedder.backbone

    @property
    def model(self) -> str:
        """Name of the model, loaded or not; empty if none is chosen."""
        return self._coordinator.embedder.model

    @property
    def queries(self) -> Points | None:
        """The Points layer that is listened to; None before the first image is opened."""
        return self._coordinator.queries.layer

    @property
    def regions(self) -> Regions:
        """The Shapes and Labels layers that are queries."""
        return self._coordinator.regions

    @property
    def results(self) -> Results:
        """What is made of the maps: objects, peaks, matches, colours, files."""
        return self._coordinator.results

    @property
    def exports(self) -> Exports:
        """Files for QuPath, ImageJ and others, and regions from theirs."""
        return self._coordinator.exports

    @property
    def measurements(self) -> Measurements:
        """The objects of Labels layers in numbers: a table, a summary, files."""
        return self._coordinator.measurements

    @property
    def project(self) -> Projects:
        """Saves all of this to a file, and opens it again."""
        return self._project

    @property
    def gallery(self) -> Gallery:
        """Places of all images to be judged right or wrong."""
        return self._coordinator.gallery

    @property
    def tracking(self) -> Tracking:
        """Objects that are followed through the planes of a stack."""
        return self._coordinator.tracking

    @property
    def discovery(self) -> Discovery:
        """Classes that are suggested, before anything was clicked."""
        return self._coordinator.discovery

    @property
    def file_search(self) -> FileSearch:
        """The search of files that need not be open."""
        return self._coordinator.file_search

    @property
    def images(self) -> list[Image]:
        """All image layers of the viewer that could be searched, the bottom one first."""
        return self._coordinator.images

    @property
    def targets(self) -> list[Image]:
        """The image layers that are searched."""
        return [target.layer for target in self._coordinator.targets.resolve().targets.values()]

    @property
    def busy(self) -> bool:
        """Whether something is being embedded or answered."""
        return self._coordinator.busy or self._coordinator.finder.pending

    @property
    def status(self) -> str:
        """One line that says what is going on and what to do next."""
        return self._coordinator.status

    @property
    def steps(self) -> StepStatus:
        """The same in three parts: of the images, of the query, of what was found."""
        return self._coordinator.steps

    # -- images and model --------------------------------------------------------------------

    def refusal(self, layer: Image) -> str | None:
        """Say why an image cannot be searched, or None if it can."""
        return self._coordinator.targets.refusal(layer)

    def name_of(self, layer: Image) -> str:
        """Return what an image is called: merged, after all of its channels."""
        return self._coordinator.targets.name(layer)

    def set_target(self, layer: Image, ticked: bool) -> None:
        """Search an image, or leave it out."""
        self._coordinator.targets.tick(layer, ticked)

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
        merged = MergedChannels.of(channels)
        with self._coordinator.edits.step():
            self._coordinator.targets.merge(merged)

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
        with self._coordinator.edits.step():
            return self._coordinator.targets.split(image)

    @property
    def auto_merge(self) -> bool:
        """Whether two or three layers that are opened as channels of one image are merged.

        They are grayscale, have the same shape and place, and come in colours of their own (red,
        green, blue, cyan, magenta, yellow), or with names that number channels. What the user has
        merged or split stays as it is, and so does what is merged when this is turned off.
        """
        return self._coordinator.targets.merging.automatic

    @auto_merge.setter
    def auto_merge(self, wanted: bool) -> None:
        self._coordinator.targets.set_automatic(wanted)

    @property
    def channel_groups(self) -> dict[Image, ChannelGroup]:
        """What was merged, by the layer that stands for all, with a name for lists."""
        merging = self._coordinator.targets.merging
        return {
            merged.lead: ChannelGroup(merged.name, merged.members, merging.is_automatic(merged))
            for merged in merging.merged()
        }

    @property
    def merged(self) -> dict[Image, tuple[Image | None, Image | None, Image | None]]:
        """The red, green and blue of what was merged, by the layer that stands for all."""
        return {found.lead: found.channels for found in self._coordinator.targets.merging.merged()}

    def set_model(self, backbone: Backbone | str | None) -> None:
        """Change the model; heatmaps of the old one are removed. Its own name changes nothing.

        Parameters
        ----------
        backbone : Backbone or str or None
            A loaded model, the name of one to load when needed, or None.
        """
        if self._coordinator.closed or (isinstance(backbone, str) and self._has_loaded(backbone)):
            return
        self._coordinator.overlays.clear()
        self._coordinator.answers.forget()
        self._choose(backbone)
        self.model_changed.emit()
        self._coordinator.schedule()

    def embed(self) -> None:
        """Embed the shown plane of every target, in the background; see `wait`."""
        self._require_model()
        self._coordinator.embed()

    def cancel(self) -> None:
        """Stop embedding and matching; what is done stays, and the next click asks again."""
        self._coordinator.embedder.cancel()
        self.results.cancel()
        self.tracking.cancel()
        self.exports.cancel()
        self.discovery.cancel()
        self.measurements.cancel()
        self.project.cancel()
        self.progressed.emit(None)
        self._coordinator.schedule()

    @property
    def recipe(self) -> Recipe:
        """How pixels become embeddings: resolution, tiles, padding."""
        return self._coordinator.embedder.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        if recipe != self._coordinator.embedder.recipe:
            self._coordinator.overlays.clear()
            self._coordinator.answers.forget()
            self._coordinator.embedder.recipe = recipe
            self._coordinator.schedule()

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
        while not self._coordinator.closed and (
            self._coordinator.is_due
            or self.busy
            or self.results.pending
            or self.exports.pending
            or self.measurements.pending
            or self.gallery.pending
            or self.file_search.pending
            or self.discovery.pending
            or self.project.pending
            or self.tracking.pending
        ):
            if self._coordinator.is_due:
                self._coordinator.refresh()
            self.project.go_on()
            self._runner.deliver(0.05)
            if time.monotonic() > deadline:
                raise TimeoutError(f"Embedding takes longer than {timeout} s; it goes on.")
        versions = self._coordinator.targets.resolve().versions
        failures = self._coordinator.failures.pop_all(versions)
        if failures:
            first = failures[0]
            if isinstance(first.error, SimilarityError):
                raise first.error
            raise SimilarityError(first.message) from first.error

    def close(self) -> None:
        """Stop listening and working; layers stay in the viewer, they are the user's."""
        if not self._coordinator.closed:
            self.project.close()
            self._coordinator.close()

    # -- what is asked -----------------------------------------------------------------------

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
            The point lies outside the image, or no plane of the image is shown: it is not ticked,
            the slider is beyond it, or its place is not a finite number.
        """
        images, queries = self._coordinator.targets.resolve(), self._coordinator.queries
        record = self._coordinator.targets.get(layer.unique_id)
        shown = {key.layer_id: plane for key, plane in images.planes.items()}
        plane = None if record is None else shown.get(record.layer.unique_id)
        if record is None or plane is None:
            raise PointError(
                f"{layer.name} shows no plane that is searched; tick it, show it, and give it a "
                "finite scale and translation."
            )
        data = np.zeros(layer.ndim)
        for axis, index in plane.key.position:
            data[axis] = index
        data[list(plane.key.axes)] = y, x
        units = self._viewer.layers.units
        world = plane_transform(layer, plane.key.axes, units).to_world(data)
        if images.hits.pixel_at(record, world) is None:
            height, width = (levels_of(layer)[0].shape[axis] for axis in plane.key.axes)
            raise PointError(
                f"The point (x={x:g}, y={y:g}) lies outside {layer.name} of {width} × {height} "
                f"pixels; choose x from 0 to {width - 1} and y from 0 to {height - 1}."
            )
        queries.ensure(layer)
        self._coordinator.edits.note()
        role = queries.role
        chosen = PointRole(
            class_name or role.class_name, role.positive if positive is None else positive
        )
        queries.append(world, record.layer.unique_id, chosen)

    def new_queries(self) -> None:
        """Make the Points layer active and ready for clicks, and make it if it is gone."""
        self._coordinator.make_queries()
        self._coordinator.drawn.awaiting_box = False
        self._coordinator.queries.activate()
        self._coordinator.schedule()

    @property
    def class_name(self) -> str:
        """Name of the class that the next point belongs to."""
        return self._coordinator.queries.role.class_name

    @class_name.setter
    def class_name(self, class_name: str) -> None:
        name = self._checked(class_name)
        self._coordinator.palette.add(name)
        self._coordinator.queries.set_role(PointRole(name, self.positive))
        self.queried.emit()

    @property
    def positive(self) -> bool:
        """Whether the next point is an example of its class, or of what is not meant."""
        return self._coordinator.queries.role.positive

    @positive.setter
    def positive(self, positive: bool) -> None:
        self._coordinator.queries.set_role(PointRole(self.class_name, positive))
        self.queried.emit()

    @property
    def classes(self) -> dict[str, str]:
        """All classes there are and their colours, as ``#rrggbb``."""
        self._coordinator.palette.add(self.class_name)
        palette = self._coordinator.palette
        return {name: palette[name] for name in palette.names}

    def rename_class(self, old: str, new: str) -> None:
        """Give a class another name; it keeps its points and its colour."""
        self._coordinator.edits.rename_class(old, self._checked(new))

    def remove_class(self, name: str) -> None:
        """Ask a class no more: its points and the regions drawn in our layer are deleted.

        Shapes and labels of the user's own layers stay, and are not asked under this name until
        their layer is added again. A loaded query goes on without the class; its file keeps it.
        All of it can be undone.
        """
        self._coordinator.edits.remove_class(name)

    def move_selected(self, class_name: str | None = None, positive: bool | None = None) -> int:
        """Give the selected points, or regions drawn in our layer, another class or sign.

        Parameters
        ----------
        class_name : str, optional
            By default each keeps its class.
        positive : bool, optional
            By default each keeps its sign.

        Returns
        -------
        int
            How many say something else than before.
        """
        name = None if class_name is None else self._checked(class_name)
        return self._coordinator.edits.move_selected(name, positive)

    @property
    def class_counts(self) -> Mapping[str, ClassCounts]:
        """How many positive and negative points, and how many regions, each class has."""
        self._coordinator.palette.add(self.class_name)
        return self._coordinator.edits.class_counts()

    def start_box(self) -> None:
        """Make ready for one box: the next drag draws it, and asks what is in it.

        It belongs to the present class, as a positive or a negative region. Then the Points layer
        is active again. Boxes, and all other shapes that are drawn in this layer, are in the
        Shapes layer *DINOv3 regions*.

        Raises
        ------
        SimilarityError
            There is no image, or more than one plane is shown at once.
        """
        self._coordinator.start_box()

    @property
    def awaiting_box(self) -> bool:
        """Whether the next drag draws a box; see `start_box`."""
        return self._coordinator.drawn.awaiting_box

    @property
    def drawn_regions(self) -> Shapes | None:
        """The Shapes layer of `start_box`; None before the first."""
        return self._coordinator.drawn.layer

    @staticmethod
    def _checked(class_name: str) -> str:
        name = class_name.strip()
        if not name:
            raise SimilarityError("A class needs a name; give at least one letter.")
        return name

    @property
    def combination(self) -> Combination:
        """How points become a score: 'auto', 'mean', 'best', 'contrast' or 'learned'."""
        return self._coordinator.combination

    @combination.setter
    def combination(self, combination: Combination) -> None:
        if combination not in get_args(Combination):
            raise SimilarityError(
                f"There is no combination {combination!r}; choose auto, mean, best, contrast or "
                "learned."
            )
        self._coordinator.combination = combination
        self._coordinator.schedule()

    @property
    def threshold(self) -> float | None:
        """Threshold of the current class, see `class_name`, if it was set by hand; else None.

        Without one the automatic threshold decides what is found: contours, `found`, and results
        such as Labels. It does not part the classes of class maps: there, a class without a
        threshold set by hand may get every patch.
        """
        return self._coordinator.thresholds.by_hand.get(self.class_name)

    @threshold.setter
    def threshold(self, threshold: float | None) -> None:
        self._coordinator.set_threshold(self.class_name, threshold)

    @property
    def thresholds(self) -> dict[str, float]:
        """Score from which a patch counts as found, by class: set by hand, or else automatic."""
        return self._coordinator.thresholds.in_force

    def automatic_threshold(self, class_name: str | None = None) -> float | None:
        """Return the threshold that fits best to what was said, see `core.search.thresholds`.

        Parameters
        ----------
        class_name : str, optional
            By default the current one.

        Returns
        -------
        float or None
            In units of the cosine; None while the class has no heatmap.
        """
        return self._coordinator.thresholds.automatic.get(class_name or self.class_name)

    def use_automatic_threshold(self) -> None:
        """Take the threshold of the current class back that was set by hand."""
        self.threshold = None

    @property
    def outline(self) -> Outline:
        """Where objects end: at the 'edges' of the image, or at the borders of 'patches'.

        Images of more than 2**24 pixels in a plane, or 2**27 in a stack, have patches.
        """
        return self._coordinator.finder.options.outline

    @outline.setter
    def outline(self, outline: str) -> None:
        self._change_objects(outline=checked_outline(outline))

    @property
    def split_touching(self) -> bool:
        """Whether objects that touch are split where they are narrow."""
        return self._coordinator.finder.options.split

    @split_touching.setter
    def split_touching(self, split: bool) -> None:
        self._change_objects(split=bool(split))

    @property
    def connect_planes(self) -> Connection:
        """Whether Labels have one number for what lies over each other in neighbouring planes.

        'none', through 'depth' (the axis called z, else the last one before rows and columns), or
        through 'all' axes, time too.
        """
        return self._coordinator.finder.options.connect

    @connect_planes.setter
    def connect_planes(self, connect: str) -> None:
        self._change_objects(connect=checked_connection(connect))

    @property
    def min_area(self) -> float | str:
        """Smaller objects count as not found; 0 keeps all.

        Pixels at full resolution, or a text with a unit, such as ``"50 µm²"``.
        """
        return _shown_area(self._coordinator.finder.options.min_area)

    @min_area.setter
    def min_area(self, area: float | str) -> None:
        self._change_objects(min_area=_read_area(area))

    @property
    def max_area(self) -> float | str:
        """Larger objects count as not found, as for `min_area`; infinity keeps all."""
        return _shown_area(self._coordinator.finder.options.max_area)

    @max_area.setter
    def max_area(self, area: float | str) -> None:
        self._change_objects(max_area=_read_area(area))

    def _change_objects(self, **changes: Any) -> None:
        options = replace(self._coordinator.finder.options, **changes)
        if options != self._coordinator.finder.options:
            self._coordinator.set_objects(options)

    @property
    def found(self) -> dict[str, Found]:
        """What reaches the threshold of each class: objects, area, images."""
        return self._coordinator.thresholds.found()

    @property
    def histograms(self) -> dict[str, NDArray[np.intp]]:
        """How many patches of all maps have which cosine from -1 to 1, by class."""
        return dict(self._coordinator.handler.histograms)

    def undo(self) -> bool:
        """Take the last edit back; return whether there was one.

        Edits are: points and regions in our layers that come, go, are moved, or get another class
        or sign; classes that are renamed, removed or get another colour; channels that are merged
        or split. The Points layer is where it begins: when it is thrown away, so is the history.
        """
        return self._coordinator.edits.undo()

    def redo(self) -> bool:
        """Do again what was undone last; return whether there was such an edit."""
        return self._coordinator.edits.redo()

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has something to take back."""
        return self._coordinator.edits.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has something to do again: nothing was edited since `undo`.

        To open images is no edit, also where they are merged as channels of one image.
        """
        return self._coordinator.edits.can_redo

    @property
    def all_planes(self) -> bool:
        """Whether stacks are answered on all planes, or only on those that are shown."""
        return self._coordinator.all_planes

    @all_planes.setter
    def all_planes(self, all_planes: bool) -> None:
        self._coordinator.all_planes = all_planes
        if all_planes:  # which asks for what was cancelled, as a click does
            self._coordinator.embedder.retry()
        self._coordinator.schedule()

    @property
    def source(self) -> Image | None:
        """The image that clicks belong to wherever it lies; None for the topmost below them."""
        record = self._coordinator.targets.get(self._coordinator.targets.source)
        return None if record is None else record.layer

    @source.setter
    def source(self, layer: Image | None) -> None:
        self._coordinator.targets.source = None if layer is None else layer.unique_id

    # -- what is shown -----------------------------------------------------------------------

    @property
    def heatmaps(self) -> dict[Image, Image]:
        """Each image layer's heatmap layer, that of the first class where there are several."""
        classes = self._coordinator.overlays.heatmaps.classes
        return self.heatmaps_of(classes[0] if classes else DEFAULT_CLASS)

    def heatmaps_of(self, class_name: str) -> dict[Image, Image]:
        """Return each image layer's heatmap layer of a class, as they are in the viewer now."""
        items = self._coordinator.overlays.heatmaps.layers.items()
        found = {place.image: layer for place, layer in items if place.class_name == class_name}
        records = {image_id: self._coordinator.targets.get(image_id) for image_id in found}
        return {r.layer: found[image_id] for image_id, r in records.items() if r is not None}

    def scores_over(self, image: Image, class_name: str | None = None) -> NDArray[np.float32]:
        """Return what a heatmap shows at each pixel of its image.

        The data of a heatmap layer have an element for each patch, or for a part of one.

        Parameters
        ----------
        image : napari.layers.Image
        class_name : str, optional
            By default the first class.

        Returns
        -------
        ndarray of float32
            Cosines, in the shape of the image without its channels; NaN on planes that are not
            answered.

        Raises
        ------
        SimilarityError
            The image has no heatmap of this class.
        """
        heatmaps = self._coordinator.overlays.heatmaps
        name = class_name or next(iter(heatmaps.classes), DEFAULT_CLASS)
        over = heatmaps.by_pixel(image.unique_id, name)
        if over is None:
            raise SimilarityError(
                f"{image.name} has no heatmap of “{name}”; click on it and wait for the answer."
            )
        return over

    @property
    def class_maps(self) -> dict[Image, Labels]:
        """Each image layer's class map, a Labels layer; empty with fewer than two classes."""
        items = self._coordinator.overlays.class_maps.layers
        records = {image_id: self._coordinator.targets.get(image_id) for image_id in items}
        return {r.layer: items[image_id] for image_id, r in records.items() if r is not None}

    @property
    def show_class_maps(self) -> bool:
        """Whether class maps are shown in place of heatmaps, also those still to come.

        Images that have heatmaps of fewer than two classes keep their heatmap.
        """
        return self._coordinator.overlays.class_maps.visible

    @show_class_maps.setter
    def show_class_maps(self, show: bool) -> None:
        self._coordinator.overlays.class_maps.visible = show
        self._coordinator.draw_contours()
        self.restyled.emit()

    @property
    def hidden_classes(self) -> frozenset[str]:
        """The classes whose heatmaps are not shown, also those still to come."""
        return self._coordinator.overlays.heatmaps.hidden_classes

    def set_class_visible(self, class_name: str, visible: bool) -> None:
        """Show or hide the heatmaps of a class, and its patches of class maps.

        A heatmap that the user has hidden in the list of layers stays hidden.
        """
        hidden = self.hidden_classes - {class_name}
        self._coordinator.overlays.hide_classes(hidden if visible else hidden | {class_name})
        self.restyled.emit()

    def set_class_colour(self, class_name: str, colour: str) -> None:
        """Draw a class in another colour: its heatmaps, points, outlines and class maps.

        Parameters
        ----------
        class_name : str
        colour : str
            As ``#rrggbb``.
        """
        if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
            raise SimilarityError(f"There is no colour {colour!r}; give one as #rrggbb.")
        self._coordinator.edits.set_class_colour(class_name, colour.lower())

    @property
    def colour_scale(self) -> ColourScale:
        """What the colours of the heatmaps mean; for a colour bar."""
        return self._coordinator.overlays.heatmaps.colour_scale

    @property
    def smooth(self) -> bool:
        """Whether heatmaps change gradually between the centres of patches.

        In the centres the scores are the same either way.
        """
        return self._coordinator.answers.smooth

    @smooth.setter
    def smooth(self, smooth: bool) -> None:
        if smooth != self.smooth:
            self._coordinator.answers.smooth = smooth
            self._coordinator.answers.forget()  # their layers are made by the job that answers
            self._coordinator.schedule()
            self.restyled.emit()

    @property
    def hit_name(self) -> str:
        """Name of the image that the last point is on, if others lie under it too; else empty."""
        return self._coordinator.hit_name

    @property
    def hovering(self) -> bool:
        """Whether the map of the patch under the mouse is shown, without a click."""
        return self._coordinator.interaction.hovering

    @hovering.setter
    def hovering(self, hovering: bool) -> None:
        self._coordinator.interaction.hovering = hovering
        self._coordinator.schedule()

    @property
    def outlines(self) -> bool:
        """Whether the patches that were clicked are outlined."""
        return self._coordinator.overlays.outlines.wanted

    @outlines.setter
    def outlines(self, outlined: bool) -> None:
        self._coordinator.overlays.outlines.wanted = outlined
        self._coordinator.schedule()

    @property
    def side_by_side(self) -> bool:
        """Whether every target is shown in a viewbox of its own."""
        return self._coordinator.interaction.side_by_side

    @side_by_side.setter
    def side_by_side(self, wanted: bool) -> None:
        self._coordinator.interaction.show_side_by_side(wanted, self.queries)
        self._coordinator.schedule()

    @property
    def show_contours(self) -> bool:
        """Whether there is a contour around what reaches the threshold, on every heatmap."""
        return self._coordinator.overlays.contours.wanted

    @show_contours.setter
    def show_contours(self, shown: bool) -> None:
        self._coordinator.overlays.contours.wanted = shown
        self._coordinator.draw_contours()
        self.restyled.emit()

    def go_to_best_match(self) -> bool:
        """Move the view to the best match in the next image that has not been seen yet.

        Returns
        -------
        bool
            False if there is no heatmap to go by.
        """
        classes = self._coordinator.overlays.heatmaps.classes
        current = self._coordinator.queries.role.class_name
        class_name = current if current in classes else next(iter(classes), current)
        match = self._coordinator.interaction.go_to_best_match(class_name)
        if match is not None:
            self._viewer.status = f"{match.name}: similarity {match.score:.2f}"
        return match is not None

    @property
    def heatmap_style(self) -> HeatmapStyle:
        """Colormap, opacity and blending of new heatmaps."""
        return self._coordinator.overlays.heatmaps.heatmap_style

    def style(
        self,
        *,
        colormap: str | None = None,
        opacity: float | None = None,
        blending: str | None = None,
    ) -> None:
        """Change how all heatmaps are drawn; see `HeatmapStyle`."""
        wanted = {"colormap": colormap, "opacity": opacity, "blending": blending}
        self._coordinator.overlays.heatmaps.style(
            **{k: v for k, v in wanted.items() if v is not None}
        )
        self.restyled.emit()

    @property
    def scaling(self) -> Scaling:
        """Contrast of the heatmaps.

        'shared' is one scale for all, 'each' its own minimum and maximum, 'fixed' the `limits`.
        """
        return self._coordinator.overlays.heatmaps.scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        self._coordinator.overlays.heatmaps.scaling = scaling
        self.restyled.emit()

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest on the common scale; setting them fixes it."""
        return self._coordinator.overlays.heatmaps.limits

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        low, high = (float(limit) for limit in limits)
        if not -1.0 <= low < high <= 1.0:
            raise SimilarityError(
                f"Limits go from the lower to the higher cosine, within -1 and 1, not {limits}."
            )
        self._coordinator.overlays.heatmaps.limits = (low, high)
        self.restyled.emit()

    def _on_result_progress(self, progress: Progress | None) -> None:
        if progress is not None or not self._coordinator.embedder.busy:
            self.progressed.emit(progress)

    def _choose(self, backbone: Backbone | str | None) -> None:
        if backbone is None or isinstance(backbone, str):
            self._coordinator.embedder.set_model(backbone or "")
        else:
            self._coordinator.embedder.set_model(backbone.name, backbone)

    def _has_loaded(self, model: str) -> bool:
        if model != self.model or self._coordinator.embedder.model_failed:
            return False
        return (
            self._coordinator.embedder.identity is not None
            or self._coordinator.embedder.is_loading
        )

    def _require_model(self) -> None:
        if not self.model:
            raise SimilarityError('No model is chosen; call set_model("builtin") first.')


def _read_area(area: float | str) -> Area:
    return Area.parse(area) if isinstance(area, str) else Area(max(0.0, float(area)))


def _shown_area(area: Area) -> float | str:
    return str(area) if area.unit else area.value
