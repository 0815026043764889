"""A small project with an array of every sort, made without a session."""

from __future__ import annotations

import numpy as np

from napari_dinov3_sim.store.project.archive import array_record
from napari_dinov3_sim.store.project.records import (
    ClassRecord,
    FileRecord,
    ImageRecord,
    LabelsRecord,
    LookRecord,
    OriginRecord,
    PlacementRecord,
    PointRecord,
    PointsRecord,
    Project,
    RecipeRecord,
    ResultRecord,
    SettingsRecord,
    UsedModel,
)

PLACE = PlacementRecord((1.0, 0.5), (0.0, 3.0), ("pixel", "pixel"), ("y", "x"))
LOOK = LookRecord(True, 1.0, "additive", (0.0, 255.0))
DIGEST = "ab" * 32


def make_project():
    """Return a project and its arrays by member."""
    rng = np.random.default_rng(0)
    arrays = {
        "images/0.npy": rng.integers(0, 255, (20, 30), np.uint8),
        "regions/1.npy": np.eye(20, 30, dtype=np.int64),
        "results/2.npy": rng.normal(size=(3, 2)),
    }
    pixels, labels, peaks = (array_record(name, array) for name, array in arrays.items())
    file = FileRecord("../a.tif", "file:///data/a.tif", "napari", 0)
    project = Project(
        "0.1.0",
        (
            ImageRecord(
                "made", ((20, 30),), "uint8", False, DIGEST, None, (pixels,), PLACE, LOOK, True
            ),
            ImageRecord("a", ((20, 30),), "uint8", False, DIGEST, file, (), PLACE, LOOK, True),
        ),
        (),
        UsedModel("builtin", "f"),
        RecipeRecord(1.0, 1, "zeros", 0, 1024, 128, "blend"),
        (ClassRecord("cell", "#00ffff", 0.5), ClassRecord("é “gap”", "#ff0000")),
        PointsRecord(
            "query",
            2,
            3.0,
            PLACE,
            (PointRecord((1.0, None), "cell", True, OriginRecord(1)),),
        ),
        (LabelsRecord("spots", labels, PLACE, 0, ((0.0, 1.0),)),),
        None,
        (),
        (ResultRecord("points", "peaks", 0, ("peaks", 1), True, peaks, LOOK),),
        SettingsRecord(
            "auto",
            "cell",
            True,
            False,
            True,
            "edges",
            False,
            "none",
            0.0,
            "1 mm²",
            True,
            False,
            False,
            True,
            False,
            "class",
            0.7,
            "additive",
            "shared",
            (0.0, 1.0),
        ),
        None,
    )
    return project, arrays
