"""Labels over an image of another scale, or shifted: the label under the centre of each pixel."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.session.answering.query_vectors import labels_over_image
from napari_dinov3_sim.session.answering.question import LabelsPick


def over(labels, shape, matrix=(0.5, 0, 0, 0.5), offset=(-0.25, -0.25)):
    pick = LabelsPick(None, ("labels", 0), "labels", matrix, offset, labels)
    return labels_over_image(pick, shape)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
def test_each_label_is_where_it_was(dtype):
    labels = np.random.default_rng(0).integers(0, 100, (10, 14)).astype(dtype)
    np.testing.assert_array_equal(over(labels, (20, 28)), labels.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("first", [2**53 - 3, 720575940621675174])
def test_large_labels_stay_the_same_and_apart(dtype, first):
    labels = np.arange(first, first + 140, dtype=dtype).reshape(10, 14)
    labels[:2] = 0
    np.testing.assert_array_equal(over(labels, (20, 28)), labels.repeat(2, 0).repeat(2, 1))
    beyond = over(labels, (22, 30), (1, 0, 0, 1), (-3, -2))
    assert not beyond[:3].any()
    assert not beyond[:, :2].any()
    np.testing.assert_array_equal(beyond[3:13, 2:16], labels)
