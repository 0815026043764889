"""Damage every file that is read, stop what writes, and count what came of it.

Run `make fuzz`, or `python scripts/fuzz.py [--share 1.0] [--only NAME]`; `--share 0.02` does a
fiftieth of it. Right is: the same as before, or a refusal in one sentence. The exit status is 1 if
anything else came: another answer, a traceback, no end, too much memory. Not for Windows, which
cannot fork.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from fuzzing import (
    absurd_headers,
    hostile_names,
    json_files,
    projects,
    stopped_runs,
    stored_files,
)
from fuzzing.children import GOOD, warm_up
from fuzzing.image_files import FORMATS, images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Subject = Callable[[Path, float], Iterator[str]]

SUBJECTS: dict[str, Subject] = {
    "stored embeddings": stored_files.stored,
    "tile": stored_files.tile,
    "saved query": stored_files.query,
    "project": projects.projects,
    "JSON of a project": projects.descriptions,
    **{f"image {name}": images(name) for name in FORMATS},
    "JSON of a model: config.json": json_files.model("config.json"),
    "JSON of a model: preprocessor_config.json": json_files.model("preprocessor_config.json"),
    "JSON of a model: index": json_files.model("model.safetensors.index.json"),
    "JSON of what is remembered of a model": json_files.identity,
    "JSON of Zarr": json_files.zarr_metadata,
    "absurd headers of images": absurd_headers.pictures,
    "absurd headers of Zarr": absurd_headers.zarrs,
    "absurd headers of safetensors": absurd_headers.weights,
    "hostile names": hostile_names.names,
    "kill and resume": stopped_runs.kills,
    "two processes": stopped_runs.two_processes,
    "full disk": stopped_runs.full_disk,
    "read-only folders": stopped_runs.read_only,
    "clock": stopped_runs.clock,
}
"""What is tried. A new subject is entered here: from an empty folder and a share of all cases to a
verdict for each case, which is one of `GOOD` or says what is wrong."""


def main() -> int:
    """Run all subjects, or some; print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", choices=list(SUBJECTS), action="append")
    options = parser.parse_args()
    warm_up()
    bad = 0
    print(
        "| what | cases | the same | refused | wrong | seconds |\n|---|---:|---:|---:|---:|---:|"
    )
    for name in options.only or SUBJECTS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            ends = Counter(SUBJECTS[name](Path(folder), options.share))
        wrong = {end: times for end, times in ends.items() if end not in GOOD}
        bad += sum(wrong.values())
        row = [ends.total(), *(ends[end] for end in GOOD), sum(wrong.values())]
        seconds = time.monotonic() - start
        print("|", " | ".join(map(str, [name, *row, f"{seconds:.0f}"])), "|", flush=True)
        for end, times in wrong.items():
            print(f"{name}, {times} times: {end}", file=sys.stderr, flush=True)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
