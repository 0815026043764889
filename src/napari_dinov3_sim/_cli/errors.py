"""A user's mistakes on the command line, and how any error becomes one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import ImageError, SimilarityError

if TYPE_CHECKING:
    from collections.abc import Iterable


class UsageError(SimilarityError):
    """The command line cannot be understood."""


class InputError(ImageError):
    """A file that was named cannot be read as an image."""


class OutputError(SimilarityError):
    """Results cannot be written where they were asked for."""


class SeveralErrors(SimilarityError):
    """Several mistakes that are told at once, a line for each."""

    def __init__(self, errors: Iterable[SimilarityError]) -> None:
        self.errors = tuple(errors)
        super().__init__(" ".join(map(str, self.errors)))


def lines_of(error: SimilarityError) -> list[str]:
    """Return the message of an error, or of each of several, without line breaks."""
    errors = error.errors if isinstance(error, SeveralErrors) else (error,)
    return [one_line(each) for each in errors]


def one_line(error: BaseException) -> str:
    """Return the message of an error without line breaks.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    str
        For a model that has to be fetched, with the option that needs no download.
    """
    text = " ".join(str(error).split())
    return f"{text} On the command line: --model builtin." if _lacks_weights(error) else text


def _lacks_weights(error: BaseException) -> bool:
    from napari_dinov3_sim.backbones import DownloadError, GatedModelError, OfflineError

    return isinstance(error, DownloadError | GatedModelError | OfflineError)
