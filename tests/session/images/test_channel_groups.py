"""Layers that are opened as channels of one image are searched as one; others never are."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

SHAPE = (40, 50)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 255, (4, *SHAPE)).astype(np.uint8)


def names_of(session):
    """What is searched as one image, as the red, green and blue."""
    return [
        tuple(None if layer is None else layer.name for layer in channels)
        for channels in session.merged.values()
    ]


def add(viewer, pixels, *names, colormaps=None, **how):
    """Layers with names, and with colours that add up where there are any."""
    layers = []
    for number, name in enumerate(names):
        if colormaps is not None:
            how |= {"colormap": colormaps[number], "blending": "additive"}
        layers.append(viewer.add_image(pixels[number], name=name, **how))
    return layers


@pytest.mark.parametrize("count", [2, 3])
def test_a_file_of_two_or_three_channels_is_one_image(session, viewer, pixels, count):
    layers = viewer.add_image(pixels[:count], channel_axis=0, name="cells")
    expected = ("cells", "cells [1]", "cells [2]")[:count]
    assert names_of(session) == [(*expected, None)[:3]]
    assert session.targets == [layers[0]]
    assert session.name_of(layers[0]) == "cells"
    group = session.channel_groups[layers[0]]
    assert (group.label, group.automatic) == (f"cells ({count} channels)", True)
    assert group.channels == tuple(layers)
    session.add_query(layers[1], 5, 5)
    assert list(session.heatmaps) == [layers[0]]


def test_four_channels_are_left_to_the_user(session, viewer, pixels):
    """The model sees three colours; which three of four matter is nothing to guess."""
    layers = viewer.add_image(pixels, channel_axis=0, name="cells")
    assert session.merged == {}
    assert session.targets == layers


def test_channels_of_names_of_their_own_are_known_by_their_colours(session, viewer, pixels):
    viewer.add_image(pixels[:2], channel_axis=0, name=["membrane", "nuclei"])
    assert names_of(session) == [("membrane", "nuclei", None)]
    assert next(iter(session.channel_groups.values())).label == "membrane + nuclei (2 channels)"


def test_red_green_and_blue_are_what_they_are_called(session, viewer, pixels):
    add(viewer, pixels, "b", "a", colormaps=["blue", "green"])
    assert names_of(session) == [(None, "a", "b")]


def test_two_files_over_each_other_are_two_images(session, viewer, pixels):
    for name in ("one", "two"):
        viewer.add_image(pixels[:3], channel_axis=0, name=name)
    viewer.add_image(pixels[:2], channel_axis=0, name=["x", "y"])
    viewer.add_image(pixels[:2], channel_axis=0, name=["v", "w"])
    assert names_of(session) == [
        ("one", "one [1]", "one [2]"),
        ("two", "two [1]", "two [2]"),
        ("x", "y", None),
        ("v", "w", None),
    ]


def test_many_channels_whose_colours_come_again_are_none(session, viewer, pixels):
    many = np.concatenate([pixels, pixels])
    viewer.add_image(many, channel_axis=0, name="same")
    viewer.add_image(many, channel_axis=0, name=list("abcdefgh"))
    assert session.merged == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ("C1-cells", "C2-cells"),
        ("cells_ch00", "cells_ch01"),
        ("cells Channel:0", "cells Channel:1"),
        ("Channel 0", "Channel 1"),
        ("cells_t3_c0", "cells_t3_c1"),
    ],
)
def test_names_that_number_channels_say_so(session, viewer, pixels, names):
    add(viewer, pixels, *names)
    assert names_of(session) == [(*names, None)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "colormaps"),
    [
        (("wound t0", "wound t24"), ["magenta", "green"]),
        (("wound 0h", "wound 24h"), ["magenta", "green"]),
        (("day 1", "day 2"), ["red", "green"]),
        (("t0_c0", "t1_c1"), None),
        (("a", "b"), None),
        (("a", "a"), None),
        (("a", "b"), ["gray", "green"]),
        (("a", "b"), ["green", "green"]),
        (("a", "b"), ["viridis", "magma"]),
        (("plate C01", "plate C02"), None),
    ],
)
def test_what_is_no_file_of_channels_is_not_merged(session, viewer, pixels, names, colormaps):
    layers = add(viewer, pixels, *names, colormaps=colormaps)
    assert session.merged == {}
    assert session.targets == layers


def test_colours_that_hide_each_other_are_none_of_channels(session, viewer, pixels):
    for number, colormap in enumerate(("red", "green")):
        viewer.add_image(pixels[number], name=colormap, colormap=colormap)
    assert session.merged == {}


def test_gray_channels_are_known_by_how_napari_splits_a_file(session, viewer, pixels):
    viewer.add_image(pixels[:3], channel_axis=0, name="cells", colormap="gray")
    assert names_of(session) == [("cells", "cells [1]", "cells [2]")]


def test_other_places_sizes_and_colour_images_are_none_of_the_channels(session, viewer, pixels):
    add(viewer, pixels, "C0", "C1", translate=(0, 0))
    viewer.add_image(pixels[0], name="C2", translate=(0, 100))
    viewer.add_image(pixels[0, :20], name="C3")
    viewer.add_image(np.stack([pixels[0]] * 3, -1), name="C4", rgb=True)
    viewer.add_labels(pixels[0] > 0, name="C5")
    assert names_of(session) == [("C0", "C1", None)]


def test_colours_that_are_chosen_later_merge_nothing(session, viewer, pixels):
    """Two images laid over each other in magenta and green are compared, not merged."""
    layers = add(viewer, pixels, "fixed", "moving")
    for layer, colormap in zip(layers, ("magenta", "green"), strict=True):
        layer.colormap, layer.blending = colormap, "additive"
    viewer.add_image(pixels[2], name="other")
    assert session.merged == {}


def test_a_channel_that_comes_later_joins_and_a_fourth_parts_them(session, viewer, pixels):
    add(viewer, pixels, "C0", "C1")
    add(viewer, pixels[2:], "C2")
    assert names_of(session) == [("C0", "C1", "C2")]
    add(viewer, pixels[3:], "C3")
    assert session.merged == {}
    assert len(session.targets) == 4


def test_what_the_user_splits_stays_split(session, viewer, pixels):
    layers = viewer.add_image(pixels[:3], channel_axis=0, name="cells")
    assert session.split_channels(layers[1])
    viewer.add_image(pixels[0], name="other")
    session.set_target(layers[0], False)
    session.set_target(layers[0], True)
    assert session.merged == {}


def test_what_the_user_merges_is_left_alone(session, viewer, pixels):
    a, b = add(viewer, pixels, "a", "b")
    session.merge_channels([b, a])
    add(viewer, pixels, "C0", "C1")
    assert names_of(session) == [("b", "a", None), ("C0", "C1", None)]
    assert [group.automatic for group in session.channel_groups.values()] == [False, True]


def test_what_the_user_merges_as_it_was_stays_when_more_is_opened(session, viewer, pixels):
    layers = viewer.add_image(pixels[:2], channel_axis=0, name="cells")
    session.merge_channels(layers)
    viewer.add_image(pixels[2], name="grey")
    assert names_of(session) == [("cells", "cells [1]", None)]
    assert not session.channel_groups[layers[0]].automatic


def test_scripts_can_do_without(viewer, backbone, pixels):
    with closing(
        SimilaritySession(viewer, backbone=backbone, runner=InlineRunner(), auto_merge=False)
    ) as session:
        layers = viewer.add_image(pixels[:2], channel_axis=0, name="cells")
        assert session.merged == {}
        session.auto_merge = True
        assert list(session.merged) == [layers[0]]
        session.auto_merge = False
        assert list(session.merged) == [layers[0]]


def test_a_session_that_opens_later_merges_what_is_there(viewer, backbone, pixels):
    layers = viewer.add_image(pixels[:3], channel_axis=0, name="cells")
    with closing(SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())) as session:
        assert session.targets == [layers[0]]


def test_the_rest_of_the_channels_stay_one_image_when_one_is_closed(session, viewer, pixels):
    told = []
    session.noticed.connect(told.append)
    layers = viewer.add_image(pixels[:3], channel_axis=0, name="cells")
    viewer.layers.remove(layers[0])
    assert names_of(session) == [("cells [1]", "cells [2]", None)]
    viewer.layers.remove(layers[1])
    assert session.targets == [layers[2]]
    assert session.merged == {}
    viewer.layers.remove(layers[2])
    assert told == []


def test_what_the_user_merged_is_split_with_a_word_when_a_channel_is_closed(
    session, viewer, pixels
):
    told = []
    session.noticed.connect(told.append)
    layers = add(viewer, pixels, "a", "b")
    session.merge_channels(layers)
    viewer.layers.remove(layers[1])
    assert told == ["b was removed; the channels merged with it are split."]
    session.merge_channels(layers[:1])
    viewer.layers.remove(layers[0])
    assert len(told) == 1


def test_the_order_of_the_layer_list_changes_no_colour(session, viewer, pixels):
    viewer.add_image(pixels[:2], channel_axis=0, name="cells")
    viewer.layers.move(viewer.layers.index("cells"), len(viewer.layers))
    viewer.add_image(pixels[2], name="other")
    assert names_of(session) == [("cells", "cells [1]", None)]


def test_channels_that_lie_apart_are_split_and_stay_so(session, viewer, pixels):
    layers = viewer.add_image(pixels[:2], channel_axis=0, name="cells")
    layers[1].translate = (5, 0)
    assert session.merged == {}
    layers[1].translate = (0, 0)
    viewer.add_image(pixels[0], name="other")
    assert session.merged == {}
