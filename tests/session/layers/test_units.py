"""napari warns of layers of unlike units, from the moment at which there is one."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def mixed(viewer):
    """The names of layers with which units were unlike."""
    found = []

    def note(event):
        if viewer.layers.extent.units is None:
            found.append(event.value.name)

    viewer.layers.events.inserted.connect(note)
    return found


def test_every_layer_has_the_units_of_its_image_when_it_is_added(
    session, viewer, rng, mixed, tmp_path
):
    image = viewer.add_image(rng.random((64, 96)), scale=(0.3, 0.3), units=("um", "um"))
    corners = [[[2, 2], [40, 2], [40, 30], [2, 30], [2, 2]]]
    area = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": corners}}
    hole = [[8, 8], [20, 8], [20, 20], [8, 20], [8, 8]]
    ring = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [*corners, hole]}}
    session.start_box()
    session.add_query(image, 20, 20)
    session.show_class_map = True
    session.results.labels(threshold=0)
    session.results.peaks(threshold=0)
    session.results.colours()
    session.discovery.suggest(2)
    for number, feature in enumerate((area, ring)):
        path = tmp_path / f"{number}.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        session.exports.import_regions(path, image)
    session.side_by_side = True
    session.wait()
    assert len(viewer.layers) >= 10
    assert mixed == []


def test_unlike_units_are_found(viewer, rng, mixed):
    viewer.add_image(rng.random((4, 4)), units=("um", "um"))
    viewer.add_image(rng.random((4, 4)), name="without")
    assert mixed == ["without"]
    assert np.isfinite(viewer.layers.extent.world).all()
