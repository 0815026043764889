"""Files of images are known by their first bytes, whatever they are called."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_dinov3_sim.core.images.file_signatures import (
    SIGNATURES,
    is_image_file,
    is_what_its_suffix_says,
)


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_each_format_is_known_by_content_and_suffix(tmp_path, suffix):
    image, path = np.zeros((8, 9), np.uint8), tmp_path / f"a{suffix}"
    np.save(path, image) if suffix == ".npy" else Image.fromarray(image).save(path)
    assert is_image_file(path)
    assert is_what_its_suffix_says(path)
    other = path.rename(tmp_path / "no suffix")
    assert is_image_file(other)
    assert not is_what_its_suffix_says(other)
    cut_short = tmp_path / f"B{suffix.upper()}"
    cut_short.write_bytes(other.read_bytes()[:6])
    assert is_what_its_suffix_says(cut_short)


def test_other_files_are_no_images(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name in ("text.png", "empty.tif", "none.npy", "."):
        assert not is_image_file(tmp_path / name)
        assert not is_what_its_suffix_says(tmp_path / name)
