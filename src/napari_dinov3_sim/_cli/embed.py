"""``napari-dinov3-sim embed``: embed images now, search them later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.disk import DiskStore
from napari_dinov3_sim._cli.embedding import (
    Embedded,
    ImageEmbedder,
    describe_model,
    load_model,
    say_model,
)
from napari_dinov3_sim._cli.images import read_all_once
from napari_dinov3_sim._cli.outputs import open_folder, without_repeats
from napari_dinov3_sim._cli.terminal import Bars, note, say, table

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Run the command; each image is written as soon as it is embedded."""
    images = without_repeats(arguments.images)
    read_all_once(images)
    store = DiskStore(open_folder(arguments.out).path, note)
    with Bars() as bars:
        backbone = load_model(arguments.model, arguments.device, arguments.dtype, bars)
        embedder = ImageEmbedder(backbone, store, bars)
        entries = [_entry(embedder.embed(path), store) for path in images]
    if arguments.json:
        written = [entry["embeddings"] for entry in entries if not entry["skipped"]]
        say(json.dumps({**describe_model(backbone), "images": entries, "files": written}))
    else:
        say_model(backbone)
        say(_table(entries))
    return 0


def _entry(embedded: Embedded, store: DiskStore) -> dict[str, Any]:
    state, stored = embedded.state, embedded.stored
    path = stored or store.put(embedded.key, embedded.path.stem, state)
    return {
        "image": str(embedded.path),
        "shape": list(state.image_shape),
        "patches": list(state.grid.shape),
        "dim": state.embeddings_normalized.shape[1],
        "embeddings": str(path),
        "skipped": stored is not None,
    }


def _table(entries: list[dict[str, Any]]) -> str:
    rows = [("image", "patches", "embeddings", "")]
    for entry in entries:
        patches = "{} × {}".format(*entry["patches"])
        state = "was already there" if entry["skipped"] else "written"
        rows.append((entry["image"], patches, entry["embeddings"], state))
    return table(rows)
