"""A guard around the parts of a refresh: one that fails stops no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.worker_messages import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class Guard:
    """Runs parts of the program that do not depend on each other.

    Parameters
    ----------
    fail : callable
        Bound method, called with a `Failure` for what was raised. A log that tells each sentence
        once tells once of a part that fails at every refresh.
    """

    def __init__(self, fail: Callable[[Failure], object]) -> None:
        self._fail = fail

    def run(
        self, part: str, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Do some work, and go on if it cannot be done.

        Parameters
        ----------
        part : str
            What is named in the sentence for the user.
        work : callable
            It is given the other arguments.

        Returns
        -------
        object
            What `work` returns, or None if it raised something.
        """
        try:
            return work(*args, **kwargs)
        except Exception as error:
            failure = Failure.of(error, "internal")
            if not isinstance(error, SimilarityError):
                failure = replace(failure, message=f"{part} failed with {failure.message}")
            self._fail(failure)
            return None
