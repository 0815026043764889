"""The gallery is opened, its matches are judged, the next ones are shown, and it is closed."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .choices import NUMBER, with_answer, with_layer
from .record import Said

with_matches = precondition(lambda self: self.session.gallery.matches)


class GalleryRules:
    """What is done to matches; that they are true, the invariants say."""

    @with_answer
    @with_layer
    @rule(order=st.sampled_from(["best", "teach"]), count=st.integers(1, 6))
    def open_the_gallery(self, order, count):
        gallery = self.session.gallery
        gallery.show(order, count)
        assert len(gallery.matches) <= count
        assert all(match.judgement is None for match in gallery.matches)

    @with_matches
    @rule()
    def show_the_next_matches(self):
        seen = {match.id for match in self.session.gallery.matches}
        self.session.gallery.next_round()
        assert not seen & {match.id for match in self.session.gallery.matches}

    @with_matches
    @with_layer
    @rule(number=NUMBER, right=st.sampled_from([True, False, None]))
    def judge_a_match(self, number, right):
        naive, gallery = self.naive, self.session.gallery
        match = gallery.matches[number % len(gallery.matches)]
        image = naive.image_of(match)
        if image.ndim > self.session.queries.ndim:
            return  # no point of that layer can say which plane it lies on
        mine = naive.points_on(match)
        with naive.edit():
            if right is None:
                naive.take_out_rows(mine)
            elif mine:
                for row in mine:
                    naive.said[row] = Said(naive.gallery_class, right)
            else:
                naive.owner.append(image)
                naive.said.append(Said(naive.gallery_class, right))
            gallery.judge(match, right)
        found = [one for one in gallery.matches if one.id == match.id]
        assert [one.judgement for one in found] in ([], [right])

    @rule()
    def close_the_gallery(self):
        self.session.gallery.hide()
        assert not self.session.gallery.matches
