"""Whoever throws the points away begins with what is meant."""

from __future__ import annotations


def test_a_new_layer_begins_with_positive_points(session, viewer, rng):
    image = viewer.add_image(rng.normal(size=(64, 64)))
    session.add_query(image, 20, 20)
    session.positive = False
    viewer.layers.remove(session.queries)
    session.new_queries()
    assert session.positive
    session.add_query(image, 20, 20)
    assert list(session.queries.features["sign"]) == ["positive"]
