"""Codecs of Zarr arrays that make objects are refused before a chunk is read, by whatever zarr."""

from __future__ import annotations

import json
import pickle

import pytest
import zarr

from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.readers import zarr_folders
from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.readers.zarr_folders import OBJECT_CODECS


class _Trap:
    """Unpickled, it makes a file."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


def write_array(folder, codec, slot, dtype="<f4"):
    metadata = {
        **{"zarr_format": 2, "shape": [64, 64], "chunks": [64, 64], "dtype": dtype},
        **{"order": "C", "fill_value": 0, "compressor": None, "filters": None},
    }
    metadata[slot] = [codec] if slot == "filters" else codec
    folder.mkdir()
    (folder / ".zarray").write_text(json.dumps(metadata))


@pytest.mark.parametrize("dtype", ["<f4", "|O", "<M8[ns]"])
@pytest.mark.parametrize("slot", ["filters", "compressor"])
def test_a_pickle_is_never_read(tmp_path, slot, dtype):
    folder, mark = tmp_path / "a.zarr", tmp_path / "mark"
    write_array(folder, {"id": "pickle", "protocol": 5}, slot, dtype)
    (folder / "0.0").write_bytes(pickle.dumps(_Trap(mark)))
    with pytest.raises(InputError, match="pickle"):
        OpenFile(folder)
    assert not mark.exists()


class _Metadata:
    def __init__(self, **held):
        self.held = held

    def to_dict(self):
        return {"attributes": {"channels": [{"name": "pickle"}]}, **self.held}


class _Array:
    def __init__(self, **held):
        self.metadata = _Metadata(**held)


class _Codec:
    def __init__(self, name):
        self.codec_id = name


@pytest.mark.parametrize("name", OBJECT_CODECS)
def test_every_codec_of_objects_is_known_wherever_it_stands(tmp_path, name):
    for held in (
        {"filters": [{"id": "delta", "dtype": "<f4"}, {"id": name}], "compressor": None},
        {"filters": (_Codec("delta"), _Codec(name)), "compressor": None},
        {"filters": None, "compressor": {"id": name}},
        {"filters": None, "compressor": _Codec(name)},
        {"codecs": [{"name": "bytes"}, {"name": f"numcodecs.{name}", "configuration": {}}]},
        {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": name}]}}]},
    ):
        with pytest.raises(InputError, match=r"is not read, because its codec .*write it again"):
            zarr_folders._check_codecs(tmp_path, _Array(**held))


@pytest.mark.parametrize("options", [{"zarr_format": 2}, {"zarr_format": 3}, {"shards": (64, 64)}])
def test_codecs_of_numbers_are_read(tmp_path, options):
    folder = tmp_path / "a.zarr"
    array = zarr.create_array(folder, shape=(64, 64), chunks=(32, 32), dtype="u1", **options)
    array[:] = 7
    with OpenFile(folder) as file:
        assert file.layers[0].plane_shape == (64, 64)
