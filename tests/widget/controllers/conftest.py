"""Two images and a dock that is open as a whole."""

from __future__ import annotations

import pytest

from ..dock_helpers import squares


@pytest.fixture
def pair(viewer_model):
    a = viewer_model.add_image(squares((1, 2)), name="a")
    b = viewer_model.add_image(squares((4, 3)), name="b", translate=(0, 100))
    return a, b


@pytest.fixture
def dock(make_dock, pair, qtbot):
    dock = make_dock()
    dock.session.new_queries()
    dock.show()
    return dock
