"""What is said at each of the three steps: images, query, what was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_dinov3_sim.session.resolved_state import PickCounts
from napari_dinov3_sim.session.status import StackProgress, StatusInfo, step_status

READY = StatusInfo(
    images=3,
    targets=2,
    planes=2,
    embedded=2,
    levels=(),
    model="builtin",
    three_d=False,
    grid=False,
    busy=False,
    model_failed=False,
    heatmaps=2,
    counts=PickCounts(points=3),
)


def test_what_there_is():
    steps = step_status(READY)
    assert steps.images == "2 of 2 images ready."
    assert steps.query == "The query is 3 points."
    assert steps.found == "2 heatmaps."


def test_before_the_first_click():
    steps = step_status(replace(READY, counts=PickCounts(), embedded=0, heatmaps=0))
    assert steps.images == "0 of 2 images ready."
    assert steps.query == "Click on a structure in an image."
    assert steps.found == ""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": 0}, "Open an image to begin."),
        ({"targets": 0}, "Tick at least one image to search."),
        ({"model": ""}, "Choose a model."),
        ({"model_failed": True}, "builtin could not be loaded; choose another model."),
        ({"targets": 3}, "2 of 2 images ready. 1 image outside the shown plane."),
        (
            {"levels": ("a: level 2.",)},
            "2 of 2 images ready. a: level 2.",
        ),
    ],
)
def test_what_is_missing_is_said_at_the_first_step(changes, sentence):
    assert step_status(replace(READY, **changes)).images == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"busy": True, "embedded": 1}, "Waits for 1 image."),
        ({"busy": True, "heatmaps": 0}, "Waits for the answer."),
        ({"model_failed": True}, "Waits for a model."),
        ({"heatmaps": 0}, "Not every image that was clicked is embedded; press Embed."),
        ({"counts": PickCounts(points=1, only_negative=True)}, "Waits for a positive point."),
        ({"busy": True, "stacks": StackProgress(9, 9, 4)}, "4 of 9 planes searched."),
    ],
)
def test_what_the_third_step_waits_for(changes, sentence):
    assert step_status(replace(READY, **changes)).found == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"counts": PickCounts(points=2, outside=1)}, "1 point outside all ticked images."),
        ({"three_d": True}, "Clicks in the 3-D view are not queries; click in 2-D."),
        ({"grid": True}, "Clicks in the grid are not queries; leave the grid and click."),
    ],
)
def test_remarks_on_clicks_are_made_at_the_second_step(changes, sentence):
    assert step_status(replace(READY, **changes)).query.endswith(sentence)
