"""Which image every point lies on, by the rule that a user knows."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from .record import Before, Record


class Ownership(Record):
    """Knows which image every point and every region belongs to."""

    def data_of(self, image, world):
        return np.asarray(image.world_to_data(np.asarray(world)[-image.ndim :]))

    def pixel(self, image, world):
        """The plane (None in a flat image), the row and the column under a point, or None."""
        at = self.data_of(image, world)
        index = np.concatenate([np.round(at[:-2]), np.floor(at[-2:] + 0.5)])
        if (index < 0).any() or (index >= image.data.shape).any():
            return None
        z = int(index[0]) if image.ndim == 3 else None
        return z, int(index[-2]), int(index[-1])

    def topmost(self, world):
        layers = [layer for layer in reversed(self.viewer.layers) if layer in self.images]
        targets = [self.target_of(layer) for layer in layers]
        if self.source in self.images:
            targets.insert(0, self.target_of(self.source))
        for target in targets:
            usable = target in self.ticked and self.is_visible(target)
            if usable and self.pixel(target, world) is not None:
                return target
        return None

    def owner_of(self, worlds, old):
        """The image that something lies on, and the first of its points that does."""
        old = self.target_of(old)
        if old in self.ticked:
            for world in worlds:
                if self.pixel(old, world) is not None:
                    return old, world
        for world in worlds:
            found = self.topmost(world)
            if found is not None:
                return found, world
        return None, None

    def shown_z(self, image):
        """The plane of a stack that the slider is at; None outside."""
        at = int(np.round(self.data_of(image, self.viewer.dims.point)[0]))
        return at if 0 <= at < len(image.data) else None

    def must_have(self) -> set:
        """Images of which something is shown, and which must therefore have heatmaps."""
        return {i for i in self.ticked if i.ndim == 2 or self.shown_z(i) is not None}

    # -- points ----------------------------------------------------------------------------------

    def worlds(self):
        points = self.session.queries
        return [] if points is None else [points.data_to_world(p) for p in points.data]

    def settle(self) -> None:
        """Apply the rule of ownership after anything that may have changed it."""
        owners = zip(self.owner, self.worlds(), strict=True)
        self.owner = [self.owner_of([world], old)[0] for old, world in owners]
        if self.arranged:  # the list of layers was another one when the topmost was looked for
            self.believe_the_session()
        for region in self.regions:
            region.settle(self)

    def believe_the_session(self) -> None:
        """Take over who owns which point where the rule alone does not say."""
        by_id = {image.unique_id: image for image in self.images}
        self.owner = [by_id.get(owner) for owner in self.session._coordinator.queries.owners]
        assert {owner for owner in self.owner if owner is not None} <= self.ticked
        for region in self.regions:
            region.believe(self.session, by_id)

    @contextmanager
    def edit(self):
        """Remember what the points were, for undo."""
        points = self.session.queries
        state, next_note = self.state_now(), self.next_note()
        before = state.points
        yield points
        new = len(self.said) - len(self.ids)
        self.notes += [next_note] * (len(self.said) - len(self.notes))
        self.ids += [next(self.numbers) for _ in range(new)]
        self.settle()
        same = np.array_equal(before.coordinates, points.data) and before.said == self.said
        if not same:
            self.did(state, "points")

    def next_note(self):
        """What napari writes into the user's column for a new point."""
        defaults = self.session.queries.feature_defaults
        note = defaults["note"][0] if "note" in defaults else None
        return note if isinstance(note, str) else None

    def points_now(self) -> Before:
        points = self.session.queries
        data = np.empty((0, 0)) if points is None else points.data.copy()
        rows = (list(rows) for rows in (self.ids, self.said, self.owner, self.notes))
        return Before(data, *rows, self.session.classes)

    def take_back(self, before: Before, now: Before) -> None:
        """Let the points be what they were; what was noted of those that stay is kept."""
        kept = dict(zip(now.ids, now.notes, strict=True))
        noted = dict(zip(before.ids, before.notes, strict=True))
        self.ids, self.said, self.owner = list(before.ids), list(before.said), list(before.owner)
        self.notes = [kept.get(number, noted[number]) for number in self.ids]

    def sort_by_place(self, places) -> None:
        """Let points be known by their places after a program has put those in another order.

        What they say stays with the rows.
        """
        before = self.session.queries.data
        left = list(range(len(before)))
        rows: list = [None] * len(places)
        for row, place in enumerate(places):
            if same(before[row], place):
                rows[row] = row
                left.remove(row)
        for row, place in enumerate(places):
            if rows[row] is None:
                rows[row] = next(at for at in left if same(before[at], place))
                left.remove(rows[row])
        self.ids = [self.ids[row] for row in rows]
        self.owner = [self.owner[row] for row in rows]


def same(one, other) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))
