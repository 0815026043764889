"""Open a real window, click once, and see a heatmap: in a process of its own, many times over.

Run `bash scripts/with_display.sh python scripts/check_first_click.py [--runs 20] [--qt pyside6]`.
Libraries that cannot live together in one process crash it where a test would see nothing. Under
Xvfb the canvas is drawn by Mesa's llvmpipe, as on a virtual machine or a remote desktop. Exits
with 1 if any run failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import subprocess
import sys
import tempfile
from collections import Counter

PATIENCE = 300.0
"""Seconds that a run may take: on a busy machine the imports alone take half a minute."""


def main() -> int:
    """Run the child process many times; print how each ended that failed, and how many did not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--qt", choices=["pyside6", "pyqt6"], default="pyside6")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, help="seconds that a run may take"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        click_once(options.patience)
        return 0
    ends = Counter(run_child(options.qt, options.patience) for _ in range(options.runs))
    for end, times in ends.most_common():
        print(f"{times} of {options.runs}: {end}")
    return int(any(not end.startswith("a heatmap") for end in ends))


def run_child(qt: str, patience: float) -> str:
    """Return how a run ended: what it printed last, or the signal that killed it."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "QT_API": qt, "XDG_CACHE_HOME": cache}
        child = (__file__, "--child", "--patience", str(patience))
        command = [sys.executable, "-X", "faulthandler", *child]
        try:
            done = subprocess.run(
                command,
                check=False,
                env=environment,
                capture_output=True,
                text=True,
                timeout=patience,
            )
        except subprocess.TimeoutExpired:
            return f"no heatmap within {patience:.0f} s"
    if done.returncode == 0:
        return done.stdout.strip().splitlines()[-1]
    print(done.stderr, file=sys.stderr)
    return f"ended with {done.returncode}"


def click_once(patience: float) -> None:
    """Open the dock on an image, click on it, and wait for a heatmap that is drawn."""
    faulthandler.dump_traceback_later(patience - 20, exit=True)  # where it stands still
    import napari
    import numpy as np
    from napari.layers import Image
    from qtpy import API_NAME
    from qtpy.QtCore import QEventLoop, QTimer
    from vispy.gloo import gl

    from napari_dinov3_sim.widget import SimilarityWidget

    viewer = napari.Viewer()
    image = viewer.add_image(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8))
    dock = SimilarityWidget(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.screenshot(canvas_only=False, flash=False)  # the canvas exists and has been drawn
    session = dock.session
    loop = QEventLoop()
    session.answered.connect(loop.quit)
    QTimer.singleShot(0, lambda: click(session, image))
    loop.exec()
    assert isinstance(session.heatmaps[image], Image)
    viewer.screenshot(canvas_only=False, flash=False)
    renderer = str(gl.glGetParameter(gl.GL_RENDERER))
    torch, triton = (sys.modules.get(name) for name in ("torch", "triton"))
    print(
        f"a heatmap; {API_NAME}, {renderer}, torch {torch.__version__}, "
        f"triton {'not imported' if triton is None else triton.__version__}"
    )
    viewer.close()


def click(session: object, image: object) -> None:
    """Set a point on the middle of an image."""
    session.add_query(image, 128, 128)


if __name__ == "__main__":
    sys.exit(main())
