"""A folder of images, searched from the dock."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image
from skimage import data

from _shots.desk import PATIENCE, Desk, pixels_of, spin
from _shots.pictures import write

GLANDS = ((200, 100), (90, 60))


def folder() -> None:
    """The window of *Folder…* after a search of twelve parts of a section."""
    with tempfile.TemporaryDirectory() as place, Desk("histology_pair") as desk:
        scans = Path(place) / "scans"
        _write_parts(scans)
        desk.session.class_name = "gland"
        desk.click(desk.session.images[0], *GLANDS)
        controller = desk.dock.controller.file_search
        controller._dialogs.ask_for_folder = lambda _title: str(scans)
        panel = controller.open()
        desk.press(panel.folder_button)
        spin(PATIENCE, panel.start_button.isEnabled)
        desk.press(panel.start_button)
        spin(PATIENCE, panel.matches_button.isEnabled)
        # Where the results are is a folder of this computer.
        panel.show_out("scans results")
        panel.message.show_text(panel.message.text().replace(f"{place}/", ""))
        spin(0.3)
        write("folder", pixels_of(panel))


def _write_parts(folder: Path) -> None:
    folder.mkdir()
    picture = data.immunohistochemistry()
    for number in range(12):
        row, column = divmod(number, 3)
        part = picture[128 * row : 128 * (row + 1), 170 * column : 170 * (column + 1)]
        Image.fromarray(part).save(folder / f"slide {number + 1:02}.png")
