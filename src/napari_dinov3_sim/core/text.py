"""Text of messages and of file names, also where it comes from outside and may be anything."""

from __future__ import annotations

import codecs
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ACTED_ON = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that a terminal acts on, or that no encoding has."""

_REFUSED = frozenset('/\\:*?"<>|')
"""What not every file system takes in a name."""

_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"}
)
"""What Windows takes for a device, whatever stands behind the first dot of the name:
https://learn.microsoft.com/windows/win32/fileio/naming-a-file
"""


def printable(text: str) -> str:
    r"""Return text with an escape in the place of each character that is not shown as itself.

    Names of files may hold line breaks and the codes by which terminals are told what to do, and
    on Linux bytes that are not UTF-8.

    Examples
    --------
    >>> printable("caf\udce9 \x1b[2J é")
    'caf\\udce9 \\x1b[2J é'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode() if _is_acted_on(one) else one for one in text
    )


def writable(text: str) -> str:
    r"""Return text as UTF-8 can write it: what is not of UTF-8 in a file name is escaped.

    Examples
    --------
    >>> writable("caf\udce9 é")
    'caf\\udce9 é'
    """
    return text.encode(errors="backslashreplace").decode()


def plain_utf8(content: bytes) -> bytes:
    r"""Return the content of a text file as UTF-8 without a mark, however Windows saved it.

    Notepad may put a mark before UTF-8, and what PowerShell's ``>`` writes is UTF-16. Other bytes
    are returned as they are.

    Examples
    --------
    >>> plain_utf8(b"\xef\xbb\xbfa.png"), plain_utf8("a.png".encode("utf-16"))
    (b'a.png', b'a.png')
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace").encode()
    return content.removeprefix(codecs.BOM_UTF8)


def file_name_part(text: str, most: int) -> str:
    """Return text as a part of a file name that every file system takes.

    Parameters
    ----------
    text : str
    most : int
        Bytes of it that are kept; file systems allow 255 for a whole name.

    Examples
    --------
    >>> file_name_part("a/b: é", 6)
    'a_b_ '
    >>> file_name_part("aux.2", 6)
    'aux_.2'
    """
    return _no_device(_cut(text, most))


def file_stem(text: str, most: int, otherwise: str) -> str:
    """Return text as the beginning of a file name, or as the name of a folder.

    Windows drops dots and spaces at the end of a name, and then does not find it.

    Parameters
    ----------
    text : str
    most : int
        Bytes of it that are kept.
    otherwise : str
        What is returned where nothing is left.

    Examples
    --------
    >>> file_stem(" nul. ", 100, "image"), file_stem("..", 100, "image")
    ('nul_', 'image')
    """
    return _no_device(_cut(text, most).strip(" .")) or otherwise


def _cut(text: str, most: int) -> str:
    kept = ("_" if one in _REFUSED or _is_acted_on(one) else one for one in text)
    return "".join(kept).encode()[:most].decode(errors="ignore")


def _no_device(name: str) -> str:
    stem, dot, rest = name.partition(".")
    return f"{stem}_{dot}{rest}" if stem.rstrip(" ").casefold() in _DEVICES else name


def name_key(name: str) -> str:
    """Return by what a file system tells names apart that is as forgetful as any.

    Windows and macOS do not tell upper from lower case, and macOS not é in one character from é in
    two (Unicode's canonical caseless match, section 3.13 of the standard).

    Examples
    --------
    >>> name_key("É.tif") == name_key("e\u0301.TIF")
    True
    """
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", folded)


def _is_acted_on(one: str) -> bool:
    return unicodedata.category(one) in _ACTED_ON


def does_not_exist(path: Path) -> str:
    """Return what the user is told of a file that is not there."""
    return f"{path} does not exist; check the spelling and the folder."


def plural(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> plural(1, "class"), plural(2, "class"), plural(0, "image")
    ('1 class', '2 classes', '0 images')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
