"""The file of a project: what was written comes back; all else is refused in a sentence."""

from __future__ import annotations

import json
import random
import struct
import warnings
import zipfile
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from napari_dinov3_sim.core.errors import EmbeddingCancelled, StoreError
from napari_dinov3_sim.store.project import archive as archive_module
from napari_dinov3_sim.store.project.archive import ProjectFile, array_record, write_project

from .projects import make_project


@pytest.fixture
def written(tmp_path):
    project, arrays = make_project()
    return write_project(project, arrays, tmp_path / "p.dinov3sim.zip")


def read(path):
    """Everything that a project holds."""
    with ProjectFile.open(path) as file:
        arrays = {record.member: file.array(record) for record in file.project.arrays}
        return replace(file.project, members=()), arrays


def refusal(path):
    """The sentence with which a file is refused."""
    with pytest.raises(StoreError) as raised:
        read(path)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert len(sentence) < 500
    assert sentence.startswith(str(path))
    assert sentence.endswith(".")
    return sentence


def test_what_was_written_is_read(written):
    project, arrays = make_project()
    found, found_arrays = read(written)
    assert found == project
    assert found_arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found_arrays[name], array)
        assert found_arrays[name].dtype == array.dtype


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), np.float32),
        np.array(5, np.int16),
        np.arange(24, dtype=">u2").reshape(2, 3, 4),
        np.arange(24).reshape(4, 6).T,
        np.array([[True, False]]),
        np.arange(6, dtype=np.float16).reshape(2, 3)[::-1],
    ],
    ids=["empty", "scalar", "big endian", "columns first", "booleans", "reversed"],
)
@pytest.mark.parametrize("block", [1, 7, 2**24])
def test_arrays_of_all_sorts(tmp_path, monkeypatch, array, block):
    monkeypatch.setattr(archive_module, "BLOCK", block)
    project, arrays = make_project()
    record = array_record("results/2.npy", array)
    project = replace(project, results=(replace(project.results[0], array=record),))
    path = write_project(project, arrays | {"results/2.npy": array}, tmp_path / "p")
    found = read(path)[1]["results/2.npy"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def test_a_lazy_array_is_read_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "BLOCK", 256)
    most = 0

    def block(values):
        nonlocal most
        most = max(most, values.size)
        return values

    array = np.arange(4096).reshape(64, 64)
    lazy = da.from_array(array, chunks=(4, 64)).map_blocks(block, dtype=array.dtype)
    project, arrays = make_project()
    record = array_record("results/2.npy", lazy)
    project = replace(project, results=(replace(project.results[0], array=record),))
    path = write_project(project, arrays | {"results/2.npy": lazy}, tmp_path / "p")
    np.testing.assert_array_equal(read(path)[1]["results/2.npy"], array)
    assert most <= 4 * 64


def test_writing_can_be_cancelled(written):
    before = written.read_bytes()
    project, arrays = make_project()

    def cancel(done, total):
        assert 0 <= done <= total
        raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        write_project(project, arrays, written, report=cancel)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]


@pytest.mark.parametrize(("name", "query"), [("cells", None), (None, b"of no name")])
def test_a_query_without_its_name_or_a_name_alone_is_never_written(written, name, query):
    before = written.read_bytes()
    project, arrays = make_project()
    with pytest.raises(ValueError, match="not those that are used"):
        write_project(replace(project, query=name), arrays, written, query=query)
    assert written.read_bytes() == before


def test_a_name_of_a_query_alone_that_was_once_written_is_read(tmp_path):
    """Where there was no array, nothing held the name against what is in the file."""
    project, _ = make_project()
    bare = replace(project, images=project.images[1:], points=None, regions=(), results=())
    path = write_project(bare, {}, tmp_path / "p.dinov3sim.zip")
    with ProjectFile.open(described(path, query="cells")) as file:
        assert (file.project.query, file.project.members) == ("cells", ())
        assert file.query() is None


def test_objects_are_never_written():
    with pytest.raises(StoreError, match="type object cannot be saved"):
        array_record("results/2.npy", np.array([object()]))


