"""A folder of images, searched from the dock."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image
from skimage import data

from _shots.desk import PATIENCE, Desk, spin
from _shots.pictures import rgb_of, write

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
        write("folder", rgb_of(_pixels(panel)))


def _pixels(panel: object) -> object:
    """Return what a widget shows, as an array."""
    import numpy as np
    from qtpy.QtGui import QImage

    image = panel.grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4).copy()


def _write_parts(folder: Path) -> None:
    folder.mkdir()
    picture = data.immunohistochemistry()
    for number in range(12):
        row, column = divmod(number, 3)
        part = picture[128 * row : 128 * (row + 1), 170 * column : 170 * (column + 1)]
        Image.fromarray(part).save(folder / f"slide {number + 1:02}.png")
