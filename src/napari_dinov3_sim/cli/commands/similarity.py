"""``napari-dinov3-sim similarity``: click in one plane, search all of them.

Its options, as those of all commands, are in `cli/parser.py`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.cli.embeddings import recipe_of
from napari_dinov3_sim.cli.errors import UsageError
from napari_dinov3_sim.cli.model import open_model
from napari_dinov3_sim.cli.output.exports import COLOURS
from napari_dinov3_sim.cli.output.results import Result
from napari_dinov3_sim.cli.output.thresholds import AskedClasses
from napari_dinov3_sim.cli.pipeline import Search, check_embeddings_folder
from napari_dinov3_sim.cli.planes import FilePlan, inspect_file
from napari_dinov3_sim.cli.reading.options import ReadOptions
from napari_dinov3_sim.cli.reading.paths import InputPaths, the_match, without_repeats
from napari_dinov3_sim.cli.regions import QueryRegions, RegionVector
from napari_dinov3_sim.cli.terminal import open_progress, say
from napari_dinov3_sim.core.geometry import PatchGrid, convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.core.images.levels import embedded_position
from napari_dinov3_sim.store.query_files import QUERY_SUFFIX, save_query

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from napari_dinov3_sim.cli.model import CommandModel
    from napari_dinov3_sim.cli.pipeline import EmbeddingFinder
    from napari_dinov3_sim.cli.planes import LayerPlan, SearchPlane
    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.core.search.combine import ClassQuery
    from napari_dinov3_sim.core.search.similarity import Point
    from napari_dinov3_sim.core.state import PatchImageState


Clicked = tuple[int, "Position"]
"""Which layer of the file, and which plane of it."""


def clicked_plane(arguments: argparse.Namespace, plan: FilePlan) -> Clicked:
    """Return the plane of a file that the command line means.

    Raises
    ------
    UsageError
        It means none, or one that is not there, or the file has several and it names none.
    """
    layers = _clicked_image(plan)
    first = plan.layers[layers[0]]
    channel, plane = arguments.channel, arguments.plane
    lacks = [
        option
        for option, value, count in (
            ("--channel C", channel, len(layers)),
            (f"--plane {' '.join('IJKLMN'[: len(first.leading)])}", plane, first.planes),
        )
        if value is None and count > 1
    ]
    if lacks:
        raise UsageError(
            f"{plan.path} has {_planes(first, len(layers))}; name the one that is clicked with "
            f"{' '.join(lacks)}, counted from 0{_colours(first, len(layers))}."
        )
    number = _channel(channel, plan, layers)
    return number, _position(plane, plan, plan.layers[number])


MOST_NAMED = 6
"""Images of a file that are named in one line."""


def _clicked_image(plan: FilePlan) -> list[int]:
    """Return which layers are channels of the image that is clicked."""
    images: dict[int | None, str] = {}
    for layer in plan.layers:
        images.setdefault(layer.series, layer.title)
    if len(images) > 1:
        names = [f"{number} {title}".strip() for number, title in images.items()]
        more = len(names) - MOST_NAMED
        named = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        raise UsageError(
            f"{plan.path} has {len(images)} images ({named}); name the one that is clicked, such "
            f"as {plan.path}:series={next(iter(images))}."
        )
    return list(range(len(plan.layers)))


def _planes(layer: LayerPlan, channels: int) -> str:
    planes = f"{layer.planes} planes"
    if len(layer.full_leading) > 1:
        planes += f" ({' × '.join(map(str, layer.full_leading))})"
    if channels == 1:
        return planes
    return f"{channels} channels" + (f" of {planes} each" if layer.planes > 1 else "")


def _colours(layer: LayerPlan, channels: int) -> str:
    may_be = layer.leading in ((3,), (4,)) and channels == 1
    return "; if they are the colours of one image, add --read-as rgb" if may_be else ""


def _channel(channel: int | None, plan: FilePlan, layers: Sequence[int]) -> int:
    numbers = [plan.layers[number].channel for number in layers]
    if channel is None:
        return layers[0]
    if channel in numbers:
        return layers[numbers.index(channel)]
    there = f"has channels 0 to {len(numbers) - 1}" if len(numbers) > 1 else "has no channels"
    cure = "choose one of them" if len(numbers) > 1 else "leave --channel out"
    raise UsageError(f"--channel {channel}: {plan.path} {there} to choose from; {cure}.")


def _position(plane: Sequence[int] | None, plan: FilePlan, layer: LayerPlan) -> Position:
    """Return where a plane lies in the embedded level, which may have fewer of them."""
    full = layer.full_leading
    if plane is None:
        return (0,) * len(full)
    given = f"--plane {' '.join(map(str, plane))}: {plan.path}"
    if not full:
        raise UsageError(f"{given} has one plane; leave --plane out.")
    if len(plane) != len(full) or any(at >= size for at, size in zip(plane, full, strict=True)):
        ranges = " and ".join(f"0 to {size - 1}" for size in full)
        raise UsageError(
            f"{given} has {len(full)} {'axis' if len(full) == 1 else 'axes'} before rows and "
            f"columns; give an index for each, from {ranges}."
        )
    return embedded_position(tuple(plane), full, layer.leading)


def check_points(points: Iterable[Point], shape: tuple[int, int]) -> None:
    """Raise `PointError` for one that lies outside an image of this height and width."""
    for x, y in points:
        convert_pixel_coordinates_to_patch_index(x, y, PatchGrid(shape, 1))


MOST_PICTURES = 24
"""Of what was clicked, for each class of a saved query."""


@dataclass(frozen=True)
class Click:
    """Where the command line clicks.

    Attributes
    ----------
    file : FilePlan
    plane : (int, tuple of int)
        Which layer of the file, and which plane of it.
    points, negatives : tuple of (x, y)
        In pixels of the finest level.
    regions : QueryRegions or None
        What a file has marked on the plane.
    """

    file: FilePlan
    plane: Clicked
    points: tuple[Point, ...]
    negatives: tuple[Point, ...]
    regions: QueryRegions | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace, path: Path) -> Click:
        """Return it, or raise an error where there is no such place, or no such file."""
        file = inspect_file(path, ReadOptions.of(arguments))
        plane = clicked_plane(arguments, file)
        points, negatives = _points(arguments.at or ()), _points(arguments.negatives or ())
        check_points((*points, *negatives), file.layers[plane[0]].full_shape)
        regions = None
        if arguments.regions is not None:
            regions = QueryRegions.read(arguments.regions, _class_name(arguments))
        return cls(file, plane, points, negatives, regions)

    def classes(self, arguments: argparse.Namespace) -> list[str]:
        """Return what is asked: the class of the points, and those of the regions."""
        clicked = [_class_name(arguments)] if self.points or self.regions is None else []
        return list(dict.fromkeys([*clicked, *(self.regions.classes if self.regions else ())]))

    def place(self, places: Sequence[SearchPlane]) -> SearchPlane:
        """Return the clicked one among the planes that are searched."""
        found = ((place.layer, place.position) for place in places)
        return places[list(found).index(self.plane)]  # its file is the first


def run_similarity(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if not arguments.at and arguments.regions is None:
        raise UsageError(
            "Nothing is clicked; say where with --at X Y, or name a file of regions with "
            "--regions."
        )
    _check_folders(arguments)
    query, *targets = _read_names(arguments)
    click = Click.of(arguments, query)
    classes = click.classes(arguments)
    bars = open_progress(arguments.progress)
    search = Search.of(arguments, classes, targets, click.file, bars=bars)
    read = [] if arguments.regions is None else [arguments.regions]
    search.check(read, saved_query=arguments.save_query)
    with closing(search.planes), closing(bars), search.folder() as folder:
        model = open_model(arguments.model, arguments.device, arguments.dtype, bars)
        asked_classes, results = _search(search, click, search.finder(model, bars))
        colours = _class_colours(asked_classes, click)
        saved = None
        if arguments.save_query:
            saved = _save(search, asked_classes, colours, _clicked(results, click), model)
        queries = tuple(one.query for one in asked_classes)
        about = AskedClasses(queries, arguments.combine, colours)
        written = search.write(results, folder, about)
    images = [entry.flat() if len(classes) == 1 else entry.nested() for entry in written.entries]
    asked = _asked(arguments, click, classes, saved)
    code = search.tell(written, folder, model, asked, images, bars=bars)
    if saved and not (arguments.json or arguments.progress == "json"):
        say(f"The query is in {saved}; `napari-dinov3-sim search` asks it of other images.")
    return code


def _check_folders(arguments: argparse.Namespace) -> None:
    check_embeddings_folder(arguments)
    saved = arguments.save_query
    if saved and not saved.absolute().parent.is_dir():
        raise UsageError(f"There is no folder for {saved}; make it, or save the query elsewhere.")


def _read_names(arguments: argparse.Namespace) -> list[Path]:
    """Return the images, each once and the clicked one first; or raise what is wrong with any."""
    names = InputPaths()
    images = names.read(arguments.query, the_match)
    images += names.read_all(arguments.targets)
    names.check()
    return without_repeats(images)


def _class_name(arguments: argparse.Namespace) -> str:
    from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS

    if arguments.class_name or not arguments.save_query:
        class_name: str | None = arguments.class_name
        return class_name or DEFAULT_CLASS
    file: str = arguments.save_query.name
    return file.removesuffix(QUERY_SUFFIX).removesuffix(".safetensors") or DEFAULT_CLASS


def _points(pairs: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in pairs)


def _class_colours(classes: Sequence[AskedClass], click: Click) -> dict[str, str]:
    known = click.regions.colours if click.regions else {}
    return {
        one.query.name: known.get(one.query.name, COLOURS[number % len(COLOURS)])
        for number, one in enumerate(classes)
    }


@dataclass(frozen=True, eq=False)
class AskedClass:
    """A class that is asked, and where.

    Attributes
    ----------
    query : ClassQuery
    points, negatives : tuple of (x, y)
        Clicks, and the middles of regions, in embedded pixels.
    """

    query: ClassQuery
    points: tuple[Point, ...]
    negatives: tuple[Point, ...]


def _asked_classes(
    search: Search, click: Click, place: SearchPlane, state: PatchImageState
) -> list[AskedClass]:
    """Return the classes of the points and of the regions, in the order of the search.

    Raises
    ------
    UsageError
        A class has only what is not meant, or none of its regions lies on the plane.
    """
    from napari_dinov3_sim.core.search.combine import ClassQuery, background_vector
    from napari_dinov3_sim.core.search.similarity import vector_at

    clicked = _class_name(search.arguments)
    marks = [
        RegionVector(clicked, positive, vector_at(state, at), at)
        for positive, group in ((True, click.points), (False, click.negatives))
        for at in map(place.embedded, group)
    ]
    if click.regions is not None:
        marks += click.regions.vectors(place, state)
    background, found = background_vector([state]), []
    for name in search.classes:
        meant = [mark for mark in marks if mark.class_name == name and mark.positive]
        others = [mark for mark in marks if mark.class_name == name and not mark.positive]
        if not meant:
            raise UsageError(
                f"Nothing that is marked as {name} lies on {place.name}, so it cannot be "
                "searched; mark it there, or take it out of the file of regions."
            )
        positives = np.stack([mark.vector for mark in meant])
        negatives = np.array([mark.vector for mark in others], np.float32)
        query = ClassQuery(name, positives, negatives.reshape(-1, positives.shape[1]), background)
        places = (tuple(mark.place for mark in marks) for marks in (meant, others))
        found.append(AskedClass(query, *places))
    return found


def _search(
    search: Search, click: Click, finder: EmbeddingFinder
) -> tuple[list[AskedClass], list[Result]]:
    """Return what is asked, and the maps of each plane."""
    from napari_dinov3_sim.core.search.combine import score_classes

    place = click.place(search.places)
    found = finder.find(place)
    classes = _asked_classes(search, click, place, found.state)

    def score(state: PatchImageState) -> Any:
        return score_classes([one.query for one in classes], state, search.arguments.combine)

    maps, window = tuple(score(found.state)), found.state.window
    points = tuple(at for one in classes for at in one.points)
    negatives = tuple(at for one in classes for at in one.negatives)
    clicked = Result(place, maps, window, found.was_stored, points, negatives)
    del found  # its embeddings are not needed while those of the others are in memory
    return classes, list(search.results(finder, score, clicked))


def _clicked(results: Sequence[Result], click: Click) -> Result:
    places = [result.place for result in results]
    return results[places.index(click.place(places))]


def _asked(
    arguments: argparse.Namespace, click: Click, classes: Sequence[str], saved: str | None
) -> dict[str, Any]:
    layer, position = click.plane
    channel = click.file.layers[layer].channel
    which = {} if click.file.planes == 1 else {"channel": channel, "plane": list(position)}
    return {
        "query": str(click.file.path),
        **which,
        "points": [list(point) for point in click.points],
        "negatives": [list(point) for point in click.negatives],
        **({} if click.regions is None else {"regions": str(click.regions.file.path)}),
        **({"class": classes[0]} if len(classes) == 1 else {"classes": list(classes)}),
        "combination": arguments.combine,
        "saved_query": saved,
    }


def _save(
    search: Search,
    classes: Sequence[AskedClass],
    colours: Mapping[str, str],
    result: Result,
    model: CommandModel,
) -> str:
    from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery

    query = SavedQuery(
        tuple(
            SavedClass.of(
                one.query,
                colours[one.query.name],
                [_thumbnail(search, result, at) for at in one.points[:MOST_PICTURES]],
                search.wanted.thresholds.given(one.query.name),
            )
            for one in classes
        ),
        search.arguments.combine,
        model.identity.fingerprint,
        model.identity.name,
        result.maps[0].grid.patch_size,
        recipe_of(search.arguments).factor,
    )
    return str(save_query(query, search.arguments.save_query))


def _thumbnail(search: Search, result: Result, point: Point) -> Any:
    """Return what lies around a click, of which no more is read."""
    from napari_dinov3_sim.core.search.saved_query import THUMBNAIL, make_thumbnail

    x, y = (max(0, int(at) - THUMBNAIL) for at in point)
    width, height = (int(at) + THUMBNAIL for at in point)
    around = search.planes.source(result.place).read(slice(y, height), slice(x, width))
    return make_thumbnail(around, result.window, (point[0] - x, point[1] - y))
