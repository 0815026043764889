"""Collects from the source what the program can say, so that a page can be held against it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "napari_dinov3_sim"

GAP = "…"
"""Stands for what differs each time, such as the name of a file."""

SAYING = {
    *("show_info", "show_warning", "show_error", "note", "ask", "confirm", "warning"),
    *("_warn", "_note", "_say", "Failure", "PlaneFailed"),
}
"""Functions whose arguments the user reads, by the last part of their name."""

LABELS = {
    *("setToolTip", "setAccessibleName", "setAccessibleDescription", "setWindowTitle"),
    *("setPlaceholderText", "setStyleSheet", "QLabel", "QCheckBox", "QPushButton", "_area"),
    *("add_argument", "add_model", "_Parser", "ModelRecord", "SearchOutput", "compile"),
}
"""Calls whose texts explain a control, an option or a model, and are no messages."""

OTHER_TEXTS = {
    "cli/parser.py": ("_SUMMARIES",),  # the help of the commands
    "core/search/combine.py": ("EXPLANATIONS",),  # of the choices, see docs/queries.md
}
"""Names that are assigned texts that are no messages."""

PLAIN_ERRORS = {"ValueError", "EOFError", "ArgumentTypeError"}
"""Raised where files and options are read; their text stands inside of a sentence."""

PLACES_OF_PLAIN_ERRORS = ("readers/", "exchange/", "store/", "cli/")

LEAST = 3
"""Words that a text needs to be found by them."""

ASKING = re.compile(r"^(note|error): |\b([Pp]ress|[Tt]ick) ")


@dataclass(frozen=True)
class Message:
    """A text of the program.

    Attributes
    ----------
    text : str
        With a gap for each part that differs.
    place : str
        File and line.
    is_shown : bool
        Whether it is known to be read by a user as it is; else it may be a part, or a label.
    """

    text: str
    place: str
    is_shown: bool


def plain(text: str) -> str:
    """Without the marks of Markdown and of templates, in one line."""
    text = re.sub(r"%\(\w+\)s|%[sr]|\{[^{}]*\}", GAP, text)
    return " ".join(re.sub(r"[`\\]", "", text).split())


def is_same(quote: str, text: str) -> bool:
    """Whether a quotation holds all of a text, or most of it in its order."""
    if _pattern(text).search(quote) is not None:
        return True
    return _pattern(quote).search(text) is not None and 2 * words(quote) >= words(text)


def words(text: str) -> int:
    """How many words of a text are always the same."""
    return len(re.findall(r"[^\W\d_]+", text))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.strip(GAP).split(GAP))))


def error_names(trees: list[ast.Module], base: str) -> set[str]:
    """A class of errors, and all that derive from it."""
    bases = {
        node.name: {ast.unparse(one).rpartition(".")[2] for one in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {base}
    while more := {name for name, of in bases.items() if of & found} - found:
        found |= more
    return found


class Collector(ast.NodeVisitor):
    """Walks over a module and keeps the messages."""

    def __init__(self, place: str, errors: set[str], model_errors: set[str]) -> None:
        self._place, self._errors, self._model_errors = place, errors, model_errors
        self._calls: list[str] = []
        self._raises = 0
        self.found: list[Message] = []

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in self._model_errors and len(node.args) > 1:
            reason, cure = ([_text(one) or GAP for one in node.args[1:3]] + [GAP])[:2]
            self._keep(f"Cannot load {GAP}: {reason}; {cure}.", node.lineno)
            return
        self.visit(node.func)
        self._calls.append(name)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.visit(argument)
        self._calls.pop()

    def visit_Raise(self, node: ast.Raise) -> None:
        self._raises += 1
        self.generic_visit(node)
        self._raises -= 1

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # which is a docstring
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if not self._is_other_text(*node.targets):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if not self._is_other_text(node.target):
            self.generic_visit(node)

    def _is_other_text(self, *targets: ast.expr) -> bool:
        names = {ast.unparse(target) for target in targets}
        return not names.isdisjoint(OTHER_TEXTS.get(self._place, ()))

    def visit_Constant(self, node: ast.Constant) -> None:
        self._keep(_text(node), node.lineno)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._keep(_text(node), node.lineno)

    def _keep(self, text: str, line: int) -> None:
        text = plain(text)
        if words(text) >= LEAST and " " in text and LABELS.isdisjoint(self._calls):
            is_shown = self._is_said() or _is_sentence(text)
            self.found.append(Message(text, f"{self._place}:{line}", is_shown))

    def _is_said(self) -> bool:
        calls = set(self._calls)
        plain_error = self._raises and self._place.startswith(PLACES_OF_PLAIN_ERRORS)
        return bool(calls & (self._errors | SAYING) or (plain_error and calls & PLAIN_ERRORS))


def _is_sentence(text: str) -> bool:
    """Whether it is one, or begins as a line of the terminal, or says what to press."""
    return text.endswith((".", "?")) or ASKING.search(text) is not None


def _text(node: ast.expr) -> str:
    """A literal with gaps; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or GAP for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def collect() -> list[Message]:
    """All texts of the package, but for docstrings and labels."""
    files = sorted(PACKAGE.rglob("*.py"))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    errors = error_names(trees, "SimilarityError")
    model_errors = error_names(trees, "ModelError")
    found: list[Message] = []
    for path, tree in zip(files, trees, strict=True):
        collector = Collector(path.relative_to(PACKAGE).as_posix(), errors, model_errors)
        collector.visit(tree)
        found += collector.found
    return found
