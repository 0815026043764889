"""The layout of the package: who may import whom, how large a folder is, one word for one thing.

Each rule is a function of source text, so that a small source can show that it finds a violation.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imports import PACKAGE, ROOT, SOURCES, imported_names, module_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REPOSITORY = ROOT.parents[1]

# --- what a module imports ---------------------------------------------------------------------

Graph = dict[str, set[str]]
"""For each module the modules of the package that it names in an import."""


def import_graph(sources: Mapping[str, str], packages: Iterable[str] = ()) -> Graph:
    """Return what each module imports.

    Parameters
    ----------
    sources : mapping of str to str
        Text by the module's name in the package, such as ``core.state``.
    packages : iterable of str
        Those that are an ``__init__.py``.
    """
    modules = {f"{PACKAGE}.{name}".removesuffix("."): name for name in sources}
    graph = {}
    for full, name in modules.items():
        found = imported_names(sources[name], full, name in set(packages))
        # ``from package import module`` names both, and means the module alone.
        for package in found & {f"{PACKAGE}.{package}".removesuffix(".") for package in packages}:
            members = {target for target in found if target.rpartition(".")[0] == package}
            if members and members <= set(modules):
                found = found - {package}
        graph[name] = {modules[target] for target in found if target in modules} - {name}
    return graph


@functools.cache
def graph_of_package() -> Graph:
    names = {module_name(path).removeprefix(PACKAGE).lstrip("."): path for path in SOURCES}
    packages = [name for name, path in names.items() if path.name == "__init__.py"]
    return import_graph({n: p.read_text(encoding="utf-8") for n, p in names.items()}, packages)


# --- no circles --------------------------------------------------------------------------------


def circle(graph: Graph) -> list[str]:
    """Return the modules of one import circle, or nothing."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert circle(graph_of_package()) == []


@pytest.mark.parametrize(
    "back",
    [
        "from napari_dinov3_sim.core.state import PatchImageState",
        "from napari_dinov3_sim.core import state",
        "from .state import PatchImageState",
        "import napari_dinov3_sim.core.state",
        "def later():\n    from napari_dinov3_sim import PatchImageState",
        "if TYPE_CHECKING:\n    from napari_dinov3_sim.core.state import PatchImageState",
    ],
)
def test_a_circle_is_found(back):
    there = "from napari_dinov3_sim.core.geometry import PatchGrid"
    sources = {"core": "", "core.state": there, "core.geometry": back}
    assert set(circle(import_graph(sources, ["core"]))) == {"core.state", "core.geometry"}
    assert circle(import_graph(sources | {"core.geometry": "import numpy"}, ["core"])) == []


# --- each folder imports only those below it -----------------------------------------------------

ORDER = {
    "": """
        versions < core < store, readers < backbones, exchange < session < __init__, sample_data
        < widget < cli < __main__
    """,
    "core": """
        errors, text, protocols, resident, __init__ < vectors < geometry < images < state
        < embedding < search < objects < evaluation
    """,
    "store": """
        atomic_files, digest < safetensors_io
        < disk_folder, peak_csv, project, query_files, tile_cache < disk, object_csv, stored_search
        < embedding_store < cached_embedding, __init__
    """,
    "readers": """
        errors, image_layer, lazy, __init__ < addresses, axes, tiff_metadata, pictures
        < numpy_files, tiff, zarr_folders < reader < file_stack
    """,
    "backbones": """
        errors, background_import < registry < files, architecture, devices < backbone, engines
        < identity < loading, lazy_model < __init__ < loader
    """,
    "session": """
        layer_metadata, file_reader < images < worker_messages < runner, guard < embedding,
        answering < objects < resolved_state < layers, scene < interaction < query < results,
        status, edits < exports, gallery, measurements, tracking < discovery, file_search
        < coordinator < project < session < __init__
    """,
    "widget": """
        activity, dialogs, focus, layer_list, match_list, preferences, qt_runner < views < table
        < file_search_panel, suggestions_page < controllers < dock < commands, __init__
        < project_reader
    """,
    "widget.controllers": """
        base, __init__ < exports, heatmaps, images, navigation, project, query, results, pages
        < keys < dock
    """,
    "cli": """
        terminal, __init__ < errors, model < reading, embeddings < tasks < planes, cluster
        < output, regions < pipeline, comparison < commands < parser
    """,
}
"""What lies in a folder, bottom up: each may import what stands left of a sign, not beside it."""


def ranks_of(order: str) -> dict[str, int]:
    floors = [[name.strip() for name in floor.split(",")] for floor in order.split("<")]
    return {name: rank for rank, floor in enumerate(floors) for name in floor}


def upward_imports(graph: Graph, folder: str, order: str) -> list[str]:
    """Return the imports within a folder from one of its parts to one that is not below it."""
    ranks = ranks_of(order)
    found = []
    for module, targets in graph.items():
        for target in targets:
            one, other = part_of(module, folder), part_of(target, folder)
            if one and other and one != other and ranks[other] >= ranks[one]:
                found.append(f"{module} imports {target}")
    return found


