"""Errors of the command line, and how any error becomes one line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones import ModelChangedError
from napari_dinov3_sim.cli.terminal import note
from napari_dinov3_sim.core.errors import SimilarityError, StoreError
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.readers.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class UsageError(SimilarityError):
    """The command line cannot be understood."""


class InputChangedError(InputError):
    """A file is not what it was when it was read first."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was changed in the meantime; run the command again.")


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


DONE, SOME_FAILED = 0, 2
"""Exit codes."""


class Failures:
    """Tells of each failure when it happens, and of all of them at the end.

    Parameters
    ----------
    listen : callable, optional
        Called with the path and the message of each, too.
    """

    def __init__(self, listen: Callable[[Path, str], None] | None = None) -> None:
        self._found: list[PlaneFailed] = []
        self._paths: set[Path] = set()
        self._messages: set[str] = set()
        self._listen = listen

    def __len__(self) -> int:
        return len(self._found)

    def add(self, failure: PlaneFailed) -> None:
        """Take note of a failure; the first of each file is told, and how many more there were."""
        if failure.path not in self._paths and failure.message not in self._messages:
            note(f"error: {failure.message}")
        if self._listen is not None:
            self._listen(failure.path, failure.message)
        self._paths.add(failure.path)
        self._messages.add(failure.message)
        self._found.append(failure)

    def as_objects(self) -> list[dict[str, str]]:
        """Return them for JSON, those that befell many planes alike once."""
        return [{"image": str(path), "error": message} for path, message in self._once()]

    def _once(self) -> dict[tuple[Path, str], None]:
        return dict.fromkeys((failure.path, failure.message) for failure in self._found)

    @property
    def names(self) -> list[str]:
        """The files of which something failed."""
        return list(dict.fromkeys(str(failure.path) for failure in self._found))

    def close(self, files: int) -> int:
        """Name the files of which something failed, where there were several; an exit code."""
        if not self._found:
            return DONE
        names = self.names
        for path, failures in Counter(path for path, _ in self._once()).items():
            if failures > 1:
                more = plural(failures - 1, "other failure")
                note(f"note: {path} has {more}; mend the first, and run this again.")
        if files > 1:
            note(f"error: {len(names)} of {files} images failed: {', '.join(names)}.")
        return SOME_FAILED


@dataclass(frozen=True)
class PlaneFailed:
    """A plane, or a whole file, that could not be embedded.

    Attributes
    ----------
    path : Path
    message : str
        One sentence.
    megapixels : float
    planes : int
        What need not be waited for any more.
    ends_all : bool
        Whether no other plane can fare better: results cannot be written, or the model changed.
    """

    path: Path
    message: str
    megapixels: float = 0.0
    planes: int = 1
    ends_all: bool = False


def failed(path: Path, error: Exception, megapixels: float = 0.0, planes: int = 1) -> PlaneFailed:
    """Return an error as a value, in one sentence."""
    if isinstance(error, MemoryError):
        error = InputError(
            f"{path} does not fit into memory; write it as a tiled TIFF or OME-Zarr, or crop it."
        )
    known = isinstance(error, SimilarityError)
    what = "" if known else f"{path}: unexpected {type(error).__name__}: "
    ends_all = isinstance(error, StoreError | ModelChangedError)
    return PlaneFailed(path, f"{what}{one_line(error)}", megapixels, planes, ends_all)
