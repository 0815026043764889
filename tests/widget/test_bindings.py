"""What is called of Qt is what all of its bindings for Python have."""

from __future__ import annotations

import ast
from pathlib import Path

WIDGET = Path(__file__).resolve().parents[2] / "src" / "napari_dinov3_sim" / "widget"


def test_single_shots_have_no_receiver():
    """PySide6 takes one between the time and the function, PyQt6 does not."""
    calls = [
        (path.name, node.lineno, len(node.args))
        for path in sorted(WIDGET.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".singleShot")
    ]
    assert calls
    assert [call for call in calls if call[2] != 2] == []
