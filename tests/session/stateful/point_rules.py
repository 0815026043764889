"""Query points are set, moved, deleted, pasted, taken back."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from napari.layers.base import ActionType

from .choices import (
    CLASS,
    FRACTION,
    MOVE,
    NUMBER,
    SIGN,
    STEP,
    SUBSET,
    with_images,
    with_layer,
    with_points,
)
from .record import Said


class PointRules:
    """What is done to the query points."""

    @with_images
    @with_layer
    @rule(number=NUMBER, fy=FRACTION, fx=FRACTION, class_name=CLASS, positive=SIGN)
    def click(self, number, fy, fx, class_name, positive):
        naive, image = self.naive, self.image(number)
        # Off the borders of pixels, where two right ways of computing round apart.
        position = np.zeros(image.ndim)
        position[-2:] = np.floor(np.array([fy, fx]) * image.data.shape[-2:]) + 0.137
        world = np.array(naive.viewer.dims.point, float)
        world[-2:] = image.data_to_world(position)[-2:]
        self.session.class_name, self.session.positive = class_name, positive
        with naive.edit() as points:
            naive.owner.append(None)
            naive.said.append(Said(class_name, positive))
            points.add(points.world_to_data(world))

    @with_images
    @with_layer
    @rule(number=NUMBER, fy=FRACTION, fx=FRACTION, class_name=CLASS, positive=SIGN)
    def add_query(self, number, fy, fx, class_name, positive):
        naive, image = self.naive, self.naive.target_of(self.image(number))
        if image not in naive.must_have():
            return
        y, x = np.floor(np.array([fy, fx]) * image.data.shape[-2:])
        with naive.edit():
            naive.owner.append(image)
            naive.said.append(Said(class_name, positive))
            self.session.add_query(image, x, y, class_name=class_name, positive=positive)

    @with_points
    @rule(which=SUBSET)
    def delete_points(self, which):
        naive = self.naive
        gone = {number % len(naive.said) for number in which}
        with naive.edit() as points:
            points.selected_data = gone
            kept = [i for i in range(len(naive.said)) if i not in gone]
            for name in ("ids", "owner", "said", "notes"):
                setattr(naive, name, [getattr(naive, name)[i] for i in kept])
            points.remove_selected()

    @with_points
    @rule(number=NUMBER, dy=STEP, dx=STEP)
    def move_point(self, number, dy, dx):
        with self.naive.edit() as points:
            data = points.data.copy()
            data[number % len(data), -2:] += (dy, dx)
            points.data = data

    @with_points
    @rule(number=NUMBER, steps=st.lists(st.tuples(STEP, STEP), min_size=1, max_size=4))
    def drag_point(self, number, steps):
        """As napari does it: no data event before the button is released."""
        at = number % len(self.naive.said)
        with self.naive.edit() as points:
            for step in steps:
                points.data[at, -2:] += step
                points.refresh()
                self.naive.settle()
                self.naive.check_all()
            points.events.data(
                value=points.data,
                action=ActionType.CHANGED,
                data_indices=(at,),
                vertex_indices=((),),
            )

    @with_points
    @rule(which=SUBSET)
    def copy_and_paste(self, which):
        naive = self.naive
        # In a stack napari's own paste raises (0.9.2, `_ThickNDSlice.__getitem__`).
        if len(naive.said) > 8 or self.session.queries.ndim > 2:
            return
        with naive.edit() as points:
            points.selected_data = {number % len(naive.said) for number in which}
            chosen = list(points.selected_data)
            points._copy_data()
            naive.owner += [None] * len(chosen)
            naive.said += [naive.said[number] for number in chosen]
            naive.notes += [naive.notes[number] for number in chosen]
            points._paste_data()

    @precondition(lambda self: len(self.naive.said) > 1)
    @rule()
    def reverse_points(self):
        self.reverse_places()

    def reverse_places(self):
        """As a program may; what the points say stays with the rows."""
        with self.naive.edit() as points:
            places = points.data[::-1].copy()
            self.naive.sort_by_place(places)
            points.data = places

    @precondition(lambda self: len(self.naive.said) > 1)
    @rule()
    def sort_points(self):
        """The other way round, with all that they say; a program sets one after the other."""
        naive, names = self.naive, ("ids", "owner", "said", "notes")
        wanted = {name: getattr(naive, name)[::-1] for name in names}
        features = self.session.queries.features[::-1]
        self.reverse_places()
        with naive.edit() as points:
            vars(naive).update(wanted)
            points.features = features

    @with_points
    @rule(move=MOVE)
    def move_points_layer(self, move):
        points = self.session.queries
        points.translate = (*[0] * (points.ndim - 2), *move)
        self.naive.settle()

    @with_points
    @rule(which=SUBSET, class_name=CLASS, positive=SIGN)
    def set_features(self, which, class_name, positive):
        naive = self.naive
        with naive.edit() as points:
            features = points.features.copy()
            for number in {number % len(naive.said) for number in which}:
                naive.said[number] = Said(class_name, positive)
                features.loc[number, "class"] = class_name
                features.loc[number, "sign"] = "positive" if positive else "negative"
            points.features = features

    @with_points
    @rule(number=NUMBER)
    def take_notes(self, number):
        """In a column of the user's own."""
        naive, points = self.naive, self.session.queries
        naive.noted = True
        naive.notes = [f"{number} {row}" for row in range(len(naive.said))]
        points.features = points.features.assign(note=np.array(naive.notes, object))

    @with_layer
    @rule()
    def throw_the_points_away(self):
        naive = self.naive
        naive.remove(self.session.queries)
        naive.ids, naive.owner, naive.said, naive.notes, naive.past = [], [], [], [], []
        naive.future = []
        naive.noted = False
        naive.check_all()
        self.session.new_queries()
        naive.settle()
