"""What files of images begin with: whether a file is one, whatever it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG = (b"\xff\xd8\xff",)

SIGNATURES = {
    ".png": (b"\x89PNG",),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".gif": (b"GIF8",),
    ".bmp": (b"BM",),
    ".webp": (b"RIFF",),
    ".npy": (b"\x93NUMPY",),
}
"""First bytes of a file, by its suffix."""


def is_image_file(path: Path) -> bool:
    """Whether a file begins as any image does."""
    return _begins_with(path, tuple(start for all_ in SIGNATURES.values() for start in all_))


def is_what_its_suffix_says(path: Path) -> bool:
    """Whether a file begins as images of its suffix do."""
    return _begins_with(path, SIGNATURES.get(path.suffix.lower(), ()))


def _begins_with(path: Path, starts: tuple[bytes, ...]) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, starts), default=0)).startswith(starts)
    except OSError:  # a folder, or gone meanwhile
        return False
