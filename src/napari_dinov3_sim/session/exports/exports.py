"""Exports of a session to other programs, and imports from them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from psygnal import Signal

from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.exchange.files import file_names, written
from napari_dinov3_sim.exchange.geojson import write_geojson
from napari_dinov3_sim.exchange.objects import SUFFIXES, ImagePlacement, ObjectFormat
from napari_dinov3_sim.session.exports.imported import import_file
from napari_dinov3_sim.session.exports.query_shapes import planes_asked_on, query_shapes
from napari_dinov3_sim.session.exports.sources import file_placement, heatmaps_of, objects_of
from napari_dinov3_sim.session.exports.writers import (
    EmbeddingFormat,
    ImageEmbeddings,
    Written,
    write_embeddings,
    write_heatmaps,
    write_objects,
)
from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.results.peak_table import WorldAxes
from napari_dinov3_sim.session.results.result_jobs import ResultJobs
from napari_dinov3_sim.session.results.summaries import answered_images

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.exports.imported import ImportedRegions
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.query.point_features import PointRole
    from napari_dinov3_sim.session.query.regions import Regions
    from napari_dinov3_sim.session.results.result_jobs import Check
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Failure
    from napari_dinov3_sim.store import EmbeddingStore

    AddPoint = Callable[["Image", NDArray[np.float64], PointRole], None]


class Exports:
    """Writes files for other programs, and reads regions of theirs; as ``session.exports``.

    A path is a file for one image, or a folder that is there: then each image gets a file of its
    own in it, whose name no file has yet. Files are written in the background, see
    `SimilaritySession.wait`, whole or not at all; asking for the same sort again gives an earlier
    request up.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    store : EmbeddingStore
    palette : Palette
    regions : Regions
        Follows what is imported.
    role : callable
        Returns what the next point says: regions without a class are of its class.
    add_point : callable
        Adds a query point at data coordinates of an image.
    fail : callable
        Bound method, called with every `Failure`.

    Attributes
    ----------
    done : psygnal.Signal
        Emitted on the main thread with a sentence when something is written or imported.
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
        regions: Regions,
        role: Callable[[], PointRole],
        add_point: AddPoint,
        fail: Callable[[Failure], None],
    ) -> None:
        self._scene, self._store, self._palette = scene, store, palette
        self._regions, self._role, self._add_point = regions, role, add_point
        self._work = ResultJobs(runner, fail, self.done.emit, self.progressed.emit, "exports")

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return self._work.pending

    def cancel(self) -> None:
        """Give up what is being written; files that are done stay."""
        self._work.stop_all()

    def close(self) -> None:
        """Give up what is on its way."""
        self._work.stop_all()

    # -- out -----------------------------------------------------------------------------------

    def names(self, sort: str) -> list[str]:
        """Return the names of the files that an export would write.

        Parameters
        ----------
        sort : str
            'geojson', 'imagej', 'ome-tiff', 'ome-zarr', 'png', 'heatmaps', 'npz', 'zarr' or
            'query'.

        Raises
        ------
        SimilarityError
            There is nothing to export; the sentence says what to do first.
        """
        suffix = _suffix(sort)
        if sort == "heatmaps":
            images = [image.plane.name for image in answered_images(self._scene)]
        elif sort in get_args(EmbeddingFormat):
            images = [image.name for image in self._embedded()]
        elif sort == "query":
            images = [placement.name for _, placement in self._asked()[1]]
        else:
            found = objects_of(self._scene, self._palette)
            images = [image.placement.name for image in found]
        return file_names(images, suffix)

    def objects(
        self,
        path: str | os.PathLike[str],
        file_format: ObjectFormat = "geojson",
        *,
        overwrite: bool = False,
    ) -> None:
        """Write the objects of the Labels layers as they are now, painted in or not.

        Parameters
        ----------
        path : path-like
        file_format : str, optional
            'geojson' for QuPath and 'imagej' for a ROI set have the outline of each object, along
            the borders of its pixels; 'ome-tiff' has a channel of labels for each class,
            'ome-zarr' a label image for each class; 'png' is for one plane of one class.
        overwrite : bool, optional
            Whether a file that is there is replaced.

        Raises
        ------
        SimilarityError
            There are no objects; or there are several images, and the path is no folder. That a
            file cannot be written is a failure of the session.
        """
        if file_format not in get_args(ObjectFormat):
            raise SimilarityError(
                f"There is no format {file_format!r} of objects; choose one of "
                f"{', '.join(get_args(ObjectFormat))}."
            )
        images = objects_of(self._scene, self._palette)
        paths = self._paths(path, [image.placement.name for image in images], file_format)
        write = partial(write_objects, images, paths, file_format, overwrite=overwrite)
        thing = "class" if file_format in ("ome-tiff", "ome-zarr", "png") else "object"
        self._start(file_format, write, thing)

    def heatmaps(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the raw cosines of each image as an OME-TIFF of 32-bit floats.

        It has the size of the image, a channel for each class, and the pixel size; planes of a
        stack that were not searched are NaN.

        Parameters
        ----------
        path, overwrite
            See `objects`.

        Raises
        ------
        SimilarityError
            There is no heatmap; or see `objects`.
        """
        images = heatmaps_of(self._scene, answered_images(self._scene))
        paths = self._paths(path, [image.placement.name for image in images], "heatmaps")
        write = partial(write_heatmaps, images, paths, overwrite=overwrite)
        self._start("heatmaps", write, "class")

    def embeddings(
        self,
        path: str | os.PathLike[str],
        file_format: EmbeddingFormat = "npz",
        *,
        overwrite: bool = False,
    ) -> None:
        """Write the embeddings of each image with the places of the patches.

        Parameters
        ----------
        path, overwrite
            See `objects`.
        file_format : {'npz', 'zarr'}, optional
            For ``numpy.load`` or ``zarr.open``; the arrays are the same, see
            `exchange.embeddings`.

        Raises
        ------
        SimilarityError
            No image is embedded; or see `objects`.
        """
        images = self._embedded()
        paths = self._paths(path, [image.name for image in images], file_format)
        write = partial(
            write_embeddings, images, paths, file_format, self._store, overwrite=overwrite
        )
        self._start(file_format, write, "vector")

    def query(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write what is asked as GeoJSON: points, drawn regions and labels, with their classes.

        `import_regions` asks the same again, in this or another session.

        Parameters
        ----------
        path, overwrite
            See `objects`.

        Raises
        ------
        SimilarityError
            Nothing is asked that lies on an image; or see `objects`.
        """
        question, images = self._asked()
        paths = self._paths(path, [placement.name for _, placement in images], "query")
        colours = dict(self._palette)

        def write(check: Check) -> Iterator[Written]:
            for (planes, placement), target in zip(images, paths, strict=True):
                check(0, 1)
                with written(target, "query", overwrite=overwrite) as part:
                    shapes = query_shapes(question, planes, placement, colours)
                    yield Written(target, write_geojson(shapes, part, "annotation"))

        self._start("query", write, "region")

    def _paths(self, path: str | os.PathLike[str], names: Sequence[str], sort: str) -> list[Path]:
        """Return a file for each image; raises an error for one that is an open image itself."""
        paths = _paths(path, names, sort)
        layers = self._scene.viewer.layers
        opened = {Path(layer.source.path).resolve() for layer in layers if layer.source.path}
        for found in paths:
            if not opened.isdisjoint((found.resolve(), *found.resolve().parents)):
                raise SimilarityError(
                    f"{found} is an image that is open; choose another name or folder."
                )
        return paths

    def _start(self, sort: str, write: Callable[[Check], Iterator[Written]], thing: str) -> None:
        describe = partial(_describe, thing)
        self._work.start_long(sort, "Exporting", write, _always, describe)

    def _embedded(self) -> tuple[ImageEmbeddings, ...]:
        scene, found = self._scene, []
        world, model = WorldAxes.of(scene.viewer), scene.embedder.identity
        for shown in scene.shown_planes().values():
            keys = [shown.key, *scene.answers.planes()]
            keys = [key for key in dict.fromkeys(keys) if key.layer == shown.key.layer]
            planes = [(scene.plane(key), scene.state_handle(key)) for key in sorted(keys)]
            known = tuple((p, handle) for p, handle in planes if p and handle is not None)
            if known and model is not None:
                ndim = len(shown.shape)
                transform = scene.targets.transform(shown.key)
                axes, units = world.names[-ndim:], world.units[-ndim:]
                found.append(
                    ImageEmbeddings(shown.name, model.name, axes, units, known, transform)
                )
        if not found:
            raise SimilarityError("No image is embedded yet; press Embed first.")
        return tuple(found)

    def _asked(
        self,
    ) -> tuple[Question, list[tuple[Mapping[PlaneKey, Plane], ImagePlacement]]]:
        question = self._scene.answers.asked
        images: list[tuple[Mapping[PlaneKey, Plane], ImagePlacement]] = []
        for image_id, keys in ({} if question is None else planes_asked_on(question)).items():
            image = self._scene.image_of(image_id)
            planes = {key: plane for key in keys if (plane := self._scene.plane(key)) is not None}
            if image is not None and planes:
                placement = file_placement(image, self._scene.targets.name(image))
                _check_rows_and_columns(placement, planes)
                images.append((planes, placement))
        if question is None or not images:
            raise PointError(
                "Nothing is asked that lies on an image; click on what you mean, or draw a "
                "region, and wait until the images have lit up."
            )
        return question, images

    # -- back ----------------------------------------------------------------------------------

    def import_regions(self, path: str | os.PathLike[str], image: Image | None = None) -> None:
        """Ask the regions of a file: GeoJSON, ROIs of ImageJ, or an image of labels.

        Areas and lines become a Shapes layer over the image; more than 50 areas, those with holes
        and labels a Labels layer for each class; points query points. The layers are the user's:
        whoever removes one, takes its regions back.

        Parameters
        ----------
        path : path-like
            GeoJSON as QuPath writes it, ``.roi`` or a ROI set, or labels in any image format that
            is read. Regions without a class are of the current one.
        image : napari.layers.Image, optional
            The image that they were drawn on; by default the one that clicks belong to, or else
            the topmost that is searched.

        Raises
        ------
        SimilarityError
            There is no image. That the file cannot be read, or that nothing in it lies on the
            image, is a failure of the session.
        """
        target = self._target(image)
        placement = file_placement(target, self._scene.targets.name(target))
        source = Path(path).absolute()
        read = partial(
            import_file, source, placement, self._shown(target, placement), self._role().class_name
        )
        apply = partial(self._show, target.unique_id)
        self._work.start("regions", read, apply, _describe_import)

    def _target(self, image: Image | None) -> Image:
        chosen = image
        if chosen is None and self._scene.targets.source is not None:
            chosen = self._scene.image_of(self._scene.targets.source)
        if chosen is None:
            shown = [self._scene.image_of(image_id) for image_id in self._scene.shown_planes()]
            chosen = next((one for one in reversed(shown) if one is not None), None)
        if chosen is None or self._scene.image_of(chosen.unique_id) is None:
            raise SimilarityError(
                "There is no image for the regions; open the one that they were drawn on, and "
                "tick it."
            )
        return chosen

    def _shown(self, image: Image, placement: ImagePlacement) -> tuple[int, ...]:
        """Return where the plane of an image lies that is shown, in the order of files."""
        plane = self._scene.shown_planes().get(image.unique_id)
        indices = {} if plane is None else dict(plane.key.position)
        return tuple(indices.get(axis, 0) for axis in placement.order[:-2])

    def _show(self, image_id: Hashable, found: ImportedRegions) -> bool:
        image = self._scene.image_of(image_id)
        if image is None:
            return False
        for class_name, colour in found.colours.items():
            if class_name not in self._palette:
                self._palette.assign(class_name, colour)
        from napari.layers import Labels, Shapes

        viewer = self._scene.viewer
        active = viewer.layers.selection.active
        if found.corners:
            width = max(1.0, 0.004 * max(image.extent.data.max(0)[-2:]))
            shapes = Shapes(
                list(found.corners),
                shape_type=list(found.types),
                ndim=image.ndim,
                name=found.path.stem,
                face_color="#00000000",
                edge_color=[self._palette[role.class_name] for role in found.roles],
                edge_width=width,
                features=found.features(),
            )
            # Before it is added: napari warns of a layer of other units.
            copy_transform(image, shapes)
            viewer.add_layer(shapes)
            self._regions.add(shapes, image)
        for one in found.labels:
            name = f"{found.path.stem} {one.role.class_name}"
            labels = one.labels.astype(np.uint8) if one.labels.dtype == bool else one.labels
            layer = Labels(_over(image, labels), name=name, opacity=0.5)
            copy_transform(image, layer)
            viewer.add_layer(layer)
            role, planes = one.role, one.planes if one.labels.ndim > 2 else ()
            self._regions.add(layer, image, role.class_name, role.positive, planes)
        if active is not None:  # else the next click would belong to the new layer
            viewer.layers.selection.active = active
        for place, point_role in found.points:
            self._add_point(image, place, point_role)
        return True


def _over(image: Image, labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels with all axes of the image; those of one plane are shown on every one."""
    lacking = image.ndim - labels.ndim
    shape = tuple(int(n) for n in (image.data[0] if image.multiscale else image.data).shape)
    return np.broadcast_to(labels, shape[: image.ndim]).copy() if lacking else labels


def _check_rows_and_columns(placement: ImagePlacement, planes: Mapping[PlaneKey, Plane]) -> None:
    last = (len(placement.shape) - 2, len(placement.shape) - 1)
    if any(key.axes != last for key in planes):
        raise SimilarityError(
            f"{placement.name} is shown from another side than its rows and columns, which other "
            "programs know alone; turn the view back and ask again."
        )


def _suffix(sort: str) -> str:
    if sort not in SUFFIXES:
        raise SimilarityError(f"There is no export {sort!r}; choose one of {', '.join(SUFFIXES)}.")
    return SUFFIXES[sort]


def _paths(path: str | os.PathLike[str], names: Sequence[str], sort: str) -> list[Path]:
    """Return a file for each image: the one that is named, or new ones in a folder."""
    target, suffix = Path(path).absolute(), _suffix(sort)
    if target.is_dir() and not target.name.endswith(".zarr"):
        there = [each.name for each in target.iterdir()]
        return [target / name for name in file_names(names, suffix, taken=there)]
    if len(names) > 1:
        raise SimilarityError(
            f"There are {len(names)} images, and {target.name} is one file; choose a folder that "
            "is there, or leave one image alone in it."
        )
    return [target]


def _always(value: object) -> bool:
    """Show nothing: the result is a file, and always wanted."""
    del value
    return True


def _describe(thing: str, found: Sequence[Written]) -> str:
    """Say what was written, for example “12 objects saved to a.geojson.”."""
    what = plural(sum(one.count for one in found), thing)
    if len(found) == 1:
        return f"{what} saved to {found[0].path}."
    return f"{what} saved to {plural(len(found), 'file')} in {found[0].path.parent}."


def _describe_import(found: Sequence[ImportedRegions]) -> str:
    regions = found[0]
    classes = regions.count_classes()
    parts = ", ".join(f"{count} of {name}" for name, count in classes.items())
    beside = f"; {regions.outside} more lie beside the image" if regions.outside else ""
    return f"{plural(sum(classes.values()), 'region')} from {regions.path.name}: {parts}{beside}."
