"""Names of files that every system takes, against Python's own list of what Windows refuses."""

from __future__ import annotations

import ntpath
import warnings
from pathlib import PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dinov3_sim.cli.reading.paths import unique_stems
from napari_dinov3_sim.core.text import file_name_part, file_stem, name_key
from napari_dinov3_sim.exchange.files import file_names

DEVICES = ["CON", "con", "Nul", "AUX", "prn", "COM1", "lpt9", "COM¹", "CONIN$", "conout$"]


def windows_refuses(name):
    """Whether Python says that Windows does not take a name, or takes it for another."""
    if hasattr(ntpath, "isreserved"):  # Python 3.13
        return ntpath.isreserved(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        reserved = PureWindowsPath(name).is_reserved()
    return reserved or name.endswith((".", " ")) or bool(set(name) & set('"*:<>?|/\\'))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("end", ["", " ", ".tif", " .tif", ".a.b"])
def test_no_name_is_that_of_a_device(device, end):
    assert windows_refuses(f"{device}{end}")
    assert not windows_refuses(f"{file_name_part(f'{device}{end}', 100)}.csv")
    stem = file_stem(f" {device}{end}", 100, "image")
    assert not windows_refuses(stem)
    assert stem.startswith(device)


@pytest.mark.parametrize("name", ["console", "com", "com10", "lpt", "a.con", "CON-1", "null"])
def test_a_name_that_is_taken_stays(name):
    assert not windows_refuses(name)
    assert file_name_part(name, 100) == file_stem(name, 100, "image") == name


NAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from([*DEVICES, "é", "e\u0301", "É", "ﬁ", "ß", "SS", "İ", "...", " ", ""]),
    st.builds("{}{}".format, st.sampled_from(DEVICES), st.text(". ax", max_size=3)),
)


@pytest.mark.slow
@given(st.lists(NAMES, max_size=8))
def test_files_of_any_images_get_names_that_differ_and_are_taken(names):
    found = file_names(names, ".csv")
    assert not any(map(windows_refuses, found))
    assert len({name_key(name) for name in found}) == len(names)
    assert not any(windows_refuses(file_stem(name, 20, "labels")) for name in names)


def test_spellings_that_macos_does_not_tell_apart_count_as_one():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert composed != decomposed
    assert name_key(composed) == name_key(decomposed) == name_key("CAFE\u0301")
    assert file_names([composed, decomposed], ".csv")[1] == f"{decomposed}-2.csv"
    assert unique_stems([composed, decomposed.upper()]) == [composed, f"{decomposed.upper()}-2"]
    assert name_key("a") != name_key("b")
