"""A result that answers an older query or threshold says so, and is made again."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def asked(session, viewer, rng):
    image = viewer.add_image(rng.normal(size=(96, 96)), name="field")
    session.add_query(image, 20, 20)
    session.wait()
    return image


def test_a_result_is_up_to_date_until_the_query_changes(session, asked):
    assert session.results.outdated == ()
    session.results.labels()
    session.results.peaks()
    session.wait()
    assert session.results.outdated == ()
    session.add_query(asked, 60, 60)
    session.wait()
    assert session.results.outdated == ("labels", "peaks")
    session.undo()
    session.wait()
    assert session.results.outdated == ()


def test_renewed_it_is_what_it_would_be_now(session, viewer, asked):
    session.results.labels(0.2, min_area=300)
    session.wait()
    session.add_query(asked, 60, 60)
    session.wait()
    session.results.renew()
    session.wait()
    assert session.results.outdated == ()
    renewed = np.array(viewer.layers["field objects"].data)
    viewer.layers.remove("field objects")
    session.results.labels(0.2, min_area=300)
    session.wait()
    np.testing.assert_array_equal(renewed, viewer.layers["field objects"].data)


def test_another_threshold_makes_it_out_of_date_unless_its_own_was_given(session, asked):
    session.results.labels()
    session.results.peaks(0.3)
    session.wait()
    session.threshold = 0.7
    assert session.results.outdated == ("labels",)


def test_what_was_removed_is_not_out_of_date(session, viewer, asked):
    session.results.labels()
    session.wait()
    session.add_query(asked, 60, 60)
    session.wait()
    viewer.layers.remove("field objects")
    assert session.results.outdated == ()
