"""Stained sections are bright; padding of the thumbnail does not count."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim import sample_data
from napari_dinov3_sim.session.layers.style import is_bright


@pytest.mark.parametrize("shape", [(64, 64), (20, 200), (200, 20)])
@pytest.mark.parametrize(("value", "bright"), [(0, False), (100, False), (180, True)])
def test_a_field_of_one_value(viewer, shape, value, bright):
    for channels in ((), (3,)):
        image = np.full(shape + channels, value, np.uint8)
        layer = viewer.add_image(image, **({} if channels else {"contrast_limits": (0, 255)}))
        assert is_bright(layer) == bright


@pytest.mark.parametrize(
    ("make", "bright"),
    [(sample_data.make_histology_pair, True), (sample_data.make_coin_pair, False)],
)
def test_samples(viewer, make, bright):
    for data, options, _ in make():
        assert is_bright(viewer.add_image(data, **options)) == bright


def test_it_is_the_drawn_image_that_counts(viewer):
    layer = viewer.add_image(np.full((32, 32), 100, np.uint8), contrast_limits=(0, 255))
    assert not is_bright(layer)
    layer.contrast_limits = (0, 110)
    assert is_bright(layer)