def test_an_array_that_is_too_large_is_refused():
    large = np.broadcast_to(np.zeros((), np.uint8), (2**15, 2**16))
    with pytest.raises(StoreError, match="more than 1 GiB"):
        array_record("results/2.npy", large)


# --- what is no project --------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path):
    assert "does not exist; check" in refusal(tmp_path / "none.dinov3sim.zip")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\5\6" + bytes(18), b"\x89PNG\r\n"])
def test_a_file_that_is_something_else(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    assert "choose a file that was saved as a project" in refusal(path)


def test_a_folder_is_none(tmp_path):
    assert "choose a file that was saved as a project" in refusal(tmp_path)


def repacked(path, changes, **options):
    """Write a project again with other members: bytes, or None to leave one out."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members |= changes
    with zipfile.ZipFile(path, "w", **options) as new:
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content)
    return path


def description(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("project.json"))


def described(path, **changes):
    """Change what a project says at places such as ``images.0.name``."""
    found = description(path)
    for place, value in changes.items():
        *parents, last = place.split("__")
        at = found
        for part in parents:
            at = at[int(part) if part.isdigit() else part]
        if value is KeyError:
            del at[last]
        else:
            at[int(last) if last.isdigit() else last] = value
    return repacked(path, {"project.json": json.dumps(found).encode()})


def test_repacking_alone_changes_nothing(written):
    before = read(written)[0]
    assert read(described(written))[0] == before
    assert read(repacked(written, {}, compression=zipfile.ZIP_STORED))[0] == before


def test_a_project_of_a_newer_version(written):
    sentence = refusal(described(written, version=3, something_new=[1]))
    assert "newer version of this plugin (format 3, and 2 is known here); update" in sentence


def test_a_project_of_an_older_version_is_read(written):
    before = read(written)[0]
    older = described(written, version=1)
    found = description(older)
    for result in found["results"]:
        for name in ("made", "axes", "planes"):
            result.pop(name, None)
    older = repacked(older, {"project.json": json.dumps(found).encode()})
    assert replace(read(older)[0], version=2) == before


def test_a_zip_archive_of_something_else(written):
    assert "is no project of this plugin" in refusal(described(written, format="other"))
    assert "is no project: it has no project.json" in refusal(
        repacked(written, {"project.json": None})
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("images", 7),
        ("images", None),
        ("images__0__name", 7),
        ("images__0__name", "x" * 5000),
        ("images__0__levels", []),
        ("images__0__levels__0__0", -1),
        ("images__0__levels__0__0", 1e3),
        ("images__0__levels__0", [1] * 50),
        ("images__0__digest", "AB" * 32),
        ("images__0__digest", KeyError),
        ("images__0__placement__scale__0", "1"),
        ("images__0__placement__scale__0", None),
        ("images__0__arrays__0__shape__0", 2**40),
        ("images__0__arrays__0__shape__0", 21),
        ("images__0__arrays__0__dtype", "|O"),
        ("images__0__arrays__0__dtype", "<u2"),
        ("images__0__arrays__0__member", "../../evil"),
        ("images__0__arrays__0__member", "/etc/passwd"),
        ("images__0__arrays__0__member", "images/0.npy\n"),
        ("images__0__arrays__0__member", "regions/1.npy"),
        ("images__1__file__layer", -1),
        ("images__0__odd", 1),
        ("classes__0__colour", "red"),
        ("classes__0__name", ""),
        ("classes__0__threshold", 1.5),
        ("points__points__0__origin__image", 2),
        ("points__points__0__place__0", True),
        ("points__ndim", 10**6),
        ("results__0__form", "script"),
        ("results__0__what", []),
        ("results__0__what__1", 99),
        ("settings__combination", "other"),
        ("settings__min_area", -1),
        ("settings__limits", [0.0]),
        ("channels", [{"channels": [0, 1]}]),
        ("channels", [{"channels": [0, 1, 5]}]),
        ("query", "a query that is not there"),
        ("members__0__size", 10**15),
        ("members__0__sha256", "00" * 32),
        ("members", []),
        ("recipe__factor", "Infinity"),
    ],
)
def test_what_is_not_of_the_form_is_refused(written, place, value):
    assert "is damaged (" in refusal(described(written, **{place: value}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"format": "napari-dinov3-sim project", "version": 1}',
        b'{"format": "napari-dinov3-sim project", "version": "1"}',
        b'{"format": "napari-dinov3-sim project", "version": NaN}',
        b"\xff\xfe",
        b'{"a": "\\ud800"}',
    ],
)
def test_a_description_that_is_no_json_of_ours(written, text):
    assert "is damaged (" in refusal(repacked(written, {"project.json": text}))


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "images/../../evil", "C:\\evil", "images/", "a\nb", "é"]
)
def test_members_that_do_not_belong_to_it_are_refused_and_unpacked_nowhere(
    written, tmp_path, name
):
    sentence = refusal(repacked(written, {name: b"evil"}))
    assert "does not belong to it" in sentence
    assert [path.name for path in tmp_path.iterdir()] == [written.name]
    assert not (tmp_path.parent / "evil.txt").exists()


def test_two_members_of_one_name(written):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(written, "a") as file:
            file.writestr("images/0.npy", b"other")
    assert "two files in it have one name" in refusal(written)


def test_a_member_that_is_missing(written):
    assert "is missing" in refusal(repacked(written, {"images/0.npy": None}))


def test_a_description_that_unpacks_to_very_much(written):
    bomb = b'{"a": "' + bytes(archive_module.MAX_DESCRIPTION)
    path = repacked(written, {"project.json": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    assert "too large" in refusal(path)


def test_an_array_that_unpacks_to_very_much(written):
    """The archive may say what it likes of its size; no more than the array's is read."""
    bomb = bytes(2**26)
    path = repacked(written, {"images/0.npy": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert "too large" in refusal(path)
    content = path.read_bytes()
    true = struct.pack("<I", len(bomb))
    path.write_bytes(content.replace(true, struct.pack("<I", 728)))
    refusal(path)


@pytest.mark.parametrize(
    "header",
    [
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 65535) + b"{" * 600,
        b"\x93NUMPY\x02\x00" + bytes(720),
        b"\x93NUMPX" + bytes(720),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + b"[" * 118 + bytes(600),
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 118)
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (20, 30), }".ljust(118)
        + bytes(600),
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 118)
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 30), }".ljust(118)
        + bytes(600),
        b"",
    ],
)
def test_headers_of_arrays_that_are_absurd(written, header):
    content = header[:728].ljust(728, b"\0")
    assert "is damaged (" in refusal(repacked(written, {"images/0.npy": content}))


