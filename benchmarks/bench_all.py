"""Runs the benchmarks, prints their tables and writes them into docs/benchmarks.md.

Run `python benchmarks/bench_all.py [--quick] [--only embed large]`, or `make bench`. It takes a
quarter of an hour on two cores that have nothing else to do; `--quick` takes one or two minutes
and writes nothing. The tables in docs/benchmarks.md between the two marks are replaced, part by
part: with `--only`, the others stay, and so does what was written below a table, or in a part of
its own. A part that fails, or that this machine cannot measure, is named at the end; the others go
on, and the page keeps what it had of it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->"


@dataclass(frozen=True)
class Part:
    """A script, what it tells, and the options that make it quick."""

    title: str
    script: str
    options: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()

    def command(self, *, quick: bool) -> list[str]:
        """Return the arguments of Python."""
        return [f"benchmarks/{self.script}", *(self.quick if quick else self.options)]


PARTS = {
    "embed": Part(
        "Seconds per megapixel",
        "bench_embed.py",
        quick=("--sides", "512", "--repeats", "2"),
    ),
    "peers": Part(
        "Beside other programs",
        "bench_peers.py",
        options=("--sides", "1024", "2048"),
        quick=("--sides", "256", "--repeats", "1"),
    ),
    "large": Part(
        "Large images: flat cost, bounded memory, counted chunks, a run that is resumed",
        "bench_large.py",
        quick=("--sides", "512", "--resumed", "2048"),
    ),
    "answer": Part(
        "A click on N patches",
        "bench_answer.py",
        quick=("--patches", "65536", "--repeats", "3"),
    ),
    "click": Part(
        "From a click to the heatmaps",
        "bench_click.py",
        quick=("--side", "256", "--targets", "1", "--clicks", "3"),
    ),
    "store": Part(
        "The store",
        "bench_store.py",
        options=("--repeats", "3"),
        quick=("--sides", "512", "--repeats", "1"),
    ),
    "reopen": Part(
        "The first click after a restart",
        "bench_reopen.py",
        options=("--sides", "1024", "--repeats", "3"),
        quick=("--sides", "256", "--repeats", "1", "--pause", "0"),
    ),
    "reading": Part(
        "Many files: the share of the model",
        "bench_reading.py",
        quick=("--files", "1", "--side", "256", "--repeats", "1"),
    ),
    "search": Part(
        "A search over stored images",
        "bench_search.py",
        quick=("--images", "20", "--side", "256", "--repeats", "1"),
    ),
    "startup": Part(
        "Opening the dock",
        "bench_startup.py",
        options=("--repeats", "3"),
        quick=("--repeats", "1"),
    ),
    "matches": Part("Matches of a stereo pair", "bench_matches.py"),
    "roofline": Part(
        "On a GPU, on paper",
        "bench_roofline.py",
        quick=("--models", "S"),
    ),
    "gpu": Part(
        "On a GPU: the fraction of its bfloat16 speed",
        "bench_gpu.py",
        quick=("--models", "S", "--side", "1024", "--repeats", "1"),
    ),
}

OUTCOMES = {0: "measured", 77: "not measured: this machine has no GPU"}
"""What the exit code of a part means; any other one is a failure."""


def main() -> None:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    outcomes = {}
    for name in options.only:
        code, text = measure(PARTS[name], quick=options.quick)
        outcomes[name] = OUTCOMES.get(code, f"failed, exit code {code}")
        if not code and not options.quick:
            write(PARTS[name], text)
    print("\n== all", *(f"{name:8} {outcome}" for name, outcome in outcomes.items()), sep="\n")
    if not set(outcomes.values()) <= set(OUTCOMES.values()):
        raise SystemExit(1)


def measure(part: Part, *, quick: bool) -> tuple[int, str]:
    """Run a part and show what it prints; return the exit code, and its text for the page."""
    command = part.command(quick=quick)
    threads = os.environ.get("OMP_NUM_THREADS")
    shown = f"{f'OMP_NUM_THREADS={threads} ' if threads else ''}python {' '.join(command)}"
    print(f"\n== {shown}", flush=True)
    before, start = load(), time.perf_counter()
    lines = []
    with subprocess.Popen(
        [sys.executable, "-u", *command], cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    seconds = time.perf_counter() - start
    date = datetime.datetime.now(datetime.UTC).date()
    about = f"{date}, {machine()}; other work before it began: {before}; {seconds:.0f} s."
    text = f"`{shown}`\n\n{about}\n\n```text\n{''.join(lines)}```\n"
    return process.returncode, text


def load() -> str:
    """Return the load of the machine, as the system counts it."""
    return f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"


def machine() -> str:
    """Return which processor it is and how many cores there are."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return f"{found[1] if found else platform.processor()}, {os.cpu_count()} cores"


def write(part: Part, text: str) -> None:
    """Put a part in its place on the page; all that stands below its table stays."""
    page = PAGE.read_text()
    first, last = page.index(BEGIN) + len(BEGIN), page.index(END)
    above, *sections = re.split(r"^(?=### )", page[first:last], flags=re.M)
    titles = [section.partition("\n")[0].removeprefix("### ") for section in sections]
    if part.title in titles:
        at = titles.index(part.title)
        below = re.sub(r"\A.*?^```text\n.*?^```\n", "", sections.pop(at), flags=re.M | re.S)
    else:
        order = [one.title for one in PARTS.values()]
        later = order[order.index(part.title) :]
        at = next((n for n, title in enumerate(titles) if title in later), len(titles))
        below = "\n"
    sections.insert(at, f"### {part.title}\n\n{text}{below}")
    PAGE.write_text(page[:first] + above + "".join(sections) + page[last:])


if __name__ == "__main__":
    main()
