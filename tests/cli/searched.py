"""A search of one click, and what it has written."""

from __future__ import annotations

import csv
from pathlib import Path

import tifffile

OPTIONS = ("--out", "out", "--model", "builtin", "--overwrite", "--json")
CLICK = ("--at", 20, 9)


def cosine(name):
    return tifffile.imread(f"out/{name}.cosine.tif")


def peaks(name):
    with Path(f"out/{name}.peaks.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
