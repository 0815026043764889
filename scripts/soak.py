"""Do everything that a user can do in random order, for some time; compare all that is seen.

Run `make soak MINUTES=60`, or `python scripts/soak.py --minutes 60 [--seed N]`. Each round runs
the machines of `tests/session/test_stateful.py` with a new random seed in a process of its own.
The seed of a round that fails is printed together with the command that repeats it; the exit
status is 1 then.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests" / "session" / "test_stateful.py"
EXAMPLES = 40
"""Sequences of 50 steps in a round."""


def main() -> int:
    """Run rounds until time is up; print the seeds that failed and how many steps were taken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="run one round with this seed")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    rounds = steps = 0
    failed = []
    while not rounds or (options.seed is None and time.monotonic() < deadline):
        seed = secrets.randbelow(2**31) if options.seed is None else options.seed
        done, output = run_round(seed)
        rounds, steps = rounds + 1, steps + steps_in(output)
        if done:
            failed.append(seed)
            print(output)
            print(f"Failed. Again: python scripts/soak.py --seed {seed}", flush=True)
        print(
            f"round {rounds}, seed {seed}: {steps} steps so far, {len(failed)} failed", flush=True
        )
    return int(bool(failed))


def run_round(seed: int) -> tuple[int, str]:
    """Run all machines with a seed; return the exit status and what was printed."""
    environment = {**os.environ, "STATEFUL_RANDOM": "1", "STATEFUL_EXAMPLES": str(EXAMPLES)}
    options = ["-q", "-s", "--tb=short", f"--hypothesis-seed={seed}", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(TESTS)]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def steps_in(output: str) -> int:
    """Return how many steps the machines say that they took."""
    return sum(int(number) for number in re.findall(r"^\s*\.?(\d+) steps$", output, re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main())
