"""The dock: DINOv3 similarity."""

from __future__ import annotations

from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import model_in_use
from napari_dinov3_sim.widget.controllers.dock import DockController
from napari_dinov3_sim.widget.preferences import make_store, read_preferences
from napari_dinov3_sim.widget.qt_runner import QtRunner
from napari_dinov3_sim.widget.views.common import DockPage
from napari_dinov3_sim.widget.views.views import Views

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.embedding.model_loading import LoadModel
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.widget.dialogs import Dialogs


class SimilarityWidget(DockPage):
    """Click on a structure in one image; every ticked image lights up where it is found again.

    Parameters
    ----------
    napari_viewer : napari.Viewer or napari.components.ViewerModel
        napari injects it by this name.
    model : str or Backbone, optional
        What to start with; by default the model of the heatmaps that are open, else what the
        preferences say.
    load_model : callable, optional
        Replaces `load_backbone`.
    runner : Runner, optional
        How work runs; by default on threads, delivered by Qt.
    dialogs : Dialogs, optional
        Where the paths of files come from, by default from Qt's dialogs.

    Attributes
    ----------
    session : SimilaritySession
        Does all the work; scripts may use it.
    """

    def __init__(
        self,
        napari_viewer: ViewerModel,
        *,
        model: str | Backbone | None = None,
        load_model: LoadModel | None = None,
        runner: Runner | None = None,
        dialogs: Dialogs | None = None,
    ) -> None:
        super().__init__()
        preferences = read_preferences()
        runner = QtRunner() if runner is None else runner
        notices: SimpleQueue[str] = SimpleQueue()
        self.views = Views()
        self.views.lay_out(self)
        self.session = SimilaritySession(
            napari_viewer,
            backbone=model or model_in_use(napari_viewer.layers) or preferences.first_model,
            runner=runner,
            store=make_store(preferences, notices.put),
            notices=notices,
            load_model=load_model or ModelLoader(preferences.device),
        )
        self.controller = DockController(
            napari_viewer,
            self.session,
            self.views,
            call_soon=runner.call_soon,
            dialogs=dialogs,
        )
        # closeEvent never comes to a docked widget. The partial keeps the controller, which
        # knows nothing of this widget, until then.
        self.destroyed.connect(partial(_close, self.controller))
        self.closed.connect(self._go)

    def _go(self) -> None:
        """Go with the dock: napari deletes that alone, and leaves its content without a parent."""
        self.controller.close()
        self.deleteLater()


def _close(controller: DockController, *_: object) -> None:
    controller.close()
