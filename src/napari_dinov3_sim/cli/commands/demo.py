"""``napari-dinov3-sim demo``: clicks in sample images, as files and in a window."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from napari_dinov3_sim.cli.model import load_model, say_model
from napari_dinov3_sim.cli.output.drawing import (
    draw_heatmap,
    draw_image,
    outline_patches,
    side_by_side,
)
from napari_dinov3_sim.cli.output.files import (
    OutputFolder,
    check_nothing_is_replaced,
    encode_png,
    encode_tif,
    lent_folder,
    made_by,
)
from napari_dinov3_sim.cli.terminal import ProgressBars, note, say
from napari_dinov3_sim.readers.tiff_metadata import SOFTWARE
from napari_dinov3_sim.sample_data import DEMO_PAIRS, DemoPair

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim.backbones import DINOv3Backbone

_NO_QT = (
    "note: no window, because Qt is not installed; "
    'install it with: pip install "napari-dinov3-sim[all]"'
)
MADE_BY = f"{SOFTWARE} demo"
"""By this the demo knows its own pictures, which it may replace."""

_FIRST_LOOK = (
    "builtin is a small network of our own for a first look, not a DINOv3 checkpoint of Meta; "
    "`napari-dinov3-sim models` lists those."
)


def run_demo(out: Path, model: str, device: str = "auto", *, gui: bool | None = None) -> int:
    """Write the demo's pictures and open its window.

    Parameters
    ----------
    out : Path
        Folder for the pictures.
    model, device : str
        As for `load_backbone`.
    gui : bool, optional
        Whether to open napari; by default where there is a screen.

    Returns
    -------
    int
        The exit code.
    """
    check_pictures_are_own(out)
    with closing(ProgressBars()) as bars, lent_folder(out) as folder:
        backbone = load_model(model, device, "auto", bars)
        say_model(backbone)
        for pair in DEMO_PAIRS:
            files = write_pair(pair, backbone, folder)
            say(f"{pair.name}: click on {pair.title} at {pair.click}: {', '.join(files)}")
    say(f"The files are in {folder.path}. Bright is similar, on one scale for both images.")
    if backbone.is_builtin:
        say(_FIRST_LOOK)
    if has_screen() if gui is None else gui:
        open_window(DEMO_PAIRS[0], backbone)
    return 0


def check_pictures_are_own(folder: Path) -> None:
    """Raise `OutputError` if a file would be replaced that no earlier demo has made."""
    paths = [folder / name for pair in DEMO_PAIRS for name in names_of(pair)]
    check_nothing_is_replaced(
        (path for path in paths if made_by(path) != MADE_BY), "choose another folder with --out"
    )


def names_of(pair: DemoPair) -> list[str]:
    """Return the names of the files of a pair."""
    ends = ["query.png", "heatmaps.png"]
    ends += [f"{number + 1}.cosine.tif" for number in range(len(pair.images))]
    return [f"{pair.name}-{end}" for end in ends]


def write_pair(pair: DemoPair, backbone: DINOv3Backbone, folder: OutputFolder) -> list[str]:
    """Write query, heatmaps and cosine maps of a pair.

    Parameters
    ----------
    pair : DemoPair
    backbone : DINOv3Backbone
    folder : OutputFolder

    Returns
    -------
    list of str
        Names of the files.
    """
    from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
    from napari_dinov3_sim.core.search.similarity import create_similarity_images, shared_limits

    images = pair.images
    states = [create_patch_image_state(image, backbone) for image in images]
    maps = create_similarity_images(states[0], pair.click, states)
    limits = shared_limits(similarity.cosine for similarity in maps)
    heatmaps = [
        draw_heatmap(image, state.window, similarity, limits)
        for image, state, similarity in zip(images, states, maps, strict=True)
    ]
    query = draw_image(images[0], states[0].window)
    grid, clicks = states[0].grid, [pair.click]
    heatmaps[0] = outline_patches(heatmaps[0], grid, clicks)
    pictures = outline_patches(query, grid, clicks), side_by_side(heatmaps)
    contents = [encode_png(picture, software=MADE_BY) for picture in pictures]
    contents += [encode_tif(similarity.full_resolution(), MADE_BY) for similarity in maps]
    named = zip(names_of(pair), contents, strict=True)
    return [folder.write(name, content).name for name, content in named]


def has_screen() -> bool:
    """Whether a window could be shown here."""
    if os.environ.get("QT_QPA_PLATFORM", "") in ("offscreen", "minimal"):
        return False
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_window(pair: DemoPair, backbone: DINOv3Backbone) -> None:
    """Open napari with a pair, the dock and the click; return when it is closed."""
    try:
        import qtpy.QtWidgets  # noqa: F401
    except ImportError:
        note(_NO_QT)
        return
    import napari

    from napari_dinov3_sim.widget import SimilarityWidget

    viewer = napari.Viewer(title="napari-dinov3-sim demo")
    layers = [viewer.add_image(data, **options) for data, options, _ in pair.layers()]
    widget = SimilarityWidget(viewer)
    viewer.window.add_dock_widget(widget, name="DINOv3 similarity", area="right")
    viewer.reset_view()  # both pictures, in what the dock leaves of the canvas
    widget.session.set_model(backbone)
    widget.session.add_query(layers[0], *pair.click)
    napari.run()
