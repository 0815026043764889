"""Results of a session: objects, peaks, matches, colours, tables, saved queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinov3_sim.core.errors import PointError, SimilarityError, StateError
from napari_dinov3_sim.core.objects.sizes import Area
from napari_dinov3_sim.session.objects.options import connected_axes
from napari_dinov3_sim.session.query.loaded_query import LoadedQuery
from napari_dinov3_sim.session.results.computations import (
    SearchedImage,
    find_colours,
    find_image_peaks,
    find_labels,
    find_matches,
    thresholds,
)
from napari_dinov3_sim.session.results.peak_table import PeakTable, WorldAxes
from napari_dinov3_sim.session.results.result_jobs import ResultJobs
from napari_dinov3_sim.session.results.result_layers import ResultLayers
from napari_dinov3_sim.session.results.save_query import QuerySnapshot, thumbnail_sources
from napari_dinov3_sim.session.results.summaries import (
    answered_images,
    describe_colours,
    describe_labels,
    describe_loaded,
    describe_matches,
    describe_peaks,
    describe_saved,
    describe_table,
    without_embeddings,
    without_heatmap,
)
from napari_dinov3_sim.session.results.thresholds import checked_threshold

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from napari.layers import Image, Layer

    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.planes import Plane
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.objects.finder import ObjectFinder
    from napari_dinov3_sim.session.objects.options import ObjectOptions
    from napari_dinov3_sim.session.query.loaded_query import Thumbnails
    from napari_dinov3_sim.session.results.computations import (
        AnsweredImage,
        EmbeddedPlane,
        FoundLabels,
        FoundPeaks,
    )
    from napari_dinov3_sim.session.results.result_jobs import Check
    from napari_dinov3_sim.session.results.thresholds import Thresholds
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Failure
    from napari_dinov3_sim.store import EmbeddingStore


Basis = tuple["Question | None", dict[str, float], "ObjectOptions | None"]
"""What a result answers: the question, the thresholds of classes, unless one was given, and what
counts as an object."""


@dataclass(frozen=True, eq=False)
class Made:
    """How a result was made.

    Attributes
    ----------
    basis : tuple
        The question, thresholds and options of objects that it answers.
    now : callable
        Returns those of the present.
    again : callable
        Makes it again.
    """

    basis: Basis
    now: Callable[[], Basis]
    again: Callable[[], None]


class QueryResults:
    """The part of `Results` that saves and loads queries, and what all parts work with.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    store : EmbeddingStore
    palette : Palette
    thresholds : Thresholds
    finder : ObjectFinder
    fail : callable
        Bound method, called with every `Failure`.
    adopt : callable
        Bound method, called when another query is asked, with the query, or None if it was
        dropped.

    Attributes
    ----------
    done : psygnal.Signal
        Emitted on the main thread with a sentence when a result is there.
    progressed : psygnal.Signal
        Emitted on the main thread with the `Progress` of what takes long, and None at the end.
    """

    done = Signal(str)
    progressed = Signal(object)

    def __init__(
        self,
        scene: Scene,
        runner: Runner,
        store: EmbeddingStore,
        palette: Palette,
        *,
        thresholds: Thresholds,
        finder: ObjectFinder,
        fail: Callable[[Failure], None],
        adopt: Callable[[SavedQuery | None], None],
    ) -> None:
        self._scene, self._store, self._palette = scene, store, palette
        self._thresholds, self._finder, self._adopt = thresholds, finder, adopt
        self._layers = ResultLayers(scene, palette)
        self._work = ResultJobs(runner, fail, self.done.emit, self.progressed.emit)
        self.saved = LoadedQuery(scene.embedder, fail)
        self._made: dict[str, Made] = {}

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return self._work.pending

    def cancel(self) -> None:
        """Give up what takes long, which is to match two large images."""
        self._work.stop_long()

    def close(self) -> None:
        """Give up what is on its way."""
        self._work.stop_all()

    def rename_class(self, old: str, new: str, number: int | None) -> None:
        """Give a class of a loaded query, and the objects of a class, another name."""
        self.saved.rename_class(old, new)
        self._layers.rename_class(old, new, number)

    def part_class(self, old: str, new: str, number: int) -> None:
        """Give a class its objects again that are those of another since they were joined."""
        self._layers.part_class(old, new, number)

    def adopt_layer(
        self, image: Image, layer: Layer, what: tuple[object, ...], **known: Any
    ) -> None:
        """Show a layer of results that an earlier session has made; see `ResultLayers.adopt`."""
        self._layers.adopt(image, layer, what, **known)

    @property
    def query(self) -> SavedQuery | None:
        """The query that is loaded, as it is in its file."""
        return self.saved.query

    @property
    def thumbnails(self) -> Mapping[str, Thumbnails]:
        """What the loaded classes looked like where they were clicked, by name: 8-bit RGB."""
        return self.saved.thumbnails

    @property
    def problem(self) -> str:
        """Why the loaded query is not asked of the images; empty if it is."""
        return self.saved.problem

    def save_query(self, path: str | os.PathLike[str]) -> None:
        """Write what is asked now to a file: points, regions and a loaded query together.

        Parameters
        ----------
        path : path-like
            Best ending in ``.query.safetensors``, which `list_queries` and the command line look
            for; the folder must exist.

        Raises
        ------
        PointError
            Nothing is asked, or what was clicked is not embedded yet.
        """
        query = self.snapshot()
        target = Path(path).absolute()  # a script may go elsewhere before it is written
        self._work.start(
            "query", partial(query.save, target), always_shown, partial(describe_saved, target)
        )

    def snapshot(self) -> QuerySnapshot:
        """Return all that a file of the query of now is made from; a worker writes it.

        Raises
        ------
        PointError
            Nothing is asked, or what was clicked is not embedded yet.
        """
        question, model = self._scene.answers.asked, self._scene.embedder.identity
        if question is None or model is None:
            raise PointError(
                "There is no query to save yet; click on what you mean and wait until the images "
                "have lit up."
            )
        names = dict.fromkeys((*question.classes, *self._palette.names))
        return QuerySnapshot(
            question,
            thumbnail_sources(question, self._scene),
            self.saved.thumbnails,
            {name: self._palette[name] for name in names},
            self._thresholds.by_hand,
            model.fingerprint,
            model.name,
            self._scene.embedder.recipe.cell_size(model.patch_size),
            self._scene.embedder.recipe.factor,
            self._store,
        )

    def load_query(self, path: str | os.PathLike[str]) -> None:
        """Ask a saved query of all images; points that are set add to it.

        Its combination becomes that of the session, and its classes have their colours and the
        thresholds that were set by hand when it was saved, but for classes whose threshold is set
        by hand here. Another one that was loaded before is dropped, with its thresholds.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        StoreError
            The file is missing, damaged, or no saved query.
        QueryModelError
            Another model made it than the one that is loaded. If none is loaded yet, that is a
            failure of the session when it is. See `ask_again`.
        """
        from napari_dinov3_sim.store.query_files import load_query

        self._work.stop("again")
        self._ask(load_query(path), Path(path).name)

    def ask_again(self, path: str | os.PathLike[str] | None = None) -> None:
        """Ask a saved query of another model with this one, from the pictures in it.

        The middle of each picture is embedded; the file stays as it is, and what is saved from
        then on belongs to this model. A picture shows 64 pixels, so the answers are near those of
        new clicks, not the same. Negative points and thresholds do not carry over.

        Parameters
        ----------
        path : path-like, optional
            By default the query that is loaded, see `problem`.

        Raises
        ------
        StoreError
            The file is missing, damaged, or no saved query.
        StateError
            No query is loaded, it holds no pictures, or no model is chosen.
        """
        from napari_dinov3_sim.core.search.asked_again import ask_again, with_pictures
        from napari_dinov3_sim.store.query_files import load_query

        saved, embedder = self.saved, self._scene.embedder
        if path is None:
            colours = {class_name: self._palette[class_name] for class_name in saved.classes}
            query, name = saved.present(colours), saved.name
        else:
            query, name = load_query(path), Path(path).name
        if query is None or not embedder.model:
            raise StateError("No query is loaded, or no model; load both, then ask again.")
        what = with_pictures(query)
        load, recipe = embedder.model_getter(), embedder.recipe

        def compute(check: Check) -> Iterator[SavedQuery]:
            yield ask_again(what, load, recipe, check)

        self._work.start_long(
            "again",
            f"Asking {name} again",
            compute,
            partial(self._take_again, name),
            lambda _found: f"{name} is asked again with {embedder.model}, from its pictures.",
        )

    def _take_again(self, name: str, query: SavedQuery) -> bool:
        self._ask(query, name)
        return True

    def _ask(self, query: SavedQuery, name: str) -> None:
        self.saved.take(query, name)
        for saved_class in query.classes:
            self._palette.assign(saved_class.name, saved_class.colour)
        self._thresholds.take_from_query(query.thresholds)
        self._adopt(query)
        taken, staying = self._thresholds.of_query, self._thresholds.of_user
        self.done.emit(describe_loaded(name, query, self.saved.remark, taken, staying))

    def drop_query(self) -> None:
        """Ask the loaded query no more; points and regions stay, its thresholds go."""
        if self.saved.drop():
            self._thresholds.take_from_query({})
            self._adopt(None)
            self.done.emit("The saved query is not asked any more.")


def always_shown(value: object) -> bool:
    """Show nothing: the result is a file, and always wanted."""
    del value
    return True


class Results(QueryResults):
    """What is made of heatmaps and embeddings; as ``session.results``.

    Work is done in the background, see `SimilaritySession.wait`; asking for the same sort of
    result again gives an earlier request up. The layers made belong to the user. A result that
    is asked for again goes into the layer it has, unless its data were changed since: that layer
    stays as it is, and a new one is made. What is still being embedded when a result is asked for
    is not in it, and the sentence of ``done`` says so.

    See `QueryResults` for parameters and the signal ``done``.
    """

    # The last call of `peaks`.
    _peak_settings: tuple[float | None, float] = (None, 0.0)

    @property
    def outdated(self) -> tuple[str, ...]:
        """Results in the viewer that answer an older query or threshold: 'labels', 'peaks'."""
        return tuple(
            name
            for name, made in self._made.items()
            if made.basis != made.now() and self._layers.has(name)
        )

    def renew(self) -> None:
        """Make what is `outdated` again, with the sizes and classes that were chosen then."""
        for name in self.outdated:
            self._made[name].again()

    def _note(
        self,
        name: str,
        threshold: float | None,
        options: Callable[[], ObjectOptions | None],
        again: Callable[[], None],
    ) -> None:
        """Remember what a result answers; sizes and thresholds that were given do not change."""
        now = partial(self._basis, threshold, options)
        self._made[name] = Made(now(), now, again)

    def _basis(
        self, threshold: float | None, options: Callable[[], ObjectOptions | None]
    ) -> Basis:
        levels = self._thresholds.in_force if threshold is None else {}
        return self._scene.answers.asked, levels, options()

    def _options(self, min_area: float | None) -> ObjectOptions:
        """Return what counts as an object, with another minimum area if one is given."""
        chosen = self._finder.options
        return chosen if min_area is None else replace(chosen, min_area=Area(min_area))

    def _searched(self, image: AnsweredImage, options: ObjectOptions) -> SearchedImage:
        plane = image.plane
        layer = self._scene.image_of(plane.key.layer_id)
        names = () if layer is None else tuple(layer.axis_labels)
        axes = [axis for axis, _ in plane.key.position]
        labels = tuple(names[axis] for axis in axes if axis < len(names))
        connected = connected_axes(options.connect, labels, len(axes))
        planes = self._finder.searched(plane, image.maps, options)
        return SearchedImage(image, planes, connected)

    # -- from heatmaps -------------------------------------------------------------------------

    def otsu(self, class_name: str | None = None) -> float:
        """Return a threshold to begin with, from all maps that are known.

        Parameters
        ----------
        class_name : str, optional
            By default the first.

        Returns
        -------
        float
            By Otsu's method, in units of the cosine.

        Raises
        ------
        SimilarityError
            There is no heatmap, or none of this class.
        """
        images = answered_images(self._scene)
        first = self._classes(images, class_name)[0]
        return thresholds(images, [first], {})[first]

    def labels(
        self,
        threshold: float | None = None,
        min_area: float | None = None,
        class_name: str | None = None,
    ) -> None:
        """Make a Labels layer over each image, of what reaches a threshold.

        What is connected is one object, with edges as `SimilaritySession.outline` says. In
        stacks it is so plane by plane, on all planes that are answered, and numbered through,
        unless `SimilaritySession.connect_planes` says more. Up to 2**26 elements the labels can
        be painted in.

        Parameters
        ----------
        threshold : float, optional
            In units of the cosine, for all classes; by default each class has its own, see
            `SimilaritySession.thresholds`, and so gives exactly what its contours show.
        min_area : float, optional
            Smaller objects are left out, in pixels at full resolution; by default
            `SimilaritySession.min_area`.
        class_name : str, optional
            By default each class, in layers of their own.

        Raises
        ------
        SimilarityError
            There is no heatmap, or none of this class, or the threshold is no cosine.
        """
        images = answered_images(self._scene)
        classes = self._classes(images, class_name)
        given = self._given(classes, threshold)
        options = self._options(min_area)
        searched = [self._searched(image, options) for image in images]
        compute = partial(find_labels, searched, classes, given, self._finder.scores)
        describe = partial(describe_labels, without_heatmap(self._scene))
        again = partial(self.labels, threshold, min_area, class_name)
        self._note("labels", threshold, partial(self._options, min_area), again)
        show = partial(self._show_labels, self._palette.numbers)
        self._work.start_long("labels", "Making labels", compute, show, describe)

    def peaks(self, threshold: float | None = None, min_distance: float = 0) -> None:
        """Make a Points layer over each image, of the local maxima of all classes.

        Points lie in the middle of their patches; the layer has the features ``score``,
        ``class`` and ``image``.

        Parameters
        ----------
        threshold : float, optional
            Least score; see `labels`.
        min_distance : float, optional
            Peaks of a class are at least so far apart along x or y, in pixels at full resolution.

        Raises
        ------
        SimilarityError
            There is no heatmap, or the threshold is no cosine.
        """
        images = answered_images(self._scene)
        classes = self._classes(images, None)
        given = self._given(classes, threshold)
        compute = partial(find_image_peaks, images, classes, given, min_distance)
        self._peak_settings = threshold, min_distance
        describe = partial(describe_peaks, without_heatmap(self._scene))
        again = partial(self.peaks, threshold, min_distance)
        self._note("peaks", threshold, lambda: None, again)
        show = partial(self._show_peaks, self._palette.numbers)
        self._work.start("peaks", compute, show, describe)

    def _show_labels(self, numbers: Mapping[str, int], found: FoundLabels) -> bool:
        name = self._palette.names_now(numbers).get(found.class_name)
        return name is not None and self._layers.show_labels(replace(found, class_name=name))

    def _show_peaks(self, numbers: Mapping[str, int], found: FoundPeaks) -> bool:
        names = self._palette.names_now(numbers)
        peaks = tuple(
            replace(peak, class_name=names[peak.class_name])
            for peak in found.peaks
            if peak.class_name in names
        )
        return self._layers.show_peaks(replace(found, peaks=peaks))

    def save_csv(
        self,
        path: str | os.PathLike[str],
        threshold: float | None = None,
        min_distance: float | None = None,
    ) -> None:
        """Write the peaks of all images and classes to a CSV file.

        The columns are image, class, x_px and y_px at full resolution, the position along each
        axis that is not shown, the world coordinates with their units, and the score. What an
        image does not have is ``nan``.

        Parameters
        ----------
        path : path-like
            The file to write; its folder must exist.
        threshold, min_distance : float, optional
            See `peaks`; by default as it was called last.

        Raises
        ------
        SimilarityError
            There is no heatmap, or the threshold is no cosine. That the file cannot be written
            is a failure of the session.
        """
        images = answered_images(self._scene)
        last, distance = self._peak_settings
        keys = [image.plane.key for image in images]
        classes = self._classes(images, None)
        table = PeakTable(
            images,
            classes,
            self._given(classes, last if threshold is None else threshold),
            distance if min_distance is None else min_distance,
            WorldAxes.of(self._scene.viewer),
            {key.layer: self._scene.targets.transform(key) for key in keys},
        )
        target = Path(path).absolute()  # a script may go elsewhere before it is written
        describe = partial(describe_table, target, without_heatmap(self._scene))
        self._work.start("csv", partial(table.save, target), always_shown, describe)

    def _classes(
        self, images: tuple[AnsweredImage, ...], class_name: str | None
    ) -> tuple[str, ...]:
        there = tuple(dict.fromkeys(k for i in images for m in i.maps.values() for k in m.cosines))
        if class_name is None:
            return there
        if class_name not in there:
            raise SimilarityError(
                f"There is no heatmap of “{class_name}”; choose one of {', '.join(there)}."
            )
        return (class_name,)

    def _given(self, classes: tuple[str, ...], threshold: float | None) -> dict[str, float]:
        if threshold is None:
            return self._thresholds.in_force
        return dict.fromkeys(classes, checked_threshold(threshold))

    # -- from embeddings -----------------------------------------------------------------------

    def matches(
        self, image_a: Image | None = None, image_b: Image | None = None, count: int = 50
    ) -> None:
        """Make two Points layers of the places in two images that are each other's best match.

        Row i of one belongs to row i of the other: they have the same colour, and the same
        features ``match`` and ``cosine``. The best match is the first.

        Parameters
        ----------
        image_a, image_b : napari.layers.Image, optional
            By default the two lowest that are searched.
        count : int, optional
            The greatest number of pairs.

        Raises
        ------
        SimilarityError
            There are not two images, or one of them is not embedded.
        """
        if count < 1:
            raise SimilarityError(f"At least one match must be asked for, not {count}.")
        first, second = self._pair(image_a, image_b)
        compute = partial(find_matches, first, second, count, self._store)
        names = (first[0].name, second[0].name)
        describe = partial(describe_matches, names)
        what = "Matching {} and {}".format(*names)
        self._work.start_long("matches", what, compute, self._layers.show_matches, describe)

    def _pair(self, a: Image | None, b: Image | None) -> tuple[EmbeddedPlane, EmbeddedPlane]:
        given = [image.unique_id for image in (a, b) if image is not None]
        shown = self._scene.shown_planes()
        chosen = given + [image_id for image_id in shown if image_id not in given]
        if len(set(chosen[:2])) < 2:
            raise SimilarityError(
                "Matches need two images; open and tick a second one, or choose another."
            )
        return self._embedded(chosen[0], shown), self._embedded(chosen[1], shown)

    def _embedded(self, image_id: object, shown: Mapping[object, Plane]) -> EmbeddedPlane:
        plane = shown.get(image_id)
        if plane is None:
            raise SimilarityError("An image shows no plane that is searched; tick it and show it.")
        handle = self._scene.state_handle(plane.key)
        if handle is None:
            raise SimilarityError(f"{plane.name} is not embedded yet; press Embed first.")
        return plane, handle

    def colours(self) -> None:
        """Make an RGB layer over each image: what looks alike to the model has one colour.

        They are the first three principal components of the embeddings of all shown planes
        together, so that colours compare between images.

        Raises
        ------
        SimilarityError
            No image is embedded.
        """
        shown = self._scene.shown_planes().values()
        pairs = [(plane, self._scene.state_handle(plane.key)) for plane in shown]
        planes = [(plane, handle) for plane, handle in pairs if handle is not None]
        if not planes:
            raise SimilarityError("No image is embedded yet; press Embed first.")
        compute = partial(find_colours, planes, self._store)
        describe = partial(describe_colours, without_embeddings(self._scene))
        self._work.start("colours", compute, self._layers.show_colours, describe)
