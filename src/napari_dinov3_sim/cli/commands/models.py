"""``napari-dinov3-sim models``: list the models that can be loaded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones import DEFAULT_MODEL, is_available, list_models
from napari_dinov3_sim.cli.terminal import say, say_table

if TYPE_CHECKING:
    import argparse

    from napari_dinov3_sim.backbones import ModelRecord


def run_models(arguments: argparse.Namespace) -> int:
    """Run the command."""
    entries = [_entry(record) for record in list_models()]
    if arguments.json:
        say(json.dumps({"default": DEFAULT_MODEL, "models": entries}))
        return 0
    say_table(_rows(entries))
    say("")
    say(f"Default: {DEFAULT_MODEL}. A folder, a weights file or a hub id can be named as well.")
    for licence in dict.fromkeys(entry["licence"] for entry in entries):
        say(f"Licence: {licence}")
    return 0


def _entry(record: ModelRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "label": record.label,
        "parameters": record.parameters,
        "dim": record.dim,
        "patch_size": record.patch_size,
        "licence": record.licence,
        "available": is_available(record.name),
        "sources": [source.repo for source in record.sources],
        "note": record.note,
    }


def _rows(entries: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("name", "parameters", "dim", "here", "licence", "note")]
    for entry in entries:
        here = "yes" if entry["available"] else "no"
        licence = entry["licence"].partition(" (")[0]
        size = f"{entry['parameters'] / 1e6:,.1f} M"
        rows.append((entry["name"], size, str(entry["dim"]), here, licence, entry["note"]))
    return rows