def test_an_archive_that_is_encrypted_or_packed_otherwise(written):
    repacked(written, {}, compression=zipfile.ZIP_BZIP2)
    assert "not packed as projects are" in refusal(written)


def test_random_mutations_are_refused_in_a_sentence_or_change_nothing(written, tmp_path):
    """Bits, bytes, pieces that are cut out, doubled, put elsewhere or overwritten."""
    content, before = written.read_bytes(), read(written)
    rng = random.Random(0)
    sentences = []
    path = tmp_path / "m.dinov3sim.zip"
    for _ in range(300):
        path.write_bytes(_mutated(content, rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as an interpreter does
                project, arrays = read(path)
        except StoreError as error:
            sentences.append(str(error))
        else:
            assert project == before[0]
            for name, array in arrays.items():
                np.testing.assert_array_equal(array, before[1][name])
    assert len(sentences) > 200
    assert all(sentence.startswith(str(path)) and "\n" not in sentence for sentence in sentences)


def _mutated(content, rng):
    changed = bytearray(content)
    at = rng.randrange(len(changed))
    length = rng.choice((1, 4, 40, 400))
    match rng.randrange(6):
        case 0:
            changed[at] ^= 1 << rng.randrange(8)
        case 1:
            changed[at : at + length] = rng.randbytes(length)
        case 2:
            del changed[at : at + length]
        case 3:
            changed[at:at] = changed[at : at + length]
        case 4:
            other = rng.randrange(len(changed))
            changed[at : at + length] = changed[other : other + length]
        case 5:
            del changed[at:]
    return bytes(changed)
