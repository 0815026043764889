"""A model one can think, a loader that waits or fails on request, and clicks on a canvas."""

from __future__ import annotations

import threading

import numpy as np
import torch

from napari_dinov3_sim.core.errors import BackboneError
from patience import PATIENCE

PATCH = 16


class MeanColour:
    """Embeds each patch as its mean colour, and one constant for the patches without any."""

    name = "tiny"
    patch_size = PATCH
    dim = 4
    device, dtype = "cpu", "float32"
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    fingerprint = "mean colour"

    def __init__(self, gate=None):
        self.gate = gate
        self.calls = 0

    def embed_patches(self, pixel_values):
        self.calls += 1
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        means = torch.nn.functional.avg_pool2d(pixel_values, PATCH)
        rows = means.flatten(2).transpose(1, 2)
        return torch.cat([rows, torch.full((*rows.shape[:2], 1), 0.1)], dim=2)


class Loader:
    """Loads a `MeanColour`; `failing` names do not load; with a gate, everything waits for it."""

    def __init__(self, failing=(), gate=None):
        self.failing, self.gate = failing, gate
        self.loaded = []
        self.thread = None

    def __call__(self, model, report):
        self.thread = threading.current_thread()
        report(f"Loading {model}", 0, 0)
        if model in self.failing:
            raise BackboneError(f"The model {model} is not here; get it.")
        self.loaded.append(model)
        backbone = MeanColour(self.gate)
        backbone.name, backbone.fingerprint = model, f"mean colour {model}"
        return backbone


def squares(*places, size=96, colour=(255, 40, 40)):
    """A dark image with bright patches at (row, column) of the patch grid."""
    image = np.full((size, size, 3), 30, np.uint8)
    for row, column in places:
        image[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] = colour
    return image


def workers():
    """Worker threads of docks."""
    return [t for t in threading.enumerate() if t.name.startswith("napari-dinov3-sim")]


def best_patch(heatmap):
    """Row and column of the patch with the greatest value of a heatmap layer."""
    data = np.asarray(heatmap.data)
    row, column = np.unravel_index(np.argmax(data), data.shape)
    high, wide = heatmap.metadata["napari_dinov3_sim"]["step"] or (1, 1)
    return int(row) * high // PATCH, int(column) * wide // PATCH


def canvas_of(viewer):
    """The widget that draws a real viewer's layers."""
    return viewer.window._qt_viewer.canvas.native


def canvas_position(viewer, layer, pixel):
    """Where on the canvas a pixel (row, column) of a layer is drawn in a 2-D view."""
    from qtpy.QtCore import QPoint

    camera, canvas = viewer.scene.camera, canvas_of(viewer)
    y, x = (np.asarray(layer.data_to_world(pixel))[-2:] - camera.center[-2:]) * camera.zoom
    return QPoint(round(x + canvas.width() / 2), round(y + canvas.height() / 2))


def drawn(qtbot, viewer):
    """Wait until a window has found its size, and its layers are drawn at it."""
    window, canvas = viewer.window._qt_window, viewer.window._qt_viewer.canvas
    qtbot.waitUntil(lambda: window.windowHandle().isExposed())
    qtbot.let_pass()
    events, seen = canvas._scene_canvas.events, []

    def note(event):
        seen.append(event)

    events.draw.connect(note)
    canvas.native.update()
    qtbot.waitUntil(lambda: bool(seen))
    events.draw.disconnect(note)


def place_of(qtbot, viewer, layer, pixel):
    """Where on the canvas a pixel (row, column) lies, once nothing moves it any more.

    What an answer changes in the dock is laid out in a later turn of the event loop, and may make
    the canvas narrower: a place from before it is some pixels off.
    """
    before, place = None, canvas_position(viewer, layer, pixel)
    while place != before:
        drawn(qtbot, viewer)
        before, place = place, canvas_position(viewer, layer, pixel)
    return place


def click(qtbot, viewer, layer, pixel):
    """A real mouse click on a pixel (row, column) of an image that is shown."""
    from qtpy.QtCore import Qt

    canvas = canvas_of(viewer)
    qtbot.mouseMove(canvas, canvas_position(viewer, layer, pixel))  # the event loop turns here
    place = place_of(qtbot, viewer, layer, pixel)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)
