"""Names of files: with the suffix by which they are found again, and never over another file."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox

from napari_dinov3_sim.widget.dialogs import QUERIES, TABLES, Dialogs, complete

ALL = "All files (*)"


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("two", "two.query.safetensors"),
        ("two.query", "two.query.safetensors"),
        ("two.safetensors", "two.query.safetensors"),
        ("two.query.safetensors", "two.query.safetensors"),
        ("TWO.QUERY.SAFETENSORS", "TWO.QUERY.SAFETENSORS"),
        ("cells v1.2", "cells v1.2.query.safetensors"),
        ("a.b/two", "a.b/two.query.safetensors"),
        ("", ""),
    ],
)
def test_a_query_is_named_so_that_it_is_listed(typed, written):
    assert complete(typed, QUERIES, QUERIES.split(";;")[0]) == written


def test_under_all_files_a_suffix_of_the_users_own_stays():
    assert complete("peaks", TABLES, ALL) == "peaks.csv"
    assert complete("peaks.txt", TABLES, ALL) == "peaks.txt"
    assert complete("peaks.txt", TABLES, TABLES.split(";;")[0]) == "peaks.txt.csv"


@pytest.fixture
def types(monkeypatch, tmp_path):
    """A user who types names into the dialog, one after the other."""

    def user(*names):
        typed = iter(names)
        begun = []

        def ask(parent, title, name, filters):
            begun.append(name)
            return str(tmp_path / next(typed)), filters.split(";;")[0]

        monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
        return begun

    return user


@pytest.fixture
def confirms(monkeypatch):
    """A user who answers questions; returns what was asked."""

    def user(answer):
        asked = []

        def question(parent, title, text):
            asked.append(text)
            return answer

        monkeypatch.setattr(QMessageBox, "question", question)
        return asked

    return user


def test_a_file_met_by_the_suffix_alone_is_replaced_only_if_the_user_says_so(
    types, confirms, tmp_path
):
    (tmp_path / "two.query.safetensors").write_text("precious")
    types("two")
    asked = confirms(QMessageBox.StandardButton.Yes)
    path = Dialogs().ask_for_new_file("Save query", "class 1", QUERIES)
    assert path == str(tmp_path / "two.query.safetensors")
    assert asked == ["two.query.safetensors already exists.\nDo you want to replace it?"]


def test_who_does_not_replace_it_is_asked_for_another_name(types, confirms, tmp_path):
    (tmp_path / "two.query.safetensors").write_text("precious")
    begun = types("two", "three")
    confirms(QMessageBox.StandardButton.No)
    path = Dialogs().ask_for_new_file("Save query", "class 1", QUERIES)
    assert path == str(tmp_path / "three.query.safetensors")
    assert begun == ["class 1", str(tmp_path / "two.query.safetensors")]


def test_what_the_dialog_has_asked_about_is_not_asked_again(types, confirms, tmp_path):
    (tmp_path / "two.csv").write_text("old")
    types("two.csv")
    asked = confirms(QMessageBox.StandardButton.No)
    assert Dialogs().ask_for_new_file("Save", "", TABLES) == str(tmp_path / "two.csv")
    assert asked == []


def test_qts_own_dialog(qtbot, tmp_path):
    """What is typed into it comes back with the suffix."""

    def type_a_name():
        dialog = QApplication.activeModalWidget()
        dialog.findChild(QLineEdit).setText(str(tmp_path / "peaks"))
        dialog.accept()

    QTimer.singleShot(200, type_a_name)
    path = Dialogs().ask_for_new_file("Save", str(tmp_path / "a.csv"), TABLES)
    assert path == str(tmp_path / "peaks.csv")


def test_several_files_and_a_folder_that_is_shown(monkeypatch, tmp_path):
    names, opened = [str(tmp_path / "a.tif"), str(tmp_path / "b c %.tif")], []
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (names, ""))
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    assert Dialogs().ask_for_files("Images") == names
    Dialogs().open_folder(names[1])
    assert [url.toLocalFile() for url in opened] == [names[1]]


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_a_question_is_answered(confirms, answer):
    asked = confirms(getattr(QMessageBox.StandardButton, answer))
    assert Dialogs().confirm("Replace results", "Replace them?") is (answer == "Yes")
    assert asked == ["Replace them?"]
