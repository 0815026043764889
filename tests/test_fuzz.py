"""A small part of ``make fuzz``: damaged files are refused, or what comes back is the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz.py"


@pytest.mark.parametrize("subject", ["tile", "saved query", "image.tif", "image.png"])
def test_nothing_wrong_comes_of_a_damaged_file(subject):
    command = [sys.executable, str(SCRIPT), "--share", "0.01", "--only", subject]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"| {subject} |" in done.stdout
