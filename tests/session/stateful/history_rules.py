"""Classes are renamed, removed and given to what is there; boxes are drawn; undo and redo."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from napari.layers.base import ActionType

from napari_dinov3_sim.session.layer_metadata import mark_of

from .choices import CLASS, NUMBER, SIGN, STEP, SUBSET, with_images, with_layer
from .record import Said

MOST_BOXES = 3


def can_draw(self):
    naive = self.naive
    return naive.must_have() and not self.session.side_by_side


with_canvas = precondition(can_draw)
with_boxes = precondition(lambda self: self.naive.boxes and self.naive.boxes.roles)


def unnumbered(name):
    """A name without the number that napari adds where there is another of it."""
    return re.sub(r" \[\d+\]$", "", name)


class HistoryRules:
    """What is done to classes and boxes, and taken back."""

    @with_layer
    @rule(old=CLASS, new=CLASS)
    def rename_class(self, old, new):
        naive = self.naive
        colour = self.session.classes.get(old)
        with naive.step():
            naive.said = [
                Said(new if s.class_name == old else s.class_name, s.positive) for s in naive.said
            ]
            for at, (class_name, positive) in enumerate(naive.boxes.roles if naive.boxes else ()):
                naive.boxes.roles[at] = (new if class_name == old else class_name, positive)
            self.rename_saved(old, new)
            joined, current = new in self.session.classes, self.session.class_name
            objects = self.objects_named_after(old)
            self.session.rename_class(old, new)
            assert self.session.class_name == (new if current == old else current)
        if colour is not None and not joined:
            assert self.session.classes[new] == colour
        for layer, name in objects.items():
            assert unnumbered(layer.name) == f"{name.removesuffix(f': {old}')}: {new}"
            naive.belongings.portraits[layer]["name"] = layer.name
        naive.colours.clear()

    def objects_named_after(self, class_name) -> dict:
        """The objects of a class that still have the name they were given, and that name."""
        marks = {layer: mark_of(layer, "result") for layer in self.naive.marked("result")}
        return {
            layer: mark["name"]
            for layer, mark in marks.items()
            if mark["what"] == ("labels", class_name) and unnumbered(layer.name) == mark["name"]
        }

    @with_layer
    @rule(class_name=CLASS)
    def remove_class(self, class_name):
        naive = self.naive
        with naive.step():
            kept = [n for n, said in enumerate(naive.said) if said.class_name != class_name]
            for name in ("ids", "owner", "said", "notes"):
                setattr(naive, name, [getattr(naive, name)[row] for row in kept])
            if naive.boxes:
                roles = naive.boxes.roles
                for row in [n for n, role in enumerate(roles) if role[0] == class_name][::-1]:
                    naive.boxes.deleted(row)
            if naive.saved is not None:
                naive.saved.classes = [c for c in naive.saved.classes if c.name != class_name]
            for region in naive.regions:
                named = [name or region.layer.name for name, _ in getattr(region, "roles", ())]
                if class_name in named and region is not naive.boxes:
                    region.left_out = region.left_out | {class_name}
            self.session.remove_class(class_name)
        assert self.session.class_name != class_name or class_name == "class 1"
        naive.colours.clear()

    @with_layer
    @rule(which=SUBSET, boxes=SUBSET, class_name=st.none() | CLASS, positive=st.none() | SIGN)
    def move_selected(self, which, boxes, class_name, positive):
        naive = self.naive
        parts = [self.session.queries, self.session.drawn_regions]
        active = parts[len(which) % 2]
        if active is None or naive.arranged:
            return
        naive.viewer.layers.selection.active = active
        with naive.step():
            roles = naive.said if active == parts[0] else naive.boxes.roles
            chosen = {n % len(roles) for n in (which if active == parts[0] else boxes) if roles}
            active.selected_data = chosen
            changed = 0
            for row in chosen:
                before = tuple(roles[row])
                role = (class_name or before[0], before[1] if positive is None else positive)
                changed += role != before
                roles[row] = Said(*role) if active == parts[0] else role
            assert self.session.move_selected(class_name, positive) == changed
        naive.colours.clear()

    # -- boxes -------------------------------------------------------------------------------

    @with_images
    @with_canvas
    @with_layer
    @rule(number=NUMBER, seed=NUMBER, class_name=CLASS, positive=SIGN)
    def draw_a_box(self, number, seed, class_name, positive):
        naive = self.naive
        if naive.boxes and len(naive.boxes.roles) >= MOST_BOXES:
            return
        self.session.class_name, self.session.positive = class_name, positive
        before = naive.state_now()
        self.session.start_box()
        layer = self.session.drawn_regions
        if naive.boxes is None or naive.boxes.layer != layer:
            naive.boxes_are_in(layer)
        corners = self.triangle(seed, self.image(number), layer.ndim)
        naive.boxes.added((class_name, positive))
        layer.add([[layer.world_to_data(corner) for corner in corners]], shape_type="polygon")
        assert naive.viewer.layers.selection.active == self.session.queries
        naive.did(before, "boxes")
        naive.settle()

    @with_boxes
    @rule(number=NUMBER, steps=st.lists(st.tuples(STEP, STEP), min_size=1, max_size=3))
    def drag_a_box(self, number, steps):
        naive, layer = self.naive, self.naive.boxes.layer
        if not layer.visible:
            return
        at, before = number % len(layer.data), naive.state_now()
        corners = layer.data[at].copy()
        for step in steps:
            layer._data_view.shift(at, np.array(step))
            layer.refresh()
            if not np.array_equal(layer.data[at], corners):
                naive.boxes.moved(at)
            naive.settle()
            naive.check_all()
        layer.events.data(
            value=layer.data, action=ActionType.CHANGED, data_indices=(at,), vertex_indices=((),)
        )
        if not np.array_equal(layer.data[at], corners):
            naive.did(before, "boxes")

    @with_boxes
    @rule(which=SUBSET)
    def delete_boxes(self, which):
        naive, layer = self.naive, self.naive.boxes.layer
        gone = {number % len(naive.boxes.roles) for number in which}
        before = naive.state_now()
        layer.selected_data = gone
        layer.remove_selected()
        for row in sorted(gone, reverse=True):
            naive.boxes.deleted(row)
        naive.did(before, "boxes")
        naive.settle()

    # -- there and back ----------------------------------------------------------------------

    @rule()
    def undo(self):
        self.travel(self.session.undo, self.naive.past, self.naive.future)

    @rule()
    def redo(self):
        self.travel(self.session.redo, self.naive.future, self.naive.past)

    def travel(self, go, steps, others):
        naive = self.naive
        assert self.session.can_undo == bool(naive.past)
        assert self.session.can_redo == bool(naive.future)
        step, now = naive.next_step(steps), naive.state_now()
        assert go() == (step is not None)
        if step is None:
            return
        layer = self.session.drawn_regions
        if naive.boxes is not None and naive.boxes.layer != layer:
            naive.boxes_are_in(layer)
        others.append(now._replace(changed=step.changed))
        naive.be(step, now)
        if "points" in step.changed:
            np.testing.assert_array_equal(self.session.queries.data, step.points.coordinates)
        naive.settle()
        naive.colours.clear()
        for said in naive.said if "points" in step.changed else ():
            colour = step.points.colours[said.class_name]
            assert self.session.classes[said.class_name] == colour
