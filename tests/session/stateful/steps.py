"""The steps of the history: what was before each, and how it comes back."""

from __future__ import annotations

from contextlib import contextmanager

from .drawn import ShapesSaid
from .oracle import Oracle
from .record import Step, congruent, members

OF_BOXES = ("roles", "owners", "leads", "places")


class Steps(Oracle):
    """Remembers all that can be undone."""

    def state_now(self) -> Step:
        points = None if self.session.queries is None else self.points_now()
        classes = [] if self.saved is None else self.saved.classes
        loaded = [(one, one.name) for one in classes]
        left_out = {r.layer: set(r.left_out) for r in self.regions if hasattr(r, "left_out")}
        boxes = None
        if self.boxes is not None:
            boxes = {name: list(getattr(self.boxes, name)) for name in OF_BOXES}
        numbers = dict(self.session._coordinator.palette.numbers)
        merges = set(self.merges)
        return Step(frozenset(), points, boxes, merges, self.saved, loaded, left_out, numbers)

    def did(self, before: Step, *changed: str) -> None:
        """Something was done that can be undone."""
        self.past.append(before._replace(changed=frozenset(changed)))
        self.future.clear()

    def did_what_differs(self, before: Step) -> None:
        """Something was done that changed some of all this, or nothing."""
        now = self.state_now()
        parts = {
            # A layer without points that comes, in place of one thrown away, is no step.
            "points": (one.points.said if one.points else [] for one in (before, now)),
            "boxes": (one.boxes and one.boxes["roles"] for one in (before, now)),
            "merges": (one.merges for one in (before, now)),
            "saved": (one.loaded for one in (before, now)),
            "left out": (one.left_out for one in (before, now)),
            "numbers": (one.numbers for one in (before, now)),
        }
        changed = [name for name, (one, other) in parts.items() if one != other]
        if changed:
            self.did(before, *changed)

    @contextmanager
    def step(self):
        """Do something that is one step, if it changes anything."""
        before = self.state_now()
        yield
        self.settle()
        self.did_what_differs(before)

    def boxes_are_in(self, layer) -> None:
        """Our layer of boxes is there: its shapes ask behind those that ask already."""
        if self.boxes is not None:
            self.regions.remove(self.boxes)
        self.boxes = ShapesSaid(layer, None, [])
        self.regions.append(self.boxes)

    def find_boxes(self) -> None:
        """A session asks what an earlier one has left."""
        for layer in self.marked("regions"):
            signs = (sign == "positive" for sign in layer.features["sign"])
            self.boxes_are_in(layer)
            for role in zip(layer.features["class"], signs, strict=True):
                self.boxes.added(role)

    # -- back --------------------------------------------------------------------------------

    def next_step(self, steps: list) -> Step | None:
        """Take the next step off that still changes anything."""
        while steps:
            step = steps.pop()
            if step.changed != {"merges"} or set(self.merges_of(step)) != set(self.merges):
                return step
        return None

    def merges_of(self, step: Step) -> list:
        """The channels that are one image after a step: of those that are there, and fit."""
        kept = [merge for merge in self.merges if merge in step.merges]
        back = [merge for merge in step.merges if merge not in kept and self.fits(merge)]
        return kept + back

    def fits(self, merge) -> bool:
        images = members(merge)
        inside = all(image in self.images for image in images)
        return inside and all(congruent(images[0], image) for image in images)

    def be(self, step: Step, now: Step) -> None:
        """Be what was before the step, or after it once it is undone."""
        if "merges" in step.changed:
            self.regroup(self.merges_of(step))
        if "points" in step.changed:
            self.take_back(step.points, now.points)
        if "boxes" in step.changed and self.boxes is not None:
            found = step.boxes or dict.fromkeys(OF_BOXES, ())
            for name in OF_BOXES:
                setattr(self.boxes, name, list(found[name]))
        if "saved" in step.changed and self.saved is not None and self.saved is step.saved:
            for one, name in step.loaded:
                one.name = name
            self.saved.classes = [one for one, _ in step.loaded]
        if "left out" in step.changed:
            for region in self.regions:
                if region.layer in step.left_out:
                    region.left_out = set(step.left_out[region.layer])

    def regroup(self, merges: list) -> None:
        for merge in {*self.merges} ^ {*merges}:
            self.decided.update(members(merge))
        for merge in [merge for merge in self.merges if merge not in merges]:
            self.part(merge)
        for merge in [merge for merge in merges if merge not in self.merges]:
            self.join(merge)

    def join(self, merge, *, ticked: bool = False) -> None:
        """Search layers as one image."""
        images = members(merge)
        for image in images:
            before = self.merge_of(image)
            if before is not None:
                self.part(before)
        ticked |= any(image in self.ticked for image in images)
        self.ticked -= set(images)
        if ticked:
            self.ticked.add(images[0])
        self.merges.append(merge)

    # -- channels that were opened together ----------------------------------------------------

    @contextmanager
    def by_itself(self):
        """Images come or go: channels may become one image, as one step, or part without one."""
        before = self.state_now()
        yield
        if self.follow_channels():
            self.past.append(before._replace(changed=frozenset({"merges"})))
            self.follow(before.merges, self.future)
        else:
            self.follow(before.merges, self.past, self.future)

    def diverge(self) -> None:
        """Part channels that do not go together any more, in all steps."""
        before = set(self.merges)
        self.part_diverged()
        self.follow(before, self.past, self.future)

    def follow(self, before: set, *lists: list) -> None:
        """Let no step undo, or do again, what channels have done by themselves."""
        now = set(self.merges)
        gone, come = before - now, now - before
        for steps in lists if gone or come else ():
            later, kept = now, []
            for past in reversed(steps):
                merges = past.merges - gone | come if gone <= past.merges else past.merges
                step = past._replace(merges=merges)
                if step.changed == {"merges"} and step.merges == later:
                    continue
                later = step.merges if "merges" in step.changed else later
                kept.append(step)
            steps[:] = reversed(kept)

    def follow_channels(self) -> bool:
        """Take over which channels of a file are one image, and check that they may be.

        Returns
        -------
        bool
            Whether any became one image that was not a part of one before.
        """
        now = set(self.session.merged.values())
        new = now - set(self.merges)
        for merge in new:
            images = members(merge)
            assert any(set(images) <= set(file) for file in self.files_of_channels)
            assert not set(images) & self.decided
            assert self.fits(merge)
            self.join(merge)
        for merge in set(self.merges) - now:
            assert not set(members(merge)) & self.decided
            self.part(merge)
        known, automatic = self.found, [merge for merge in self.merges if self.is_found(merge)]
        self.found = {image for merge in automatic for image in members(merge)}
        return any(members(merge)[0] not in known for merge in new)

    def is_found(self, merge) -> bool:
        """Whether channels are one image without the user's doing."""
        return not set(members(merge)) & self.decided
