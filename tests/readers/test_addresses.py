"""Images by URL: a plain file is fetched once, a Zarr is read in parts, the rest is refused."""

from __future__ import annotations

import gc
import io
import pickle
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
import tifffile
import zarr
from napari.utils import progress

from napari_dinov3_sim.readers import addresses
from napari_dinov3_sim.readers.addresses import Address, path_or_address
from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.readers.lazy import OpenFiles
from napari_dinov3_sim.readers.reader import open_image_file
from napari_dinov3_sim.session.file_reader import download_bar, get_image_reader

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 4000, (48, 64)).astype("u2")


@pytest.fixture
def web(monkeypatch):
    """Serve a dictionary: content by path, or a status, or what writes an answer."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files: dict = {}
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._answer(is_head=True)

        def do_GET(self):
            self._answer(is_head=False)

        def _answer(self, is_head):
            asked.append((self.command, self.path))
            found = files.get(self.path, files.get("*", 404))
            if callable(found):
                found(self)
            elif isinstance(found, int):
                self.send_error(found)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(b"" if is_head else found)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    server.files, server.asked = files, asked
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def npy(image=IMAGE):
    written = io.BytesIO()
    np.save(written, image)
    return written.getvalue()


def opened(path):
    files = OpenFiles()
    file = open_image_file(path, "auto", files)
    return [np.asarray(layer.levels[0]) for layer in file.layers]


def write_image(store, version, image=IMAGE):
    """Write an OME-Zarr image of two levels."""
    root = zarr.open_group(store, mode="w", zarr_format=version)
    for number, level in enumerate((image, image[::2, ::2])):
        root.create_array(f"{number}", data=level, chunks=(24, 32))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    scales = [{"type": "scale", "scale": [n, n]} for n in (0.5, 1.0)]
    levels = [{"path": f"{n}", "coordinateTransformations": [scales[n]]} for n in (0, 1)]
    images = [{"version": "0.4", "axes": axes, "datasets": levels}]
    if version == 2:
        root.attrs["multiscales"] = images
    else:
        root.attrs["ome"] = {"version": "0.5", "multiscales": images}


def serve_folder(web, folder):
    """Serve all files of a folder, and no listing."""
    for path in folder.rglob("*"):
        if path.is_file():
            web.files[f"/{path.relative_to(folder.parent).as_posix()}"] = path.read_bytes()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://example.org/a%20b/c.ome.tif?key=1/2&x=*", "c.ome.tif"),
        ("https://user:word@example.org:81//a//b%20c.png", "b c.png"),
        ("s3://bucket/folder//key#1.zarr/", "key#1.zarr"),
        ("HTTP://example.org/x", "x"),
        ("simplecache::s3://bucket/a.tif", "a.tif"),
        ("https://[/a.tif", "a.tif"),
    ],
)
def test_an_address_stays_as_it_is_written(text, name):
    address = path_or_address(text)
    assert isinstance(address, Address)
    assert (
        str(address) == f"{address}" == str(address.resolve()) == str(address.absolute()) == text
    )
    assert address.name == name
    assert pickle.loads(pickle.dumps(address)) == address
    assert {address, path_or_address(text)} == {address}
    assert address != Path(text)


@pytest.mark.parametrize("text", ["a.tif", "/a/b.tif", "C:/a.tif", "c:\\a.tif", "a:series=1"])
def test_a_path_is_none(text):
    assert path_or_address(text) == Path(text)


def test_the_address_of_a_file_on_this_computer_is_its_path(tmp_path):
    path = tmp_path / "a b.npy"
    assert path_or_address(path.as_uri()) == path
    with pytest.raises(InputError, match="is not an address that can be read"):
        opened(path_or_address("file://elsewhere/a.npy"))


def test_a_file_is_fetched_once_and_its_copy_goes_with_the_address(web):
    web.files["/deep/a%20b.npy"] = npy()
    address = path_or_address(f"{web.url}/deep/a%20b.npy")
    for _ in range(2):
        assert (opened(address)[0] == IMAGE).all()
    assert web.asked.count(("GET", "/deep/a%20b.npy")) == 1
    copy = address.fetched()
    assert copy.name == "a b.npy"
    del address
    gc.collect()
    assert not copy.parent.exists()


def test_a_part_of_a_file_shares_its_copy(web, tmp_path):
    tifffile.imwrite(tmp_path / "two.tif", IMAGE)
    web.files["/two.tif"] = (tmp_path / "two.tif").read_bytes()
    address = path_or_address(f"{web.url}/two.tif:series=0")
    for _ in range(2):
        assert (opened(address.part(f"{web.url}/two.tif"))[0] == IMAGE).all()
    assert web.asked.count(("GET", "/two.tif")) == 1


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_is_read_in_parts(web, tmp_path, version):
    write_image(tmp_path / "a.zarr", version)
    serve_folder(web, tmp_path / "a.zarr")
    chunk = "/a.zarr/0/0.1" if version == 2 else "/a.zarr/0/c/0/1"
    path = path_or_address(f"{web.url}/a.zarr/")
    with OpenFiles() as files:
        (layer,) = open_image_file(path, "auto", files).layers
        assert layer.calibration.scale == (0.5, 0.5)
        assert [level.shape for level in layer.levels] == [(48, 64), (24, 32)]
        before = len(web.asked)
        assert (np.asarray(layer.levels[0][:9, 40:50]) == IMAGE[:9, 40:50]).all()
        assert {path for _, path in web.asked[before:]} == {chunk}
    assert not any(path in ("/a.zarr", "/a.zarr/") for _, path in web.asked)
    assert (opened(path_or_address(f"{web.url}/a.zarr/1"))[0] == IMAGE[::2, ::2]).all()


def test_a_chunk_that_fails_is_no_black_square(web, tmp_path):
    write_image(tmp_path / "a.zarr", 3)
    serve_folder(web, tmp_path / "a.zarr")
    web.files["/a.zarr/0/c/1/1"] = 503
    with pytest.raises(Exception, match="503"):
        opened(path_or_address(f"{web.url}/a.zarr"))


def test_a_group_on_a_server_that_lists_nothing(web, tmp_path):
    zarr.open_group(tmp_path / "g.zarr", mode="w").create_group("inner")
    serve_folder(web, tmp_path / "g.zarr")
    with pytest.raises(InputError, match="is a Zarr group without an OME-Zarr image"):
        opened(path_or_address(f"{web.url}/g.zarr"))


@pytest.mark.parametrize("version", [2, 3])
def test_other_file_systems_of_fsspec(tmp_path, version):
    memory = fsspec.filesystem("memory")
    write_image(tmp_path / "a.zarr", version)
    memory.put(str(tmp_path / "a.zarr"), f"/{version}.zarr", recursive=True)
    memory.pipe("/a.npy", npy())
    for name in (f"{version}.zarr", "a.npy"):
        assert (opened(path_or_address(f"memory://{name}"))[0] == IMAGE).all()


def cut(answer):
    answer.send_response(200)
    answer.send_header("Content-Length", "100000")
    answer.end_headers()
    answer.wfile.write(npy()[:1000])


def silent(answer):
    answer.rfile.read(1)  # until whoever asked gives up


NETWORK = "check the address and the network, or download the file"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (404, "is not there; check the spelling"),
        (403, f"cannot be fetched (403 Forbidden); {NETWORK}"),
        (500, f"cannot be fetched (500 Internal Server Error); {NETWORK}"),
        (cut, "cannot be fetched (Response payload is not completed"),
        (silent, f"cannot be fetched (no answer within 0.2 seconds); {NETWORK}"),
        (b"<html>Not found</html>", "is not an image that can be read"),
        (b"", "is empty (0 bytes)"),
    ],
)
def test_a_server_that_does_not_give_it(web, answer, words, monkeypatch):
    monkeypatch.setattr(addresses, "READ_SECONDS", 0.2)
    web.files["*"] = answer
    with pytest.raises(InputError) as refused:
        opened(path_or_address(f"{web.url}/a.npy"))
    assert str(refused.value).startswith(f"{web.url}/a.npy {words}")


def test_no_server(web):
    web.shutdown()
    web.server_close()
    with pytest.raises(InputError, match=r"a.npy cannot be fetched .*Cannot connect to host"):
        opened(path_or_address(f"{web.url}/a.npy"))


def endless(answer):
    answer.send_response(200)
    answer.end_headers()
    if answer.command == "GET":
        answer.wfile.write(npy())


@pytest.mark.parametrize("answer", [npy(), endless])
def test_a_file_that_is_too_large(web, answer, monkeypatch):
    monkeypatch.setattr(addresses, "MAX_FETCHED_BYTES", 2**11)
    web.files["/a.npy"] = answer
    with pytest.raises(InputError, match=r"is larger than .* GiB"):
        opened(path_or_address(f"{web.url}/a.npy"))


def test_no_room_for_the_copy(web, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    web.files["/a.npy"] = npy()
    with pytest.raises(InputError, match=r"cannot be kept in .*none .*; make room there"):
        opened(path_or_address(f"{web.url}/a.npy"))


@pytest.mark.parametrize(
    ("address", "module", "package"),
    [
        ("https://example.org/a.tif", "aiohttp", "aiohttp"),
        ("s3://bucket/a.zarr", "s3fs", "s3fs"),
        ("gs://bucket/a.tif", "gcsfs", "gcsfs"),
        ("az://box/a.tif", "adlfs", "adlfs"),
    ],
)
def test_a_package_that_is_not_installed(address, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as refused:
        opened(path_or_address(address))
    cure = f"install it with `pip install {package}`, or download the file"
    assert str(refused.value) == f"{address} needs a package that is not installed; {cure}."


def test_a_protocol_that_nobody_knows():
    with pytest.raises(InputError, match="fsspec does not know nonsense://"):
        opened(path_or_address("nonsense://a.tif"))


def test_the_window_reads_the_same(web):
    web.files["/a.npy"] = npy()
    address = f"{web.url}/a.npy"
    ((data, attributes, _),) = get_image_reader(address)(address)
    assert (np.asarray(data) == IMAGE).all()
    assert attributes["name"] == "a"
    assert web.asked.count(("GET", "/a.npy")) == 1
    web.files["/a.txt"] = b"text"
    assert get_image_reader(f"{web.url}/a.txt") is None


def test_fetching_is_cancelled_in_the_window():
    with download_bar("a.tif") as show:
        show(1, 10)
        (bar,) = (one for one in progress._all_instances if "a.tif" in one.desc)
        assert (bar.n, bar.total) == (1, 10)
        bar.cancel()
        with pytest.raises(InputError, match="because you cancelled it"):
            show(2, 10)