def part_of(module: str, folder: str) -> str:
    """Return the file or folder directly in a folder to which a module belongs, if it does."""
    if folder:
        if module == folder:
            return "__init__"
        if not module.startswith(f"{folder}."):
            return ""
        module = module.removeprefix(f"{folder}.")
    return module.split(".")[0] or "__init__"


def parts_on_disk(folder: str) -> set[str]:
    here = ROOT / folder.replace(".", "/")
    folders = {path.name for path in here.iterdir() if any(path.glob("*.py"))}
    return folders | {path.stem for path in here.glob("*.py")}


@pytest.mark.parametrize("folder", ORDER)
def test_each_folder_imports_only_those_below_it(folder):
    assert parts_on_disk(folder) == set(ranks_of(ORDER[folder])), "name these in ORDER"
    assert upward_imports(graph_of_package(), folder, ORDER[folder]) == []


def test_every_folder_that_holds_folders_has_an_order():
    holding = {path.parents[1] for path in ROOT.rglob("*/*.py") if path.parent != ROOT}
    names = {".".join(path.relative_to(ROOT).parts) for path in holding}
    assert names <= set(ORDER)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("session.images.planes", "from napari_dinov3_sim.session.worker_messages import Message"),
        ("session.images.planes", "from napari_dinov3_sim.session.layers import style"),
        ("session.layers.style", "from napari_dinov3_sim.session.scene import Scene"),  # beside it
        ("session.scene", "def f():\n    from napari_dinov3_sim.session.query import points"),
        ("session.scene", "from napari_dinov3_sim.session import coordinator"),
    ],
)
def test_an_import_of_a_folder_above_is_found(module, source):
    names = ["session", "session.layers", "session.query", "session.images"]
    empty = ["session.worker_messages", "session.layers.style", "session.query.points"]
    empty += ["session.scene", "session.coordinator"]
    sources = dict.fromkeys([*names, *empty], "") | {module: source}
    graph = import_graph(sources, names)
    assert len(upward_imports(graph, "session", ORDER["session"])) == 1


def test_an_import_of_a_folder_below_is_none():
    sources = {
        "session": "",
        "session.images": "",
        "session.images.planes": "from napari_dinov3_sim.session.images import target",
        "session.images.target": "",
        "session.scene": "from napari_dinov3_sim.session.images.planes import Plane",
    }
    graph = import_graph(sources, ["session", "session.images"])
    assert graph["session.scene"] == {"session.images.planes"}
    assert upward_imports(graph, "session", ORDER["session"]) == []


# --- small folders, names that stand once --------------------------------------------------------

MOST_MODULES = 12


def crowded_folders(paths: Iterable[Path]) -> list[str]:
    """Return the folders with more modules than a reader takes in at once."""
    counts = Counter(path.parent for path in paths if path.name != "__init__.py")
    return [f"{folder} holds {count}" for folder, count in counts.items() if count > MOST_MODULES]


def test_no_folder_holds_many_modules():
    assert crowded_folders(path.relative_to(ROOT) for path in SOURCES) == []


def test_a_folder_of_many_modules_is_found():
    paths = [Path("core", f"m{number}.py") for number in range(MOST_MODULES)]
    assert crowded_folders([*paths, Path("core", "__init__.py")]) == []
    assert crowded_folders([*paths, Path("core", "one_more.py")]) == ["core holds 13"]


