"""What README and documentation say is run, looked up or compared with the code."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import yaml

import napari_dinov3_sim as nds
from napari_dinov3_sim.cli import parser as cli
from patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/napari-dinov3-sim/napari-dinov3-sim"
RAW = "https://raw.githubusercontent.com/napari-dinov3-sim/napari-dinov3-sim/main/"

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[(?:[^\]]*)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def snippets(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language, without the indent of the list they may stand in."""
    found = FENCE.findall(path.read_text(encoding="utf-8"))
    return [
        "\n".join(line.removeprefix(indent) for line in body.splitlines())
        for indent, name, body in found
        if name == language
    ]


def shell_lines(path: Path) -> list[str]:
    return [line for block in snippets(path, "sh") for line in block.splitlines() if line]


def with_snippets(language: str) -> list[Path]:
    return [path for path in PAGES if snippets(path, language)]


# --- Python ------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch):
    """No snippet may need the network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def run_python(tmp_path, monkeypatch, offline):
    """Run the Python snippets of a page one after the other, as a reader would."""
    ran = {"__name__": "__main__"}

    def run(path):
        monkeypatch.chdir(tmp_path)
        for number, code in enumerate(snippets(path, "python"), start=1):
            exec(compile(code, f"{name_of(path)}, snippet {number}", "exec"), ran)
        return ran

    yield run
    if "session" in ran:
        ran["session"].close()


@pytest.mark.slow
@pytest.mark.parametrize("path", with_snippets("python"), ids=name_of)
def test_python_snippets_run(path, run_python, monkeypatch, capsys):
    import napari
    from napari.components import ViewerModel

    monkeypatch.setattr(napari, "Viewer", ViewerModel)
    monkeypatch.setattr(napari, "run", lambda: None)
    ran = run_python(path)
    if "session" in ran:
        ran["session"].wait(PATIENCE)
        assert set(ran["session"].heatmaps) == set(ran["session"].images)
        assert len(ran["session"].images) == 2
    promised = re.findall(r"\.shape\) *# (\([\d, ]+\)):", path.read_text(encoding="utf-8"))
    assert capsys.readouterr().out.splitlines()[: len(promised)] == promised


@pytest.mark.gui
def test_the_readme_runs_in_a_real_viewer(make_napari_viewer, run_python, monkeypatch):
    import napari

    monkeypatch.setattr(napari, "Viewer", make_napari_viewer)
    monkeypatch.setattr(napari, "run", lambda: None)
    ran = run_python(ROOT / "README.md")
    assert ran["session"].heatmaps[ran["right"]] in ran["viewer"].layers
    assert ran["session"].heatmaps[ran["right"]].name == "right · class 1"


MODULES = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "src").rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


def test_some_module_has_an_example():
    assert MODULES


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_run(module, offline):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


# --- the shell ---------------------------------------------------------------------------------

TARGETS = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
HUB_COMMANDS = {source.command for record in nds.list_models() for source in record.sources}


@pytest.fixture(scope="module")
def builtin():
    return nds.load_backbone("builtin", device="cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch, offline, builtin):
    """Return an empty current folder; the built-in model is loaded once for all commands."""
    from napari_dinov3_sim.backbones import loading

    real = loading.load_backbone

    def load(model, **options):
        return builtin if model == "builtin" else real(model, **options)

    monkeypatch.setattr(loading, "load_backbone", load)
    monkeypatch.setattr("napari_dinov3_sim.cli.commands.demo.has_screen", lambda: False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_line(line: str) -> None:
    """Run a line of the shell if it is ours; else see that what it names is there."""
    words = shlex.split(line)
    if re.match(r"[A-Z_]+=", words[0]):  # a variable of the environment
        words = words[1:]
    if words[0] == "bash":  # a script that runs the rest on a screen
        assert (ROOT / words[1]).is_file(), line
        words = words[2:]
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "napari-dinov3-sim":
        assert cli.main(arguments) == 0, line
    elif program == "python" and arguments[0] == "-c":
        exec(arguments[1], {})
    else:
        assert _names_what_is_there(program, arguments, line), f"not checked: {line}"


def _names_what_is_there(program: str, arguments: list[str], line: str) -> bool:
    if program == "make":
        return arguments[0] in TARGETS and _tests_exist(arguments[1:])
    if program == "python3":
        return arguments[:2] == ["-m", "venv"]
    if program == "source":
        return arguments[0].endswith("/bin/activate")
    if program == "python" and arguments[:2] == ["-m", "pytest"]:
        return _tests_exist(arguments[2:])
    if program == "python":
        source = text_of(arguments[0])
        return all(f'"{word}"' in source for word in arguments if word.startswith("--"))
    if program == "pip":
        return arguments[0] in ("install", "download", "uninstall") and _is_ours(line)
    if program == "hf":
        return line.partition(" --local-dir ")[0].strip() in HUB_COMMANDS
    if program == "git":
        return arguments == ["clone", REPOSITORY]
    if program == "cd":
        return arguments == [REPOSITORY.rpartition("/")[2]]
    return (ROOT / program).is_file() and os.access(ROOT / program, os.X_OK)


def _is_ours(text: str) -> bool:
    """Whether a line installs this package, with extras that it has."""
    extras = re.findall(rf"{PROJECT['name']}\[([\w,]+)\]", text)
    there = PROJECT["optional-dependencies"]
    return PROJECT["name"] in text and all(e in there for each in extras for e in each.split(","))


def test_extras_named_in_the_text_exist():
    """In examples for other installers, too, which no test can run."""
    for path in PAGES:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert f"{PROJECT['name']}[" not in line or _is_ours(line), f"{name_of(path)}: {line}"


def _tests_exist(words: list[str]) -> bool:
    names = re.findall(r"tests/[\w/.]+", " ".join(words))
    return all((ROOT / name).exists() for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("path", with_snippets("sh"), ids=name_of)
def test_shell_snippets_run(path, folder):
    for line in shell_lines(path):
        run_line(line)
    if path.name == "README.md":
        names = {written.name for written in (folder / "results").iterdir()}
        ends = (".cosine.tif", ".heatmap.png", ".labels.tif", ".peaks.csv")
        assert names == {f"{stem}{end}" for stem in ("left", "right") for end in ends}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_named_in_the_text_exist(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)", text):
        assert target in TARGETS
    for command in re.findall(r"`napari-dinov3-sim ([a-z]+)", text):
        assert command in cli._COMMANDS


@pytest.mark.skipif(shutil.which("make") is None, reason="Windows has none")
def test_make_lists_every_target_in_a_line():
    phony = re.search(r"^\.PHONY: (.+)$", text_of("Makefile"), re.MULTILINE)
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert phony
    assert [line.split()[0] for line in done.stdout.splitlines()] == phony[1].split()
    assert all(len(line) <= 110 and len(line.split()) > 1 for line in done.stdout.splitlines())


# --- links and pictures ------------------------------------------------------------------------


def slugs(path: Path) -> set[str]:
    headings = HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def local_file(target: str, page: Path) -> Path | None:
    """The file of this repository that a link means, None for a link to elsewhere."""
    for prefix in (RAW, f"{REPOSITORY}/blob/main/"):
        if target.startswith(prefix):
            return ROOT / target.removeprefix(prefix)
    if urlparse(target).scheme:
        return None
    return (page.parent / target).resolve() if target else page


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_and_pictures_lead_somewhere(path):
    for _, link in LINK.findall(path.read_text(encoding="utf-8")):
        target, _, fragment = link.partition("#")
        file = local_file(target, path)
        if file is None:
            continue
        assert file.is_file(), f"{link} leads nowhere"
        if fragment:
            assert fragment in slugs(file), f"{link} leads to no heading"


def test_links_of_the_readme_work_outside_the_repository():
    """PyPI and the napari hub show it without the rest of the repository."""
    links = LINK.findall(text_of("README.md"))
    assert any(picture for picture, _ in links)
    for picture, link in links:
        assert link.startswith(RAW if picture else "https://"), link


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_files_named_in_the_text_exist(path):
    """In backquotes: from the top of the repository, or from the package."""
    places = (ROOT, ROOT / "src" / "napari_dinov3_sim", DOCS)
    text = path.read_text(encoding="utf-8")
    starts = "src|tests|docs|scripts|benchmarks|core|backbones|store|session|widget|cli"
    for name in re.findall(rf"`((?:{starts})/[\w/.]*)`", text):
        made = name.startswith("docs/_build")
        assert made or any((place / name).exists() for place in places), name


# --- what the documentation takes from the code ------------------------------------------------


@pytest.fixture(scope="module")
def generated():
    pytest.importorskip("docutils")
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        yield importlib.import_module("from_the_code")
    finally:
        sys.path.remove(str(DOCS / "_ext"))
        sys.modules.pop("from_the_code", None)


def test_the_table_of_models_has_every_model(generated):
    assert [row[0] for row in generated.model_rows()] == [m.name for m in nds.list_models()]
    assert all(len(row) == len(generated.COLUMNS) for row in generated.model_rows())
    table = generated.table(generated.COLUMNS, generated.model_rows(), (0,))
    cells = [cell.astext() for cell in table.findall(generated.nodes.paragraph)]
    assert cells == [cell for row in [generated.COLUMNS, *generated.model_rows()] for cell in row]
    assert "```{model-table}" in text_of("docs/models.md")


def test_the_table_of_sources_has_every_source(generated):
    sources = {source.repo for model in nds.list_models() for source in model.sources}
    assert {repo for row in generated.source_rows() for repo in row[1:]} == sources
    assert "```{source-table}" in text_of("docs/models.md")


def test_the_table_of_keys_has_every_key_of_the_dock(generated, qapp):
    from napari.components import ViewerModel

    from napari_dinov3_sim.session.runner import InlineRunner
    from napari_dinov3_sim.widget import SimilarityWidget
    from napari_dinov3_sim.widget.controllers.keys import CLASS_KEYS

    viewer = ViewerModel()
    viewer.add_image(np.zeros((32, 32), np.uint8))
    dock = SimilarityWidget(viewer, model="builtin", runner=InlineRunner())
    try:
        dock.session.new_queries()
        bound = [k.replace("-", "+") for k in dock.controller.keys.bound if k not in CLASS_KEYS]
    finally:
        dock.controller.close()
    assert [key for key, _ in generated.key_rows()] == bound
    assert "```{key-table}" in text_of("docs/tutorial.md")


def test_the_table_of_commands_has_no_samples_and_all_others(generated):
    titles = {title for (title,) in generated.palette_rows()}
    assert "Undo the last step of the query" in titles
    assert not any("Colonic" in title for title in titles)
    assert "```{palette-table}" in text_of("docs/tutorial.md")


def test_every_picture_of_the_tutorial_is_made_by_the_script():
    made = "".join(path.read_text("utf-8") for path in (DOCS / "_shots").glob("*.py"))
    made += text_of("docs/screenshots.py")
    for name in re.findall(r"\(images/([\w-]+)\.png\)", text_of("docs/tutorial.md")):
        assert f'"{name}"' in made, f"no script makes {name}.png"


def test_pictures_are_small():
    for path in (DOCS / "images").iterdir():
        most = 3_000_000 if path.suffix == ".webp" else 300_000
        assert path.stat().st_size <= most, path.name


def test_the_reference_shows_the_help_of_every_command(generated, capsys, monkeypatch):
    page = text_of("docs/command-line.md")
    assert "```{command-help}\n" in page
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    for command in cli._COMMANDS:
        assert f"```{{command-help}} {command}\n" in page
        assert cli.main([command, "--help"]) == 0
        assert generated.help_text(command) == capsys.readouterr().out.rstrip()


def test_the_reference_has_every_public_name():
    page = text_of("docs/api/index.md")
    documented = set(re.findall(r"auto\w+:: napari_dinov3_sim\.(\w+)$", page, re.MULTILINE))
    assert documented == set(nds.__all__)


def test_numbers_in_the_text_are_those_of_the_registry():
    models = {model.name: model for model in nds.list_models()}
    readme, page = text_of("README.md"), text_of("docs/models.md")
    assert f"({models['builtin'].parameters / 1e6:.1f} M parameters)" in readme
    plus, small = models["dinov3-vits16plus"], models["dinov3-vits16"]
    assert f"`{plus.name}` ({plus.parameters / 1e6:.1f} M parameters)" in readme
    assert f"SPair {plus.spair} against {small.spair}" in page


def test_every_model_and_no_other_can_be_preferred():
    manifest = yaml.safe_load(text_of("src/napari_dinov3_sim/napari.yaml"))
    properties = manifest["contributions"]["configurations"]["start"]["properties"]
    assert properties["model"]["enum"] == ["auto", *(model.name for model in nds.list_models())]


LABELS = {
    "Images and model": "views/views.py",
    "What to find": "views/views.py",
    "What was found": "views/views.py",
    "Advanced": "views/step.py",
    "+ positive": "views/query.py",
    "▭ box": "views/query.py",
    "Redo": "views/query.py",
    "Gallery…": "views/results.py",
    "Folder…": "views/results.py",
    "Best match": "views/results.py",
    "Automatic": "views/results.py",
    "Make Labels": "views/results.py",
    "Table…": "views/results.py",
    "Renew": "views/results.py",
    "minimum area": "views/results.py",
    "maximum area": "views/results.py",
    "split touching": "views/results.py",
    "outline": "views/results.py",
    "planes": "views/results.py",
    "Smooth": "views/heatmaps.py",
    "Split channels": "views/images.py",
    "Undo": "views/query.py",
    "Embed": "views/images.py",
    "Cancel": "views/images.py",
    "Other… (weights file)": "views/model.py",
    "Other… (folder)": "views/model.py",
    "One scale for all images": "views/heatmaps.py",
    "Each image its own (min–max)": "views/heatmaps.py",
    "From one cosine to another": "views/heatmaps.py",
    "Show the class map": "views/heatmaps.py",
    "scale": "views/heatmaps.py",
    "cosines": "views/heatmaps.py",
    "– negative": "views/query.py",
    "New class": "views/query.py",
    "clicks on": "views/query.py",
    "Live under the mouse": "views/query.py",
    "Side by side": "views/query.py",
    "combine": "views/combination.py",
    "Mean of the points": "views/combination.py",
    "Best of the points": "views/combination.py",
    "Contrast to what is not meant": "views/combination.py",
    "Add": "views/combination.py",
    "Import regions…": "views/combination.py",
    "Peaks to Points": "views/results.py",
    "PCA colours": "views/results.py",
    "Peaks (CSV)…": "views/results.py",
    "Export…": "views/results.py",
    "peaks apart": "views/results.py",
    "Match": "views/results.py",
    "Save query…": "views/combination.py",
    "Load query…": "views/combination.py",
    "Drop": "views/combination.py",
    "All planes": "views/images.py",
    "resolution": "views/images.py",
    "sharper": "views/images.py",
    "borders": "views/images.py",
    "4 × finer (16 passes)": "views/images.py",
    "mirrored": "views/images.py",
    "Merge channels": "views/images.py",
    "Save project…": "views/images.py",
    "Open project…": "views/images.py",
    "Suggest classes…": "views/views.py",
    "Follow": "views/results.py",
    "patches moved": "views/results.py",
}


@pytest.mark.parametrize("label", LABELS)
def test_what_the_tutorial_says_is_in_the_dock(label):
    pages = text_of("README.md") + text_of("docs/tutorial.md") + text_of("docs/models.md")
    pages += text_of("docs/projects.md")
    assert re.search(rf"\*[^*]*{re.escape(label)}\*", " ".join(pages.split()))
    widgets = ROOT / "src" / "napari_dinov3_sim" / "widget"
    assert f'"{label}"' in (widgets / LABELS[label]).read_text(encoding="utf-8")


def test_samples_named_in_the_text_are_there():
    manifest = yaml.safe_load(text_of("src/napari_dinov3_sim/napari.yaml"))
    samples = {sample["display_name"] for sample in manifest["contributions"]["sample_data"]}
    tutorial = " ".join(text_of("docs/tutorial.md").split())
    named = re.findall(r"\*(?:File > [^*]*> )?([^*>]+\([^*]+\))\*", tutorial)
    named = [name for name in named if name not in LABELS]
    assert len(named) >= 3
    assert set(named) <= samples


# --- one version everywhere --------------------------------------------------------------------


def test_the_changelog_begins_with_this_version():
    found = re.search(r"^## \[(\S+)\] - (\d{4}-\d{2}-\d{2})$", text_of("CHANGELOG.md"), re.M)
    assert found
    assert found[1] == nds.__version__ == PROJECT["version"]


def test_the_citation_is_valid_and_of_this_version():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    dates = re.findall(r"^## \[\S+\] - (\S+)$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"] == PROJECT["name"]
    assert [author["name"] for author in citation["authors"]] == [PROJECT["authors"][0]["name"]]
    assert citation["version"] == nds.__version__
    assert str(citation["date-released"]) == dates[0]
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == REPOSITORY
    assert any("2508.10104" in entry["url"] for entry in citation["references"])


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CITATION.cff"], ids=name_of)
def test_no_path_of_one_machine(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:work|home|Users|root|tmp|opt)/", text)
