"""What the built-in model gets wrong: a click in the left image of a pair, and what lights up."""

from __future__ import annotations

from skimage import data

from _shots.desk import Desk, spin
from _shots.pictures import beside, write

CASES = (
    ("tissue", data.immunohistochemistry, (390, 185)),  # connective tissue; and empty glass
    (
        "motorcycle",
        lambda: data.stereo_motorcycle()[0],
        (373, 230),
    ),  # a tyre; and whatever is dark
    ("cat", data.chelsea, (98, 150)),  # an eye; and fur
)
COLOURS = 200


def failures() -> None:
    """One click in each of three images."""
    taken = []
    for name, read, pixel in CASES:
        with Desk(wide=True) as desk:
            image = desk.viewer.add_image(read(), name=name)
            spin(0.5)
            desk.home()
            desk.click(image, pixel)
            taken.append(desk.images())
    write("failures", beside(*taken), width=1200, colours=COLOURS)
