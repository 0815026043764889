"""A project is saved, and opened in another viewer: what is seen there is what is seen here."""

from __future__ import annotations

import numpy as np
from hypothesis.stateful import rule
from napari.components import ViewerModel

from heatmap_values import over_image
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

from .choices import with_images
from .oracle import TOLERANCE


class ProjectRules:
    """What is done with projects; that saving one changes nothing, the invariants say."""

    @with_images
    @rule()
    def save_a_project_and_open_it_elsewhere(self):
        if any(map(has_old_extent, self.session.images)):
            return  # a slider may stand where there is nothing now
        naive, path = self.naive, f"{self.folder.name}/{next(self.numbers)}.dinov3sim.zip"
        self.session.project.save(path)
        viewer = ViewerModel()
        other = SimilaritySession(viewer, backbone=naive.model, runner=InlineRunner())
        failures: list = []
        other.failed.connect(failures.append)
        try:
            other.project.open(path)
            assert not failures or naive.is_foreign  # which the first session says, too
            assert_same(settings_of(other), settings_of(self.session))
            assert_same(points_of(other), points_of(self.session))
            found, expected = heatmaps_of(other), heatmaps_of(self.session)
            for key in expected.keys() & found.keys():
                # Of a stack, planes that were shown before are not answered there yet.
                seen = np.isfinite(found[key]) | (expected[key].ndim == 2)
                assert seen.any()
                expected[key] = np.where(seen, expected[key], np.nan)
            assert_same(found, expected)
        finally:
            other.close()


def has_old_extent(image) -> bool:
    """Whether napari keeps the extent of former data, as it does while a layer is hidden."""
    return not np.array_equal(image.extent.data, image._extent_data)


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_equal(found[key], value, err_msg=str(key))


def settings_of(session) -> dict:
    """What is open and chosen; images are told apart by their order."""
    number = {image: at for at, image in enumerate(session.images)}
    return {
        "pixels": [np.asarray(image.data) for image in session.images],
        "places": [image._data_to_world.affine_matrix for image in session.images],
        "visible": [image.visible for image in session.images],
        "searched": [number[image] for image in session.targets],
        "merged": {
            number[lead]: [None if c is None else number[c] for c in group]
            for lead, group in session.merged.items()
        },
        "combination": session.combination,
        "recipe": session.recipe,
        "thresholds": session._coordinator.thresholds.by_hand,
        "outline": session.outline,
        "all planes": session.all_planes,
        "classes": {
            name: (counts, session.classes.get(name))
            for name, counts in session.class_counts.items()
            if counts.positive or counts.negative or counts.regions
        },
    }


def points_of(session) -> dict:
    layer, number = session.queries, {i.unique_id: at for at, i in enumerate(session.images)}
    if layer is None or not len(layer.data):
        return {}
    return {
        "places": [layer.data_to_world(place) for place in layer.data],
        "classes": list(layer.features["class"]),
        "signs": list(layer.features["sign"]),
        "owners": [number.get(owner) for owner in session._coordinator.queries.owners],
    }


def heatmaps_of(session) -> dict:
    """All scores over all pixels, rounded to what the oracle allows."""
    number = {image: at for at, image in enumerate(session.images)}
    return {
        (number[image], name): np.round(np.asarray(over_image(image, layer)) / TOLERANCE)
        for name in session.classes
        for image, layer in session.heatmaps_of(name).items()
    }
