"""How what is done to one or to all of many images grows with their number, with the dock open.

For 10, 100 and 1,000 small images in a viewer model, with the dock: opening it, a click, moving an
image above the others, a new class, renaming it, hiding it, unticking an image and removing one.
Beside each stands what napari itself needs to do the same to as many plain layers without the
dock; the slope is that of the rest, in logarithms: 1 where it grows as the number of images does.
Times are those of the processor, of all threads, so that other work on the computer counts less.

With ``--no-class`` nothing is done with a second class: napari itself takes minutes for the layers
of one over 1,000 images.

``QT_QPA_PLATFORM=offscreen python benchmarks/bench_layers.py [--images 10 100 1000] [--no-class]``
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from napari.components import ViewerModel
from napari.layers import Image, Layer, Vectors
from qtpy.QtWidgets import QApplication

from napari_dinov3_sim.widget.dock import SimilarityWidget

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE, PATCH = 64, 16


class MeanColour:
    """Embeds each patch as its mean colour: in no time."""

    name, fingerprint = "mean colour", "mean colour"
    patch_size, dim, mean, std = PATCH, 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    device, dtype = "cpu", "float32"

    def embed_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the mean colours, and a constant."""
        means = torch.nn.functional.avg_pool2d(pixel_values, PATCH).flatten(2).transpose(1, 2)
        return torch.cat([means, torch.full((*means.shape[:2], 1), 0.1)], dim=2)


def spent(action: Callable[[], object]) -> float:
    """Return the seconds of the processor that something takes."""
    start = time.process_time()
    action()
    return time.process_time() - start


def pixels(number: int) -> np.ndarray:
    """Return an image of random colours, patch by patch."""
    colours = np.random.default_rng(number).integers(0, 255, (SIDE // PATCH, SIDE // PATCH, 3))
    return np.kron(colours, np.ones((PATCH, PATCH, 1))).astype(np.uint8)


def images(viewer: ViewerModel, count: int) -> list[Image]:
    """Open images, side by side."""
    made = [Image(pixels(n), translate=(0, SIDE * n), name=f"image {n}") for n in range(count)]
    viewer.layers.extend(made)
    return made


class Desk:
    """A viewer with images and the dock."""

    def __init__(self, count: int) -> None:
        self.viewer = ViewerModel()
        self.images = images(self.viewer, count)
        self.opening = spent(self._open)
        self.settle()

    def _open(self) -> None:
        self.dock = SimilarityWidget(self.viewer, model=MeanColour())
        self.session: Any = self.dock.session

    def settle(self) -> None:
        """Run the event loop until nothing is left to do."""
        quiet = 0
        while quiet < 5:
            QApplication.processEvents()
            finder = self.session._coordinator.finder
            quiet = 0 if self.session.busy or finder.pending else quiet + 1
            time.sleep(0.002)

    def after(self, action: Callable[[], object]) -> float:
        """Return the seconds of the processor of an action and all that follows."""

        def act() -> None:
            action()
            self.settle()

        return spent(act)

    def close(self) -> None:
        """Leave nothing behind."""
        self.dock.controller.close()
        self.dock.deleteLater()
        QApplication.processEvents()


def with_dock(count: int, *, classes: bool = True) -> dict[str, float]:
    """Return the seconds of each action in a viewer with the dock."""
    desk = Desk(count)
    session, viewer, last = desk.session, desk.viewer, desk.images[-1]
    found = {"open the dock": desk.opening}
    desk.after(lambda: session.add_query(desk.images[0], 8, 8))
    desk.after(lambda: session.add_query(desk.images[0], 24, 8))
    found["click"] = desk.after(lambda: session.add_query(desk.images[0], 40, 8))
    place = viewer.layers.index
    found["move an image to the top"] = desk.after(
        lambda: viewer.layers.move(place(desk.images[0]), len(viewer.layers))
    )
    if classes:  # a heatmap and a class map
        found["add a class"] = desk.after(
            lambda: session.add_query(desk.images[0], 8, 40, class_name="other")
        )
        found["rename a class"] = desk.after(lambda: session.rename_class("other", "another"))
        found["hide a class"] = desk.after(lambda: session.set_class_visible("another", False))
    found["untick an image"] = desk.after(lambda: session.set_target(last, False))
    desk.after(lambda: session.set_target(last, True))
    found["remove an image"] = desk.after(lambda: viewer.layers.remove(last))
    desk.close()
    return found


def by_napari(count: int, *, classes: bool = True) -> dict[str, float]:
    """Return the seconds of the same with plain layers and without the dock."""
    viewer = ViewerModel()
    layers, plain = viewer.layers, []

    def add(made: list[Layer]) -> None:
        for layer in made:
            layers.insert(len(layers), layer)
        plain.extend(made)

    def maps() -> list[Layer]:
        shape = (SIDE // PATCH, SIDE // PATCH)
        return [Image(np.zeros(shape), scale=(PATCH, PATCH)) for _ in range(count)]

    first, *_, last = images(viewer, count)
    add(maps())
    lines = np.random.default_rng(0).uniform(0, SIDE, (40, 2, 2))  # of contours
    add([Vectors(lines) for _ in range(count)])
    spread = np.zeros((4, 4), np.float32)

    def answer() -> None:
        for layer in plain[:count]:
            with layer.events.data.blocker():
                layer.data = spread.copy()
            layer.contrast_limits = (0, float(np.random.default_rng().uniform(0.5, 1)))
        for layer in plain[count:]:
            with layer.events.data.blocker():
                layer.data = lines
            layer.edge_color = "red"

    found = {"open the dock": 0.0, "click": spent(answer)}
    found["move an image to the top"] = spent(
        lambda: layers.move(layers.index(first), len(layers))
    )

    def rename() -> None:
        for number, layer in enumerate(plain[:count]):
            layer.name = f"renamed {number}"

    def hide() -> None:
        for layer in plain[:count]:
            layer.visible = False

    if classes:
        found["add a class"] = spent(lambda: add(maps() + maps()))
        found["rename a class"], found["hide a class"] = spent(rename), spent(hide)

    def leave(going: list[Image]) -> None:
        for layer in going:
            layers.remove(layer)

    found["untick an image"] = spent(lambda: leave(plain[-2:]))
    found["remove an image"] = spent(lambda: leave([last, *plain[-4:-2]]))
    return found


def main() -> None:
    """Print a row for each action."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--no-class", action="store_true")
    options = parser.parse_args()
    counts, classes = options.images, not options.no_class
    application = QApplication.instance() or QApplication([])
    with_dock(3)  # imports and caches
    ours = [with_dock(n, classes=classes) for n in counts]
    own = [by_napari(n, classes=classes) for n in counts]
    print("milliseconds of the processor (of these, napari's own)")
    print(f"{'images':26}" + "".join(f"{n:>20,}" for n in counts) + f"{'slope of the rest':>20}")
    for action in ours[0]:
        rest = [max(1e-4, a[action] - b[action]) for a, b in zip(ours, own, strict=True)]
        cells = (
            f"{1e3 * a[action]:12.0f} ({1e3 * b[action]:.0f})".rjust(20)
            for a, b in zip(ours, own, strict=True)
        )
        slope = np.polyfit(np.log(counts), np.log(rest), 1)[0] if len(counts) > 1 else np.nan
        print(f"{action:26}" + "".join(cells) + f"{slope:20.2f}")
    del application


if __name__ == "__main__":
    main()