def repeated_names(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the public classes and functions that several modules define, and which do."""
    found = defaultdict(list)
    for module, source in sources.items():
        for node in ast.parse(source).body:
            defines = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if defines and not node.name.startswith("_"):
                found[node.name].append(module)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def test_no_two_modules_define_a_public_name():
    sources = {module_name(path): path.read_text(encoding="utf-8") for path in SOURCES}
    assert repeated_names(sources) == {}


def test_a_public_name_in_two_modules_is_found():
    one = "class Place: ...\ndef _run(): ...\nclass Other:\n    def run(self): ..."
    two = "from a import Other\ndef _run(): ...\ndef run(): ..."
    assert repeated_names({"a": one, "b": two}) == {}
    assert repeated_names({"a": one, "b": f"{two}\ndef Place(): ..."}) == {"Place": ["a", "b"]}


# --- one word for one thing ----------------------------------------------------------------------

FORMER_WORDS = re.compile(r"\b(kinds?|winners?|mishaps?|atlas|wishes|calm(ly)?)\b", re.IGNORECASE)
"""Words of earlier versions: a class and a class map are called so everywhere."""

READING_OLD_FILES = {
    ("src/napari_dinov3_sim/cli/output/files.py", 'FORMER_CLASS_MAP = ".winner.tif"'),
    ("src/napari_dinov3_sim/cli/parser.py", '"--kind",  # its name before 0.2'),
    ("src/napari_dinov3_sim/session/query/point_features.py", 'FORMER_CLASS = "kind"'),
    (
        "src/napari_dinov3_sim/store/query_files.py",
        '"""Its list of classes was called ``kinds``; such files go on being read."""',
    ),
    (
        "src/napari_dinov3_sim/store/query_files.py",
        'listed = description["classes" if "classes" in description else "kinds"]',
    ),
}
"""Where such a word has to stay, because users may have files and scripts that have it."""

MADE = ("docs/_build/", "docs/api/generated/")


def former_words(name: str, text: str) -> set[tuple[str, str]]:
    """Return the lines of a file that have such a word."""
    return {(name, line.strip()) for line in text.splitlines() if FORMER_WORDS.search(line)}


def texts() -> dict[str, str]:
    """Return all text files of the package and of its documentation, by path."""
    paths = [REPOSITORY / "README.md"]
    for folder in ("src", "docs"):
        paths += [path for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
    found = {}
    for path in paths:
        name = path.relative_to(REPOSITORY).as_posix()
        content = path.read_bytes()
        if b"\0" not in content and not name.startswith(MADE):
            found[name] = content.decode("utf-8", errors="replace")
    return found


def test_former_words_stand_only_where_old_files_are_read():
    found = set().union(*(former_words(name, text) for name, text in texts().items()))
    assert found - READING_OLD_FILES == set(), "use the words of the glossary"
    assert READING_OLD_FILES - found == set(), "these are gone; take them off the list"


def test_what_is_searched_for_former_words():
    names = set(texts())
    assert {"README.md", "docs/tutorial.md", "src/napari_dinov3_sim/napari.yaml"} <= names
    assert {"src/napari_dinov3_sim/__init__.py", "docs/conf.py"} <= names
    assert not any(name.endswith((".png", ".pyc", ".safetensors")) for name in names)


@pytest.mark.parametrize(
    "line",
    ["the Winner", "kind_of = x.kind", "two kinds:", "`atlas.py`", "calmly", '"mishap"', "wishes"],
)
def test_a_former_word_is_found(line):
    assert former_words("a.md", f"first\n  {line}\n") == {("a.md", line)}


@pytest.mark.parametrize("line", ['casting="same_kind"', "class_kind", "kindly", "wish", "calmer"])
def test_a_word_that_is_longer_is_another(line):
    assert former_words("a.md", line) == set()


# --- a test waits for an event, not for a while --------------------------------------------------

TESTS = REPOSITORY / "tests"
MAY_WAIT = {TESTS / "patience.py", Path(__file__)}

TIMED = re.compile(
    r"""
    \bsleep\(                                                 # waits for a while
    | \bqtbot\.wait\( | \bqWait\b                             # and so do these
    | \b(wait|join|result|acquire|communicate)\(\d*\.?\d*[1-9]  # a limit of its own
    | \btimeout=\d*\.?\d*[1-9]
    | \b(monotonic|perf_counter)\(\)\s*\+\s*\d                # the same by hand
    | \b(monotonic|perf_counter)\(\)\s*-\s*\w+\s*<            # a computer may be slower than that
    """,
    re.VERBOSE,
)


def timed_waits(name: str, text: str) -> list[str]:
    """Return the lines of a test that depend on how fast a computer is."""
    return [f"{name}: {line.strip()}" for line in text.splitlines() if TIMED.search(line)]


def test_tests_wait_for_events():
    found = []
    for path in sorted(set(TESTS.rglob("*.py")) - MAY_WAIT):
        found += timed_waits(path.name, path.read_text(encoding="utf-8"))
    assert found == [], "wait for what is to come, with the functions of patience.py"


@pytest.mark.parametrize(
    "line",
    [
        "time.sleep(0.1)",
        "qtbot.wait(20)",
        "QTest.qWait(5)",
        "session.wait(20)",
        "thread.join(0.5)",
        "gate.wait(timeout=5)",
        "end = time.monotonic() + 5",
        "assert time.perf_counter() - start < 1",
        "future.result(10)",
    ],
)
def test_a_wait_for_a_while_is_found(line):
    assert timed_waits("test.py", f"first\n    {line}\n") == [f"test.py: {line}"]


@pytest.mark.parametrize(
    "line",
    [
        "qtbot.waitUntil(lambda: done)",
        "session.wait(PATIENCE)",
        "session.wait(0)",
        "assert gate.wait(PATIENCE)",
        "thread.join()",
        "def deliver(self, timeout=0.0):",
        '", ".join(names)',
        "start = time.monotonic()",
        'monkeypatch.setattr(time, "sleep", pauses.append)',
    ],
)
def test_a_wait_for_an_event_is_none(line):
    assert timed_waits("test.py", line) == []
