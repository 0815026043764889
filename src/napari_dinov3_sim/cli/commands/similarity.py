"""``napari-dinov3-sim similarity``: click in one plane, search all of them.

Its options, as those of all commands, are in `cli/parser.py`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.embeddings import recipe_of
from napari_dinov3_sim.cli.errors import UsageError
from napari_dinov3_sim.cli.model import open_model
from napari_dinov3_sim.cli.output.results import Result
from napari_dinov3_sim.cli.output.thresholds import AskedClasses
from napari_dinov3_sim.cli.pipeline import Search, check_embeddings_folder
from napari_dinov3_sim.cli.planes import FilePlan, inspect_file
from napari_dinov3_sim.cli.reading.options import ReadOptions
from napari_dinov3_sim.cli.reading.paths import InputPaths, the_match, without_repeats
from napari_dinov3_sim.cli.terminal import open_progress, say
from napari_dinov3_sim.core.geometry import PatchGrid, convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.core.images.levels import embedded_position
from napari_dinov3_sim.store.query_files import QUERY_SUFFIX, save_query

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
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


COLOUR = "#00ffff"
"""Of the class in a saved query; the dock may show it."""


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
    """

    file: FilePlan
    plane: Clicked
    points: tuple[Point, ...]
    negatives: tuple[Point, ...]

    @classmethod
    def of(cls, arguments: argparse.Namespace, path: Path) -> Click:
        """Return it, or raise `UsageError` or `PointError` where there is no such place."""
        file = inspect_file(path, ReadOptions.of(arguments))
        plane = clicked_plane(arguments, file)
        points, negatives = _points(arguments.at), _points(arguments.negatives or ())
        check_points((*points, *negatives), file.layers[plane[0]].full_shape)
        return cls(file, plane, points, negatives)

    def place(self, places: Sequence[SearchPlane]) -> SearchPlane:
        """Return the clicked one among the planes that are searched."""
        found = ((place.layer, place.position) for place in places)
        return places[list(found).index(self.plane)]  # its file is the first


def run_similarity(arguments: argparse.Namespace) -> int:
    """Run the command."""
    _check_folders(arguments)
    query, *targets = _read_names(arguments)
    click, classes = Click.of(arguments, query), [_class_name(arguments)]
    bars = open_progress(arguments.progress)
    search = Search.of(arguments, classes, targets, click.file, bars=bars)
    search.check(saved_query=arguments.save_query)
    with closing(search.planes), closing(bars), search.folder() as folder:
        model = open_model(arguments.model, arguments.device, arguments.dtype, bars)
        class_query, results = _search(search, click, search.finder(model, bars))
        saved = None
        if arguments.save_query:
            saved = _save(search, class_query, _clicked(results), model)
        about = AskedClasses((class_query,), arguments.combine)
        written = search.write(results, folder, about)
    images = [entry.flat() for entry in written.entries]
    asked = _asked(arguments, click, class_query, saved)
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


def _search(
    search: Search, click: Click, finder: EmbeddingFinder
) -> tuple[ClassQuery, list[Result]]:
    """Return what is asked, and the maps of each plane."""
    from napari_dinov3_sim.core.search.combine import query_from_points, score_classes

    place = click.place(search.places)
    found = finder.find(place)
    points, negatives = (
        tuple(map(place.embedded, group)) for group in (click.points, click.negatives)
    )
    class_query = query_from_points(
        search.classes[0],
        [(found.state, point) for point in points],
        [(found.state, point) for point in negatives],
    )

    def score(state: PatchImageState) -> Any:
        return score_classes([class_query], state, search.arguments.combine)

    maps, window = tuple(score(found.state)), found.state.window
    clicked = Result(place, maps, window, found.was_stored, points, negatives)
    del found  # its embeddings are not needed while those of the others are in memory
    return class_query, list(search.results(finder, score, clicked))


def _clicked(results: Sequence[Result]) -> Result:
    return next(result for result in results if result.points)


def _asked(
    arguments: argparse.Namespace, click: Click, class_query: ClassQuery, saved: str | None
) -> dict[str, Any]:
    layer, position = click.plane
    channel = click.file.layers[layer].channel
    which = {} if click.file.planes == 1 else {"channel": channel, "plane": list(position)}
    return {
        "query": str(click.file.path),
        **which,
        "points": [list(point) for point in click.points],
        "negatives": [list(point) for point in click.negatives],
        "class": class_query.name,
        "combination": arguments.combine,
        "saved_query": saved,
    }


def _save(search: Search, class_query: ClassQuery, result: Result, model: CommandModel) -> str:
    from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery

    query = SavedQuery(
        (
            SavedClass.of(
                class_query, COLOUR, [_thumbnail(search, result, at) for at in result.points]
            ),
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
