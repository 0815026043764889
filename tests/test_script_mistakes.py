"""What a script gets wrong most often: the message names the mistake and the cure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.errors import ImageError, PointError, StoreError
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery
from napari_dinov3_sim.session.runner import InlineRunner
from napari_dinov3_sim.store.peak_csv import save_peaks
from napari_dinov3_sim.store.query_files import save_query


@pytest.mark.parametrize("path", ["cells.png", Path("cells.png")])
def test_a_path_in_the_place_of_an_image(path):
    with pytest.raises(ImageError, match=r"'cells\.png' is the path .*skimage\.io\.imread"):
        nds.create_patch_image_state(path, None)


@pytest.mark.parametrize("shape", [(5, 64, 64), (64, 64, 64), (100, 20, 30)])
def test_a_stack_in_the_place_of_a_plane(shape):
    with pytest.raises(ImageError, match=rf"a stack of {shape[0]} planes.*image\[0\]"):
        nds.create_patch_image_state(np.zeros(shape), None)


@pytest.mark.parametrize("shape", [(64, 64, 5), (4, 4, 5), (64, 64, 31)])
def test_too_many_channels(shape):
    with pytest.raises(ImageError, match=f"has {shape[2]} channels"):
        nds.create_patch_image_state(np.zeros(shape), None)


def test_a_folder_that_does_not_exist(tmp_path):
    unit = np.eye(1, 4, dtype=np.float32)
    query = SavedQuery((SavedClass("cell", "#ff0000", unit, unit[:0]),), "auto", "f", "m", 16)
    for save in (save_query, save_peaks):
        with pytest.raises(StoreError, match=r"there is no folder .*none\); make it or"):
            save(query if save is save_query else [], tmp_path / "none" / "a")


def test_a_point_outside_is_told_what_lies_inside():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((3, 40, 60)), name="cells", scale=(1, 0.5, 2))
    session = nds.SimilaritySession(viewer, backbone="builtin", runner=InlineRunner())
    with pytest.raises(PointError, match="x from 0 to 59 and y from 0 to 39"):
        session.add_query(layer, 60, 5)
    session.close()
