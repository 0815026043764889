"""What must always hold of what the session shows."""

from __future__ import annotations

import numpy as np

from heatmap_values import over_image
from napari_dinov3_sim.session.layer_metadata import mark_of

from .oracle import TOLERANCE
from .record import ROLES
from .steps import Steps

POSITIVE = {True: "positive", False: "negative"}


class Invariants(Steps):
    """Looks at all layers, and compares them with the oracle."""

    def check_all(self) -> None:
        self.check_idle()
        self.check_images()
        asked = self.asked()
        classes = self.classes_of(asked)
        self.check_layers(classes)
        for target in self.ticked:
            self.check_target(target, asked, classes)
        self.check_points()
        self.check_boxes()
        self.check_counts()
        self.check_gallery(asked)

    def check_idle(self) -> None:
        """Nothing is under way, and nothing failed that the step does not explain."""
        session = self.session
        assert not any((session.busy, session._coordinator.is_due, session.results.pending))
        for failure in self.failures:
            foreign = self.is_foreign and failure.subject == "model"
            named = any(words in failure.message for words in self.expected)
            assert foreign or named, failure
        assert bool(session.results.problem) == self.is_foreign
        self.failures.clear()
        self.expected = ()

    def check_images(self) -> None:
        session = self.session
        inside = [layer for layer in self.viewer.layers if layer in self.images]
        assert session.images == inside
        assert session.targets == [image for image in inside if image in self.ticked]
        assert session.merged == {
            self.target_of(merge[0] or merge[1] or merge[2]): merge for merge in self.merges
        }

    # -- layers ----------------------------------------------------------------------------------

    def check_layers(self, classes) -> None:
        """One layer per image and class, over an image that is searched, and no stranger."""
        found = self.layers_by_role()
        must = {image.unique_id for image in self.must_have()} if classes else set()
        may = {image.unique_id for image in self.ticked} if classes else set()
        maps = found["heatmap"]
        assert len(set(maps)) == len(maps)
        assert {(i, class_name) for i in must for class_name in classes} <= set(maps)
        assert set(maps) <= {(i, class_name) for i in may for class_name in classes}
        class_maps = [image for image, _ in found["class map"]]
        assert len(set(class_maps)) == len(class_maps)
        assert set(class_maps) == ({image for image, _ in maps} if len(classes) > 1 else set())
        outlined = [image for image, _ in found["outline"]]
        assert len(set(outlined)) == len(outlined)
        assert set(outlined) <= {image.unique_id for image in self.ticked}
        assert len(found["query"]) <= 1

    def layers_by_role(self) -> dict[str, list]:
        found = {role: [] for role in ROLES}
        for layer in self.viewer.layers:
            if layer not in self.belongings:
                mine = [(role, mark) for role in ROLES if (mark := mark_of(layer, role))]
                assert len(mine) == 1, f"a stranger: {layer}"
                role, mark = mine[0]
                found[role].append((mark.get("image"), mark.get("class_name")))
        return found

    def check_target(self, target, asked, classes) -> None:
        over = {
            class_name: self.session.heatmaps_of(class_name).get(target) for class_name in classes
        }
        best_class = self.session.class_maps.get(target)
        for layer in filter(None, (*over.values(), best_class)):
            self.lies_over(target, layer)
        replaced = best_class is not None and self.session.show_class_maps
        if best_class is not None:
            assert best_class.visible == (replaced and self.is_visible(target))
        for class_name, heatmap in over.items():
            if heatmap is not None:
                hidden = replaced or class_name in self.session.hidden_classes
                assert heatmap.visible == (self.is_visible(target) and not hidden)
        for z in self.planes(target):
            self.check_plane(target, z, asked, over)
            if best_class is not None:
                self.check_class_map(target, z, asked, np.asarray(best_class.data))

    def lies_over(self, target, layer) -> None:
        """The corners of both lie on each other, whatever an element of the layer stands for."""
        first = np.full(target.ndim, -0.5)
        last, own_last = (np.array(one.data.shape) - 0.5 for one in (target, layer))
        for axis in range(target.ndim + 1):
            at_end = np.arange(target.ndim) != axis
            np.testing.assert_allclose(
                layer.data_to_world(np.where(at_end, own_last, first)),
                target.data_to_world(np.where(at_end, last, first)),
                atol=1e-6,
            )
        index = self.viewer.layers.index
        assert all(index(layer) > index(image) for image in self.channels(target))

    def check_plane(self, target, z, asked, over) -> None:
        wanted = None
        for class_name, heatmap in over.items():
            if heatmap is not None:
                values = over_image(target, heatmap)
                got = values if z is None else values[z]
                if self.is_due(target, z) or not np.isnan(got).all():
                    wanted = wanted or self.scores(asked, target, z)
                    there = self.over(target, wanted[class_name])
                    np.testing.assert_allclose(got, there, atol=TOLERANCE)

    def check_class_map(self, target, z, asked, data) -> None:
        got = data if z is None else data[z]
        if not self.is_due(target, z) and not got.any():
            return
        number, certain = (self.over(target, part) for part in self.class_maps(asked, target, z))
        np.testing.assert_array_equal(got[certain], number[certain])

    def check_points(self) -> None:
        points = self.session.queries
        if points is None:
            assert not self.said
            return
        assert list(points.features["class"]) == [said.class_name for said in self.said]
        assert list(points.features["sign"]) == [POSITIVE[said.positive] for said in self.said]
        assert [str(symbol) for symbol in points.symbol] == [
            "disc" if said.positive else "cross" for said in self.said
        ]
        if self.noted:
            notes = points.features["note"]
            assert [n if isinstance(n, str) else None for n in notes] == self.notes

    def check_boxes(self) -> None:
        layer, boxes = self.session.drawn_regions, self.boxes
        assert (layer is None) == (boxes is None)
        if boxes is not None:
            assert layer == boxes.layer
            columns = zip(layer.features["class"], layer.features["sign"], strict=True)
            assert list(columns) == [(name, POSITIVE[sign]) for name, sign in boxes.roles]

    def check_counts(self) -> None:
        counts = self.session.class_counts
        for said in self.said:
            here = counts[said.class_name]
            wanted = sum(one == said for one in self.said)
            assert wanted == (here.positive if said.positive else here.negative)
        for class_name, _ in self.boxes.roles if self.boxes else ():
            assert counts[class_name].regions

    # -- the gallery -----------------------------------------------------------------------------

    @property
    def gallery_class(self) -> str:
        return self.session.class_name

    def image_of(self, match):
        return next(image for image in self.ticked if image.unique_id == match.source)

    def points_on(self, match) -> list[int]:
        """The points of the class in the patch of a match."""
        image, (left, top, right, bottom) = self.image_of(match), match.box
        rows = []
        for row, (owner, said, world) in enumerate(
            zip(self.owner, self.said, self.worlds(), strict=True)
        ):
            if owner is image and said.class_name == self.gallery_class:
                z, y, x = self.pixel(image, world)
                if (z,) == (z_of(match),) and top <= y < bottom and left <= x < right:
                    rows.append(row)
        return rows

    def take_out_rows(self, rows) -> None:
        kept = [row for row in range(len(self.said)) if row not in rows]
        for name in ("ids", "owner", "said", "notes"):
            setattr(self, name, [getattr(self, name)[row] for row in kept])

    def check_gallery(self, asked) -> None:
        """Each match lies on an image that is searched, with the score and the sign of now."""
        matches = self.session.gallery.matches
        assert len({match.id for match in matches}) == len(matches)
        for match in matches:
            image, z = self.image_of(match), z_of(match)
            rows = self.points_on(match)
            wanted = self.said[rows[-1]].positive if rows else None
            assert match.judgement == wanted, match
            if self.is_due(image, z):
                score = self.scores(asked, image, z)[self.gallery_class]
                there = score[match.id.row, match.id.column]
                np.testing.assert_allclose(match.score, there, atol=TOLERANCE)


def z_of(match) -> int | None:
    """The plane of a stack that a match lies on."""
    return match.plane.indices[0] if match.plane.indices else None
