"""Errors that a user can meet: one plain sentence each, with what to do."""

from __future__ import annotations


class SimilarityError(Exception):
    """Base of every error this package raises for a user's mistake or a refused input.

    ``str(error)`` is one sentence that says what is wrong and what to do about it.
    """


class ImageError(SimilarityError, ValueError):
    """The pixels cannot be embedded (shape, channels or dtype)."""


class PointError(SimilarityError, ValueError):
    """A query point lies outside its image, or there is no point at all."""


class StateError(SimilarityError, ValueError):
    """Patch states that do not belong together, for example from two models."""


class QueryModelError(StateError):
    """A saved query was made with another model than the one that is to answer it."""


class StoreError(SimilarityError):
    """Stored embeddings that cannot be written, or cannot be used."""


class BackboneError(SimilarityError):
    """A model cannot be had or does not answer as a DINOv3 model does."""


class OutOfMemoryError(BackboneError):
    """The memory of the device did not suffice; a smaller batch, or the CPU, may still do."""


class EmbeddingCancelled(Exception):
    """Raised by a progress callback to stop embedding; not an error of the user's."""
