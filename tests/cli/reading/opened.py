"""What the command line reads of a file."""

from __future__ import annotations

import numpy as np

from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.cli.reading.options import ReadOptions


def pixels(layer, position=()):
    return np.asarray(layer.plane(position).read(slice(None), slice(None)))


def opened(path, read_as="auto", reader=None):
    """Return the planes of all layers of a file, and the notes on how it was read."""
    with OpenFile(path, ReadOptions(read_as, reader)) as file:
        planes = [pixels(layer, at) for layer in file.layers for at in layer.positions()]
        return planes, " ".join(file.notes)


def read_image(path, read_as="auto", reader=None):
    """Return the one plane of a file."""
    (plane,), _ = opened(path, read_as, reader)
    return plane
