"""One flipped bit in a file of this package's own: stored embeddings, a tile, a saved query."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.store import DiskStore
from napari_dinov3_sim.store.query_files import load_query, save_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BODY_FLIPS = 10_000
DIGEST = sha256(b"image").hexdigest()


def flips(content: bytes, share: float) -> Iterator[bytes]:
    """Yield a file with one bit flipped, for every bit of its header and many of its body."""
    header = 8 * (8 + int.from_bytes(content[:8], "little"))
    random = np.random.default_rng(0)
    in_body = random.integers(header, 8 * len(content), int(BODY_FLIPS * share))
    step = max(1, round(1 / share))
    for bit in [*range(0, header, step), *in_body.tolist()]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def absurd(content: bytes) -> Iterator[bytes]:
    """Yield a file of safetensors with a header that promises what cannot be."""
    size = int.from_bytes(content[:8], "little")
    header, body = content[8 : 8 + size], content[8 + size :]
    for length in (0, 1, size - 1, size + 1, 2**31, 2**53, 2**63, 2**64 - 1):
        yield struct.pack("<Q", length) + header + body
    shapes = (b'"shape":[4611686018427387904,8]', b'"shape":[-1,8]', b'"shape":[]')
    start = header.index(b'"shape"')
    end = header.index(b"]", start) + 1
    offsets = header.index(b'"data_offsets"')
    after = header.index(b"]", offsets) + 1
    changes = [(start, end, shape) for shape in shapes]
    ranges = (b"0,18446744073709551615", b"8,0", b"-1,4", b"0", b"1e9,2e9")
    changes += [(offsets, after, b'"data_offsets":[' + one + b"]") for one in ranges]
    changes += [(0, len(header), one) for one in (b"{}", b"[]", b"null", b"[" * 100_000, b"\xff")]
    for begin, until, text in changes:
        changed = header[:begin] + text + header[until:]
        yield struct.pack("<Q", len(changed)) + changed + body


def judged(path: Path, share: float, read: Callable[[], object], same: Callable) -> Iterator[str]:
    """Yield what came of each damaged version of a file."""
    content = path.read_bytes()
    for changed in (*flips(content, share), *absurd(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(changed)
        try:
            found = read()
        except StoreError:
            found = None
        except Exception as error:
            yield f"{type(error).__name__}: {error}"
            continue
        yield "refused" if found is None else "the same" if same(found) else "another answer"


def state() -> PatchImageState:
    """Return embeddings of an image of 40 × 50 pixels."""
    vectors = np.random.default_rng(0).normal(size=(12, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return PatchImageState(vectors, PatchGrid((40, 50), 16), "model:1", IntensityWindow(0, 255))


def stored(folder: Path, share: float) -> Iterator[str]:
    """Flip bits of embeddings in a store."""
    store, wanted = DiskStore(folder, warn=lambda _: None), state()
    path = store.put(DIGEST, wanted)
    yield from judged(
        path,
        share,
        lambda: store.get(DIGEST),
        lambda found: (
            np.array_equal(found.vectors, wanted.vectors)
            and (found.fingerprint, found.window) == (wanted.fingerprint, wanted.window)
            and found.image_shape == wanted.image_shape
        ),
    )


def tile(folder: Path, share: float) -> Iterator[str]:
    """Flip bits of a tile of an interrupted run."""
    tiles, wanted = DiskStore(folder, warn=lambda _: None).tiles(DIGEST), state().vectors
    tiles.put(7, wanted.reshape(3, 4, 8))
    path = next(folder.rglob("*.tile.safetensors"))
    yield from judged(
        path,
        share,
        lambda: tiles.get(7),
        lambda found: np.array_equal(found.reshape(12, 8), wanted),
    )


def query(folder: Path, share: float) -> Iterator[str]:
    """Flip bits of a saved query."""
    vectors = state().vectors
    one = SavedClass("gland", "#00ffff", vectors[:3], vectors[3:4], threshold=-0.05)
    path = save_query(SavedQuery((one,), "auto", "f" * 64, "builtin", 16, 1.0), folder / "q")

    def same(found: SavedQuery) -> bool:
        (other,) = found.classes
        return (
            np.array_equal(other.positives, one.positives)
            and np.array_equal(other.negatives, one.negatives)
            and (other.name, found.fingerprint, found.combination) == ("gland", "f" * 64, "auto")
            and other.threshold == one.threshold
        )

    yield from judged(path, share, lambda: load_query(path), same)
