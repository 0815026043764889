"""Side by side and back, 3-D and back, closing and reopening."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .choices import MOVE, NUMBER, with_images, with_stack

GAPS = ["", "", "move", "hide_or_show", "remove", "replace"]


class ViewRules:
    """What is done to the view, and to the session as a whole."""

    @rule(changed=st.sampled_from([True, True, True, False]))
    def show_side_by_side(self, changed):
        naive, before = self.naive, self.session.side_by_side
        wanted = before != changed
        self.session.side_by_side = wanted
        possible = self.session.queries is not None or before
        assert self.session.side_by_side == (wanted and possible)
        naive.settle()

    @precondition(lambda self: self.naive.arranged)
    @rule()
    def end_it_with_the_button_of_napari(self):
        self.naive.viewer.canvas.grid.enabled = False
        assert not self.session.side_by_side
        self.naive.settle()

    @rule(gap=st.sampled_from(GAPS), number=NUMBER, move=MOVE)
    def close_and_reopen(self, gap, number, move):
        """With something done to the viewer while no session looks."""
        naive, ticked = self.naive, set(self.naive.ticked)
        naive.close()
        if gap and naive.images:
            getattr(self, f"{gap}_unseen")(self.image(number), number, move)
        naive.open_session()
        naive.ticked, naive.merges = set(naive.images), []
        naive.owner = [None] * len(naive.said)
        with naive.by_itself():
            pass
        naive.find_boxes()
        naive.settle()
        for image in naive.images:
            if image not in ticked:
                self.session.set_target(image, False)
                naive.ticked.discard(image)
                naive.settle()

    def move_unseen(self, image, number, move):
        del number
        image.translate = (*[0] * (image.ndim - 2), *move)
        self.naive.belongings.keep(image)

    def hide_or_show_unseen(self, image, number, move):
        del number, move
        image.visible = self.naive.belongings.visible[image] = not image.visible

    def remove_unseen(self, image, number, move):
        del number, move
        self.naive.remove(image)
        self.no_more_there(image)

    def replace_unseen(self, image, number, move):
        del move
        image.data = self.pixels_of(number, image.ndim == 3)
        self.naive.belongings.keep(image)
        self.naive.forget_pixels(image)


class StackRules:
    """What is done to the sliders, and to the axes of images."""

    first_is_a_stack = True

    @with_images
    @rule(number=NUMBER, seed=NUMBER)
    def change_axes(self, number, seed):
        """A stack becomes flat, or the other way round."""
        naive, image = self.naive, self.image(number)
        if (
            not image.visible
        ):  # napari 0.9 keeps its extent, and raises with another number of axes
            return
        with naive.viewer.layers.batched_update():  # see `Record.remove`
            image.data = self.pixels_of(seed, stack=image.ndim == 2)
        naive.belongings.keep(image)
        naive.forget_pixels(image)
        naive.diverge()
        # Where the points are in the new axes, napari says while it goes from one to the other.
        naive.believe_the_session()
        naive.settle()

    @with_stack
    @rule(number=NUMBER)
    def move_slider(self, number):
        dims = self.naive.viewer.dims
        dims.set_current_step(0, number % int(dims.nsteps[0]))
        self.naive.settle()

    @rule(all_planes=st.booleans())
    def answer_all_planes(self, all_planes):
        self.naive.all_planes = self.session.all_planes = all_planes

    @with_stack
    @rule()
    def look_at_it_in_3d(self):
        dims = self.naive.viewer.dims
        dims.ndisplay = 3
        dims.ndisplay = 2
        self.naive.settle()
