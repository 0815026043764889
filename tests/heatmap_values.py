"""What a heatmap layer shows at each pixel of its image."""

from __future__ import annotations

import numpy as np


def over_image(image, heatmap):
    """Return the value of a heatmap layer over each pixel of an image, in the image's shape.

    Each pixel is looked up where the transforms of both layers say that it lies, so that a layer
    that lies wrong has wrong values here, or none.
    """
    data = np.asarray(heatmap.data[0] if heatmap.multiscale else heatmap.data)
    shape = image.level_shapes[0] if image.multiscale else image.data.shape
    shape = tuple(int(size) for size in shape[: image.ndim])
    start = place(image, heatmap, np.zeros(image.ndim))
    found = []
    for axis, size in enumerate(shape):
        far = np.zeros(image.ndim)
        far[axis] = size
        along = place(image, heatmap, far) - start
        across = np.delete(along, axis)
        assert np.abs(across).max(initial=0) < 1e-6 * max(1, size), "the axes are parallel"
        where = start[axis] + along[axis] * np.arange(size) / size
        index = np.floor(where + 0.5 + 1e-9).astype(int)
        assert (index[0], index[-1]) == (0, data.shape[axis] - 1), "it ends where the image does"
        edges = start[axis] + along[axis] * np.array([-0.5, size - 0.5]) / size
        np.testing.assert_allclose(edges, [-0.5, data.shape[axis] - 0.5], atol=1e-6)
        found.append(index)
    return data[np.ix_(*found)]


def place(image, heatmap, pixel):
    """Return where a pixel of an image lies in the data of a heatmap layer."""
    return np.asarray(heatmap.world_to_data(image.data_to_world(pixel)), float)
