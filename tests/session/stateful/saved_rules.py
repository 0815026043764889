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
from .record import SavedClass

with_files = precondition(lambda self: self.naive.files)


class SavedRules:
    """What is done with files of queries."""

    def path(self, number):
        return f"{self.folder.name}/{number}.query.safetensors"

    @rule()
    def save_query(self):
        naive, path = self.naive, self.path(len(self.naive.files))
        wanted = naive.saved_now()
        if wanted.classes and naive.must_have():
            self.session.results.save_query(path)
            assert_saved(load_query(path), wanted)
            naive.files.append(wanted)
        else:  # refused at once, or when it turns out that nothing is meant
            naive.expected = ("No class has a positive point",)
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
        # A file keeps the names, whatever the classes are called later.
        classes = [SavedClass(**vars(class_name)) for class_name in query.classes]
        naive.saved = type(query)(classes, query.combination, query.fingerprint)
        naive.combination = query.combination
        naive.colours.clear()
        assert self.session.combination == query.combination

    @precondition(lambda self: self.naive.saved is not None)
    @rule()
    def drop_query(self):
        self.session.results.drop_query()
        self.naive.saved = None

    def rename_saved(self, old, new):
        """A renamed class of a loaded query is called so until it is loaded again."""
        for class_name in [] if self.naive.saved is None else self.naive.saved.classes:
            class_name.name = new if class_name.name == old else class_name.name


def assert_saved(query, wanted):
    assert [class_name.name for class_name in query.classes] == [
        class_name.name for class_name in wanted.classes
    ]
    assert query.combination == wanted.combination
    assert query.fingerprint == wanted.fingerprint
    for class_name, other in zip(query.classes, wanted.classes, strict=True):
        for name in ("positives", "negatives", "background"):
            found, there = getattr(class_name, name), np.array(getattr(other, name))
            np.testing.assert_allclose(found, there.reshape(found.shape), atol=TOLERANCE)
