"""Addresses: images on other computers, through fsspec, by URL."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import weakref
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from napari_dinov3_sim.core.text import file_name_part
from napari_dinov3_sim.readers.errors import InputError, brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    _Path = Path
    Meter = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
    """From the name of a file to what is called with its bytes so far and in all, or 0."""
else:
    _Path = type(Path())  # Path itself cannot be inherited from before Python 3.12

ZARR_FILES = (".zarray", ".zgroup", "zarr.json")
"""One of them is in each folder of a Zarr."""

MAX_FETCHED_BYTES = 2**32
"""Of a file that is fetched as a whole."""

CONNECT_SECONDS, READ_SECONDS = 20, 60
"""For which a server may be silent."""

PACKAGES = {
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
}
"""What fsspec needs for addresses of a protocol."""

MAX_METADATA_BYTES = 2**26
"""Of a file that says what a Zarr is."""

_ADDRESS = re.compile(
    r"(?P<protocol>[a-z][a-z0-9+.-]+)(?:::[a-z][a-z0-9+.-]+)*://", re.I
)  # two letters at least: C:/ is a disk of Windows

_BLOCK = 2**20

_NOT_THERE = (
    *(FileNotFoundError, PermissionError),
    *(FileExistsError, IsADirectoryError, NotADirectoryError),  # it would be in a file
)


class Address(_Path):
    """A URL where a path is expected: its name, text and content, but no place on the disk.

    As text it is the URL, unchanged. A Zarr is read from there, chunk by chunk. Any other file is
    fetched as a whole when its content is first needed; whatever opens an address as a path opens
    that copy, which goes when the address does.

    Parameters
    ----------
    text : str
    meter : callable, optional
        Shows what is fetched.
    """

    def __new__(cls, text: str, meter: Meter | None = None) -> Address:  # noqa: ARG004
        """Return an address whose names are those of the URL."""
        return super().__new__(cls, _within(text))

    def __init__(self, text: str, meter: Meter | None = None) -> None:
        if sys.version_info >= (3, 12):
            super().__init__(_within(text))
        self._text, self._meter = text, meter
        self._parts_of_it: dict[str, Address] = {}
        self._zarr_files: dict[str, bytes | None] = {}
        self._copied: Path | None = None
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Address({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return Address, (self._text,)

    def __fspath__(self) -> str:
        return str(self.fetched())

    def __truediv__(self, name: Any) -> Address:
        text, mark, query = self._text.partition("?") if self._is_http else (self._text, "", "")
        return self.part(f"{text.rstrip('/')}/{name}{mark}{query}")

    def with_segments(self, *parts: Any) -> Path:
        """Return a plain path for what pathlib makes of the names."""
        return Path(*parts)

    def part(self, text: str) -> Address:
        """Return the address of something in it, the same each time, with its copy."""
        return self._parts_of_it.setdefault(text, Address(text, self._meter))

    @property
    def protocol(self) -> str:
        """Such as https, in small letters."""
        return _protocol(self._text)

    @property
    def _is_http(self) -> bool:
        return self.protocol in ("http", "https")

    @property
    def without_query(self) -> str:
        """The URL without what is behind a question mark, and without a last slash."""
        text = self._text.partition("?")[0] if self._is_http else self._text
        return text.rstrip("/")

    @property
    def parent(self) -> Path:  # type: ignore[override]
        """The folder of the copy, with nothing beside it."""
        return self.fetched().parent

    def exists(self, **_options: Any) -> bool:
        """Whether it is taken for one; what is not there is told when it is opened."""
        return True

    def is_file(self, **_options: Any) -> bool:
        """Whether it is no Zarr."""
        return not self.is_dir()

    def is_dir(self, **_options: Any) -> bool:
        """Whether it is a Zarr, the only folder that is read from elsewhere."""
        return any(self.zarr_file(name) is not None for name in ZARR_FILES)

    def resolve(self, strict: bool = False) -> Address:  # noqa: ARG002
        """Return it."""
        return self

    def absolute(self) -> Address:
        """Return it."""
        return self

    def zarr_file(self, name: str) -> bytes | None:
        """Return one of the files that say what a Zarr is; None where there is none."""
        if name not in self._zarr_files:
            self._zarr_files[name] = self._small_file(name)
        return self._zarr_files[name]

    def _small_file(self, name: str) -> bytes | None:
        content = b""
        try:
            for block in self._blocks(f"{self.without_query}/{name}"):
                content += block
                if len(content) > MAX_METADATA_BYTES:
                    return None
            is_metadata = isinstance(json.loads(content), dict)
        except InputError:
            raise
        except _NOT_THERE:
            return None
        except (ValueError, RecursionError):  # a page, as some servers send for everything
            return None
        except Exception as error:
            if getattr(error, "status", None) is None:
                raise InputError(self._unreachable(error)) from error
            return None  # refused; whatever opens the address says why
        return content if is_metadata else None

    def _blocks(self, url: str) -> Iterator[bytes]:
        """Yield the content of a file, as it comes."""
        files, path = self._file_system(url)
        # As one answer, asked for at once: blocks are not given by every server.
        how = {"block_size": 0, "size": 1} if self._is_http else {}
        with files.open(path, "rb", **how) as source:
            yield from iter(lambda: source.read(_BLOCK), b"")

    def options(self) -> dict[str, Any]:
        """Return with what fsspec reaches it.

        Raises
        ------
        InputError
            A package is missing.
        """
        if not self._is_http:
            return {}
        try:
            from aiohttp import ClientTimeout
        except ImportError as error:
            raise InputError(self._lacks("aiohttp")) from error
        # Without these, aiohttp ends whatever takes longer than five minutes.
        limits = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        return {"client_kwargs": {"timeout": limits, "trust_env": True}}

    def _file_system(self, url: str) -> tuple[Any, str]:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations, registry

        known = self.protocol in known_implementations or self.protocol in registry
        if not known or self.protocol in ("file", "local"):
            raise InputError(
                f"{self} is not an address that can be read (fsspec does not know "
                f"{self.protocol}://, or not there); download the file, and name that."
            )
        try:
            files, path = url_to_fs(url, **self.options())
        except ImportError as error:
            package = PACKAGES.get(self.protocol)
            raise InputError(self._lacks(package or brief(error), bool(package))) from error
        return files, path

    def _lacks(self, what: str, is_package: bool = True) -> str:
        cure = f"install it with `pip install {what}`" if is_package else what
        return f"{self} needs a package that is not installed; {cure}, or download the file."

    def fetched(self) -> Path:
        """Return a copy on this computer, with the same name; it is fetched once.

        Raises
        ------
        InputError
            It is not there, cannot be reached, or is too large.
        """
        with self._lock:
            if self._copied is None:
                with self._fetching():
                    self._copied = self._fetch()
            return self._copied

    @contextmanager
    def _fetching(self) -> Iterator[None]:
        """Turn whatever goes wrong into one sentence."""
        try:
            yield
        except InputError:
            raise
        except FileNotFoundError as error:
            # fsspec says so of all that goes wrong with http, and why.
            cause = error.__cause__ if self._is_http else None
            if cause is None or getattr(cause, "status", 0) in (404, 410):
                raise InputError(f"{self} is not there; check the spelling.") from error
            raise InputError(self._unreachable(cause)) from error
        except Exception as error:  # every protocol fails in its own way
            raise InputError(self._unreachable(error)) from error

    def _unreachable(self, error: BaseException) -> str:
        status = getattr(error, "status", None)
        why = f"{status} {getattr(error, 'message', '')}".strip() if status else brief(error)
        if isinstance(error, TimeoutError):
            why = f"no answer within {READ_SECONDS} seconds"
        cure = "check the address and the network, or download the file"
        if "credentials" in why.lower():
            cure = "log in, or set FSSPEC_S3_ANON=true where everybody may read it"
        return f"{self} cannot be fetched ({why}); {cure}."

    def _fetch(self) -> Path:
        files, path = self._file_system(self._text)
        total, done = files.info(path).get("size") or 0, 0
        self._check_size(total)
        stem, suffix = os.path.splitext(self.name)  # noqa: PTH122 - of the URL
        name = file_name_part(stem, 100) + file_name_part(suffix, 20) or "image"
        meter = nullcontext(_unseen) if self._meter is None else self._meter(self.name)
        with self._keeping():
            folder = Path(mkdtemp(prefix="dinov3-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            copy = (folder / name).open("wb", buffering=0)
        with copy, meter as show:
            for block in self._blocks(self._text):
                with self._keeping():
                    copy.write(block)
                done += len(block)
                self._check_size(done)
                show(done, total)
        return folder / name

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """Say where there is no room for a copy."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self} cannot be kept in {gettempdir()} ({error.strerror or error}); make room "
                "there, or set TMPDIR to another folder."
            ) from error

    def _check_size(self, size: int) -> None:
        if size > MAX_FETCHED_BYTES:
            raise InputError(
                f"{self} is larger than {MAX_FETCHED_BYTES / 2**30:g} GiB, and it would be "
                "fetched as a whole; download the file, or write it as OME-Zarr, which is read in "
                "parts."
            )


def _unseen(_done: int, _total: int) -> None:
    """Show nothing."""


def is_address(text: str) -> bool:
    """Whether text is a URL rather than a path.

    Examples
    --------
    >>> is_address("https://example.org/a.tif"), is_address("C:/a.tif")
    (True, False)
    """
    return _ADDRESS.match(text) is not None


def path_or_address(text: str, meter: Meter | None = None) -> Path:
    """Return a path, or an address for a URL; one of a file on this computer is a path.

    Parameters
    ----------
    text : str
    meter : callable, optional
        Shows what is fetched from an address.
    """
    if not is_address(text):
        return Path(text)
    if _protocol(text) == "file":
        split = urlsplit(text)
        if split.netloc in ("", "localhost"):
            return Path(url2pathname(split.path))
    return Address(text, meter)


def _protocol(text: str) -> str:
    found = _ADDRESS.match(text)
    return found["protocol"].lower() if found is not None else ""


def _within(text: str) -> str:
    """Return the names in a URL, as those of a path."""
    if _protocol(text) in ("http", "https"):
        try:
            split = urlsplit(text)
        except ValueError:  # no host has such a name
            return text
        return f"{split.netloc.rpartition('@')[2]}{unquote(split.path)}"
    return text.rpartition("://")[2]
