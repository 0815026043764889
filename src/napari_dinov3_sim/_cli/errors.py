"""A user's mistakes on the command line, and how any error becomes one line."""

from __future__ import annotations

from napari_dinov3_sim.core.errors import ImageError, SimilarityError


class UsageError(SimilarityError):
    """The command line cannot be understood."""


class InputError(ImageError):
    """A file that was named cannot be read as an image."""


class OutputError(SimilarityError):
    """Results cannot be written where they were asked for."""


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
