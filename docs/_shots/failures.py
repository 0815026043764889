"""What the built-in model gets wrong: one click in each of three images, and what lights up."""

from __future__ import annotations

from skimage import data

from _shots.desk import Desk
from _shots.pictures import beside, write

CASES = (
    (data.immunohistochemistry, (390, 185)),  # connective tissue; and empty glass
    (lambda: data.stereo_motorcycle()[0], (373, 230)),  # a tyre; and whatever is dark
    (data.chelsea, (98, 150)),  # an eye; and fur
)
COLOURS = 200


def failures() -> None:
    """Take the three beside each other."""
    taken = []
    for read, pixel in CASES:
        with Desk(wide=True) as desk:
            image = desk.viewer.add_image(read())
            desk.home()
            desk.click(image, pixel)
            taken.append(desk.images())
    write("failures", beside(*taken), width=1200, colours=COLOURS)
