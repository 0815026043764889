"""Embeddings with their places, as ``.npz`` and Zarr, for scikit-learn, UMAP and the like.

Both have the same arrays under the same names: ``numpy.load(path)["vectors"]`` and
``zarr.open(path)["vectors"]`` are ready for ``sklearn`` and ``umap.UMAP().fit_transform``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.state import PatchImageState

FORMAT = "napari-dinov3-sim-embeddings/1"


@dataclass(frozen=True, eq=False)
class PlaneEmbeddings:
    """The embeddings of one plane.

    Attributes
    ----------
    vectors : ndarray of float32, shape (rows * columns, D)
        Unit rows, row by row of the grid.
    grid_shape : (int, int)
        Rows and columns of patches.
    pixels : ndarray of float64, shape (rows * columns, 2)
        Middle of each patch (y, x) in pixels of level 0; the centre of pixel i is at i.
    world : ndarray of float64, shape (rows * columns, number of axes)
        The same in world coordinates.
    plane : tuple of int
        Where the plane lies along the axes before rows and columns.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    grid_shape: tuple[int, int]
    pixels: NDArray[np.float64] = field(repr=False)
    world: NDArray[np.float64] = field(repr=False)
    plane: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """The embeddings of an image.

    Attributes
    ----------
    image, model, fingerprint : str
        Name of the image; name and fingerprint of the model.
    axes, units : tuple of str
        Of the world coordinates.
    planes : tuple of PlaneEmbeddings
        At least one, all of one grid.
    """

    image: str
    model: str
    fingerprint: str
    axes: tuple[str, ...]
    units: tuple[str, ...]
    planes: tuple[PlaneEmbeddings, ...]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is written: one row for each patch of each plane."""
        counts = [len(plane.vectors) for plane in self.planes]
        return {
            "vectors": _joined([p.vectors for p in self.planes]).astype(np.float32, copy=False),
            "pixels": _joined([plane.pixels for plane in self.planes]),
            "world": _joined([plane.world for plane in self.planes]),
            "plane": np.repeat([plane.plane for plane in self.planes], counts, axis=0)
            .reshape(sum(counts), -1)
            .astype(np.int64),
            "grid_shape": np.array(self.planes[0].grid_shape, np.int64),
        }

    def about(self) -> dict[str, Any]:
        """Return what is written of the image and of the model."""
        return {
            "format": FORMAT,
            "image": self.image,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "axes": list(self.axes),
            "units": list(self.units),
        }


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the rows of all parts; those of one, which may be gigabytes, are not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def patch_centres(state: PatchImageState) -> NDArray[np.float64]:
    """Return the middle of each patch (x, y) in embedded pixels, row by row of the grid."""
    from napari_dinov3_sim.core.search.peaks import patch_center

    grid = state.grid
    places = [patch_center(r, c, grid) for r in range(grid.rows) for c in range(grid.columns)]
    return np.array(places, float).reshape(-1, 2)


def write_npz(path: Path, table: EmbeddingTable) -> None:
    """Write embeddings as ``.npz``; texts are arrays without axes, so that no pickle is needed.

    Parameters
    ----------
    path : Path
        Written as it is; see `exchange.files.written`.
    table : EmbeddingTable
    """
    texts = {name: np.array(value) for name, value in table.about().items()}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{**table.arrays(), **texts})


def write_embedding_zarr(path: Path, table: EmbeddingTable) -> None:
    """Write embeddings as a Zarr group with the same arrays; texts are its attributes.

    Parameters
    ----------
    path : Path
        A folder that is not there yet.
    table : EmbeddingTable
    """
    import zarr

    root = zarr.open_group(str(path), mode="w")
    for name, values in table.arrays().items():
        rows = max(1, 2**22 // max(1, values[:1].nbytes)) if values.ndim == 2 else len(values)
        chunks = (min(len(values), rows), *values.shape[1:])
        if 0 in values.shape:  # a single plane lies nowhere
            chunks = tuple(max(1, size) for size in values.shape)
        root.create_array(name, data=values, chunks=chunks)
    root.attrs.update(json.loads(json.dumps(table.about())))
