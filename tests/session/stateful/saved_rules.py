"""Queries are saved, loaded and dropped."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis.stateful import precondition, rule

from napari_dinov3_sim.core.errors import PointError, StateError
from napari_dinov3_sim.store.query_files import load_query

from .choices import NUMBER
from .oracle import TOLERANCE
from .record import SavedKind

with_files = precondition(lambda self: self.naive.files)


class SavedRules:
    """What is done with files of queries."""

    def path(self, number):
        return f"{self.folder.name}/{number}.query.safetensors"

    @rule()
    def save_query(self):
        naive, path = self.naive, self.path(len(self.naive.files))
        wanted = naive.saved_now()
        if wanted.kinds and naive.must_have():
            self.session.results.save_query(path)
            assert_saved(load_query(path), wanted)
            naive.files.append(wanted)
        else:  # refused at once, or when it turns out that nothing is meant
            naive.expected = ("No kind has a positive point",)
            with suppress(PointError):
                self.session.results.save_query(path)
            assert not Path(path).exists()

    @with_files
    @rule(number=NUMBER)
    def load_query(self, number):
        naive = self.naive
        number %= len(naive.files)
        query = naive.files[number]
        if query.fingerprint != naive.model.fingerprint:
            with pytest.raises(StateError):
                self.session.results.load_query(self.path(number))
            return
        self.session.results.load_query(self.path(number))
        # A file keeps the names, whatever the kinds are called later.
        kinds = [SavedKind(**vars(kind)) for kind in query.kinds]
        naive.saved = type(query)(kinds, query.combination, query.fingerprint)
        naive.combination = query.combination
        naive.colours.clear()
        assert self.session.combination == query.combination

    @precondition(lambda self: self.naive.saved is not None)
    @rule()
    def drop_query(self):
        self.session.results.drop_query()
        self.naive.saved = None

    def rename_saved(self, old, new):
        """A renamed kind of a loaded query is called so until it is loaded again."""
        for kind in [] if self.naive.saved is None else self.naive.saved.kinds:
            kind.name = new if kind.name == old else kind.name


def assert_saved(query, wanted):
    assert [kind.name for kind in query.kinds] == [kind.name for kind in wanted.kinds]
    assert query.combination == wanted.combination
    assert query.fingerprint == wanted.fingerprint
    for kind, other in zip(query.kinds, wanted.kinds, strict=True):
        for name in ("positives", "negatives", "background"):
            found, there = getattr(kind, name), np.array(getattr(other, name))
            np.testing.assert_allclose(found, there.reshape(found.shape), atol=TOLERANCE)
