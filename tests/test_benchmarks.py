"""Benchmarks import what is there and are all described; one that fails does not stop the rest."""

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
BY_HAND = "Above all.\n\n### Words only\n\nNo table.\n\n### By hand\n\n```text\n9 s\n```\n"
PAGE = f"# Page\n\n<!-- measured: begin -->\n\n{BY_HAND}\n<!-- measured: end -->\n\nEnd.\n"


def names_of(path):
    """Return what a script defines at its top level."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    named = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    return {*named, *(target.id for target in targets if isinstance(target, ast.Name))}


def is_in(module, name):
    """Whether a module has a name, or a package a module that nothing has imported yet."""
    found = importlib.import_module(module)
    return hasattr(found, name) or (
        hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_from_the_project_is_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        wanted = {alias.name for alias in node.names}
        if (beside := FOLDER / f"{node.module}.py").exists():
            assert wanted <= names_of(beside), node.module
        elif node.module.split(".")[0] == "napari_dinov3_sim":
            missing = [name for name in wanted if not is_in(node.module, name)]
            assert missing == [], node.module


def test_every_benchmark_is_in_the_table_of_the_page():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(bench_\w+\.py)` \|", page, re.M)
    assert sorted(listed) == [path.name for path in SCRIPTS if path.name != "common.py"]


@pytest.fixture
def bench_all(tmp_path, monkeypatch):
    """bench_all with two good parts, one that fails and one that cannot be measured."""
    spec = importlib.util.spec_from_file_location("bench_all", FOLDER / "bench_all.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_all", module)
    spec.loader.exec_module(module)
    scripts = {"one": "print('1 s')", "bad": "1 / 0", "gpu": "exit(77)", "two": "print('2 s')"}
    (tmp_path / "benchmarks").mkdir()
    for name, text in scripts.items():
        (tmp_path / "benchmarks" / f"{name}.py").write_text(text)
    (tmp_path / "page.md").write_text(PAGE)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "benchmarks")
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")
    parts = {name: module.Part(f"Part {name}", f"{name}.py") for name in scripts}
    monkeypatch.setattr(module, "PARTS", parts)
    return module


def test_a_part_that_fails_is_named_and_the_others_go_on(bench_all, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench_all.py"])
    with pytest.raises(SystemExit, match="1"):
        bench_all.main()
    told = capsys.readouterr().out.split("== all")[1]
    assert re.findall(r"^(\w+) +(\w+)", told, re.M) == [
        ("one", "measured"),
        ("bad", "failed"),
        ("gpu", "not"),
        ("two", "measured"),
    ]
    page = bench_all.PAGE.read_text()
    assert re.findall("^### (.*)", page, re.M) == ["Words only", "By hand", "Part one", "Part two"]
    assert "python benchmarks/two.py" in page
    assert "```text\n2 s\n```" in page
    assert page.endswith("<!-- measured: end -->\n\nEnd.\n")


def test_a_part_that_is_measured_again_replaces_only_itself(bench_all, monkeypatch):
    for only, printed in (("one", "1 s"), ("two", "2 s"), ("one", "3 s")):
        (bench_all.FOLDER / f"{only}.py").write_text(f"print('{printed}')")
        monkeypatch.setattr("sys.argv", ["bench_all.py", "--only", only])
        bench_all.main()
    assert re.findall(r"```text\n(.*)\n```", bench_all.PAGE.read_text()) == ["9 s", "3 s", "2 s"]


def test_what_was_written_by_hand_stays(bench_all, monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench_all.py", "--only", "two"])
    bench_all.main()
    page = bench_all.PAGE.read_text().replace("2 s\n```\n", "2 s\n```\n\nWhat it means.\n")
    bench_all.PAGE.write_text(page)
    bench_all.main()
    assert bench_all.PAGE.read_text() == page
    monkeypatch.setattr("sys.argv", ["bench_all.py", "--only", "one"])
    bench_all.main()
    page = bench_all.PAGE.read_text()
    assert BY_HAND in page
    assert "What it means.\n\n<!-- measured: end -->" in page


def test_a_quick_run_writes_nothing(bench_all, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench_all.py", "--quick", "--only", "two"])
    bench_all.main()
    assert "2 s" in capsys.readouterr().out
    assert bench_all.PAGE.read_text() == PAGE
