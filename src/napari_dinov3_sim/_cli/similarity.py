"""``napari-dinov3-sim similarity``: click in one image, search all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.embedding import (
    ImageEmbedder,
    describe_model,
    load_model,
    recipe_of,
    say_model,
)
from napari_dinov3_sim._cli.errors import InputError, UsageError
from napari_dinov3_sim._cli.images import read_all_once, read_image
from napari_dinov3_sim._cli.outputs import (
    OutputFolder,
    check_inputs_survive,
    encode_png,
    encode_tif,
    open_folder,
    unique_stems,
    without_repeats,
)
from napari_dinov3_sim._cli.overlay import Limits, draw_heatmap, outline_patches
from napari_dinov3_sim._cli.terminal import Bars, note, say, table
from napari_dinov3_sim.core.geometry import PatchGrid, convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.store import DiskStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.intensity import IntensityWindow
    from napari_dinov3_sim.core.similarity import Point, SimilarityMap

COSINE, HEATMAP = ".cosine.tif", ".heatmap.png"


@dataclass(frozen=True, eq=False)
class Result:
    """The map of one image, and what is needed to draw it.

    Attributes
    ----------
    path : Path
    similarity : SimilarityMap
    window : IntensityWindow or None
    points : tuple of (x, y)
        The clicks, in the image that was clicked; empty elsewhere.
    stored : bool
        Whether stored embeddings were used.
    """

    path: Path
    similarity: SimilarityMap
    window: IntensityWindow | None
    points: tuple[Point, ...]
    stored: bool


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from napari_dinov3_sim.core.similarity import shared_limits

    images = without_repeats([arguments.query, *arguments.targets])
    points = tuple((float(x), float(y)) for x, y in arguments.at)
    stems = unique_stems(images)
    _check(arguments, images, points, stems)
    folder = open_folder(arguments.out)
    with Bars() as bars:
        backbone = load_model(arguments.model, arguments.device, arguments.dtype, bars)
        store = DiskStore(arguments.embeddings, warn=note) if arguments.embeddings else None
        embedder = ImageEmbedder(backbone, store, bars, recipe_of(arguments))
        results = _search(images, points, embedder)
    limits = shared_limits(result.similarity.cosine for result in results)
    entries = [
        _write(result, stem, limits, folder) for result, stem in zip(results, stems, strict=True)
    ]
    if arguments.json:
        say(json.dumps(_report(describe_model(backbone), entries, points, limits)))
    else:
        say_model(backbone)
        say(_table(entries))
        say(f"The files are in {folder.path}; bright is similar, on one scale for all images.")
    return 0


def _check(
    arguments: argparse.Namespace,
    images: Sequence[Path],
    points: Sequence[Point],
    stems: Sequence[str],
) -> None:
    """Find every mistake that can be found before the model is loaded."""
    if arguments.embeddings and not arguments.embeddings.is_dir():
        raise UsageError(
            f"There is no folder {arguments.embeddings}; make it with `napari-dinov3-sim embed`, "
            "or leave --embeddings out."
        )
    height, width = read_image(arguments.query).shape[:2]
    for x, y in points:
        convert_pixel_coordinates_to_patch_index(x, y, PatchGrid((height, width), 1))
    read_all_once(images[1:])
    outputs = [arguments.out / f"{stem}{end}" for stem in stems for end in (COSINE, HEATMAP)]
    check_inputs_survive(images, outputs)
    for path, stem in zip(images, stems, strict=True):
        if path.stem != stem:
            note(f"note: the results of {path} are called {stem}, because {path.stem} is taken.")


def _search(
    images: Sequence[Path], points: tuple[Point, ...], embedder: ImageEmbedder
) -> list[Result]:
    """Return the map of each image, the clicked one first; only maps are kept in memory."""
    from napari_dinov3_sim.core.similarity import query_vector, similarity_map

    query, results = None, []
    for path in images:
        found = embedder.embed(path)
        clicks = points if query is None else ()
        if query is None:
            query = query_vector([(found.state, point) for point in points])
        similarity = similarity_map(query, found.state)
        stored = found.stored is not None
        results.append(Result(path, similarity, found.state.window, clicks, stored))
    return results


def _write(result: Result, stem: str, limits: Limits, folder: OutputFolder) -> dict[str, Any]:
    cosine = folder.write(f"{stem}{COSINE}", encode_tif(result.similarity.full_resolution()))
    heatmap = folder.write(f"{stem}{HEATMAP}", encode_png(_draw(result, limits)))
    return {
        "image": str(result.path),
        "clicked": bool(result.points),
        "shape": list(result.similarity.grid.image_shape),
        **summarise(result.similarity),
        "stored_embeddings": result.stored,
        "cosine": str(cosine),
        "heatmap": str(heatmap),
    }


def _draw(result: Result, limits: Limits) -> NDArray[np.uint8]:
    image, grid = read_image(result.path), result.similarity.grid
    if image.shape[:2] != grid.image_shape:
        raise InputError(f"{result.path} was changed in the meantime; run the command again.")
    picture = draw_heatmap(image, result.window, result.similarity, limits)
    return outline_patches(picture, grid, result.points)


def summarise(similarity: SimilarityMap) -> dict[str, Any]:
    """Return range and mean of the cosine, and the pixel in the middle of the best patch."""
    cosine, side = similarity.cosine, similarity.grid.patch_size
    height, width = similarity.grid.image_shape
    row, column = divmod(int(cosine.argmax()), similarity.grid.columns)
    x = (column * side + min((column + 1) * side, width) - 1) // 2
    y = (row * side + min((row + 1) * side, height) - 1) // 2
    return {
        "min": float(cosine.min()),
        "max": float(cosine.max()),
        "mean": float(cosine.mean()),
        "best_match": {"x": x, "y": y, "cosine": float(cosine[row, column])},
    }


def _report(
    model: dict[str, Any],
    entries: list[dict[str, Any]],
    points: Sequence[Point],
    limits: Limits,
) -> dict[str, Any]:
    return {
        "query": entries[0]["image"],
        "points": [list(point) for point in points],
        **model,
        "limits": list(limits),
        "images": entries,
        "files": [entry[kind] for entry in entries for kind in ("cosine", "heatmap")],
    }


def _table(entries: list[dict[str, Any]]) -> str:
    rows = [("image", "size", "best match (x, y)", "cosine", "written")]
    for entry in entries:
        best, shape = entry["best_match"], entry["shape"]
        where = "({x}, {y})".format(**best) + (", the click" if entry["clicked"] else "")
        files = f"{_name(entry['cosine'])}, {_name(entry['heatmap'])}"
        size = f"{shape[1]} × {shape[0]}"
        rows.append((entry["image"], size, where, f"{best['cosine']:.3f}", files))
    return table(rows)


def _name(path: str) -> str:
    from pathlib import Path

    return Path(path).name
