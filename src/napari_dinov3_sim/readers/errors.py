"""Why a file cannot be read, in one sentence that names it and the cure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import ImageError, SimilarityError
from napari_dinov3_sim.core.images.file_signatures import is_what_its_suffix_says
from napari_dinov3_sim.core.text import does_not_exist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class InputError(ImageError):
    """A file that was named cannot be read as an image."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into one `InputError` that names it and the cure."""
    try:
        yield
    except InputError:
        raise
    except ImageError as error:
        raise InputError(f"{path}: {error}") from error
    except SimilarityError:
        raise
    except PermissionError as error:
        raise InputError(
            f"{path} may not be read ({error.strerror or error}); change its permissions, or "
            "copy it."
        ) from error
    except MemoryError as error:
        raise InputError(
            f"{path} does not fit into memory; write it as a tiled TIFF or as OME-Zarr, or crop "
            "it."
        ) from error
    except Exception as error:  # every format fails in its own way
        gone = isinstance(error, FileNotFoundError) and not path.exists()
        raise InputError(does_not_exist(path) if gone else unreadable(path, error)) from error


def unreadable(path: Path, error: BaseException) -> str:
    """Say why the reader of a file failed, and the cure."""
    why = brief(error)
    if "imagecodecs" in why or isinstance(error, ImportError):
        return (
            f"{path} needs a package that is not installed ({why}); install it with `pip install "
            "imagecodecs`, or save the image uncompressed."
        )
    if is_what_its_suffix_says(path) and "pickle" not in why:
        return f"{path} seems damaged or cut short ({why}); copy or export the image again."
    return f"{path} is not an image that can be read ({why}); save it as PNG, JPEG, TIFF or .npy."


def brief(error: BaseException) -> str:
    """Return the message of an error in one line that is not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
