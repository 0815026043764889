"""Directives whose content comes from the package, so that it cannot go stale.

``model-table`` lists the registry. ``command-help`` shows what a command answers to ``--help``.
``key-table`` lists the keys of the dock, ``palette-table`` what is in napari's command palette.
"""

from __future__ import annotations

import contextlib
import io
import os
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from unittest import mock

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive

from napari_dinov3_sim import list_models
from napari_dinov3_sim.cli.parser import main
from napari_dinov3_sim.widget.controllers.keys import TITLES

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import ModelRecord

COLUMNS = ("name", "parameters", "D", "SPair", "statistics", "note")


def model_rows() -> list[tuple[str, ...]]:
    """Return a row of text for each model of the registry."""
    return [_row(record) for record in list_models()]


def _row(record: ModelRecord) -> tuple[str, ...]:
    satellite = "sat493m" in record.name
    return (
        record.name,
        f"{record.parameters / 1e6:,.1f} M",
        str(record.dim),
        "–" if record.spair is None else f"{record.spair:.1f}",
        "SAT-493M" if satellite else "ImageNet",
        record.note,
    )


def source_rows() -> list[tuple[str, ...]]:
    """Return where each model that is fetched comes from: the open copy, then Meta's."""
    rows = []
    for record in list_models():
        if not record.is_builtin:
            by_gate = {source.gated: source.repo for source in record.sources}
            rows.append((record.name, by_gate.get(False, "–"), by_gate.get(True, "–")))
    return rows


def key_rows() -> list[tuple[str, ...]]:
    """Return each key that acts while the query layer is active, and what it does."""
    return [(key.replace("-", "+"), title) for key, title in TITLES.items()]


def palette_rows() -> list[tuple[str, ...]]:
    """Return the titles of the commands that are in napari's command palette."""
    manifest = yaml.safe_load((files("napari_dinov3_sim") / "napari.yaml").read_text("utf-8"))
    commands = manifest["contributions"]["commands"]
    return [(each["title"],) for each in commands if ".sample_" not in each["id"]]


def help_text(*command: str) -> str:
    """Return what the command line answers to ``--help``, 80 columns wide."""
    text = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}),
        contextlib.redirect_stdout(text),
    ):
        main([*command, "--help"])
    return text.getvalue().rstrip()


def table(
    headings: tuple[str, ...], rows: list[tuple[str, ...]], code: tuple[int, ...]
) -> nodes.table:
    """Return a table whose columns `code` are set as code."""
    group = nodes.tgroup(cols=len(headings))
    group += [nodes.colspec(colwidth=1) for _ in headings]
    head, body = nodes.thead(), nodes.tbody()
    head += _table_row(headings, ())
    body += [_table_row(row, code) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=["colwidths-auto"])


def _table_row(cells: tuple[str, ...], code: tuple[int, ...]) -> nodes.row:
    row = nodes.row()
    for column, text in enumerate(cells):
        is_code = column in code and text != "–"
        content = nodes.literal("", text) if is_code else nodes.Text(text)
        row += nodes.entry("", nodes.paragraph("", "", content))
    return row


class ModelTable(Directive):
    """Every model of the registry."""

    def run(self) -> list[nodes.Node]:
        """Return a table."""
        return [table(COLUMNS, model_rows(), (0,))]


class SourceTable(Directive):
    """The repositories that hold the weights of each model."""

    def run(self) -> list[nodes.Node]:
        """Return a table."""
        return [table(("model", "open copy", "gated original"), source_rows(), (0, 1, 2))]


class KeyTable(Directive):
    """The keys of the dock."""

    def run(self) -> list[nodes.Node]:
        """Return a table."""
        return [table(("key", "what it does"), key_rows(), (0,))]


class PaletteTable(Directive):
    """The commands of the command palette."""

    def run(self) -> list[nodes.Node]:
        """Return a table."""
        return [table(("command",), palette_rows(), ())]


class CommandHelp(Directive):
    """The help text of the command that the arguments name."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a literal block."""
        text = help_text(*self.arguments)
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("model-table", ModelTable)
    app.add_directive("source-table", SourceTable)
    app.add_directive("key-table", KeyTable)
    app.add_directive("palette-table", PaletteTable)
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
