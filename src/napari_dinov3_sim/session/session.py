"""The session as scripts and the dock use it."""

from __future__ import annotations

import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.asking import Asking
from napari_dinov3_sim.session.channels import Merged
from napari_dinov3_sim.session.look import Look
from napari_dinov3_sim.session.runner import Runner, default_runner
from napari_dinov3_sim.session.showing import Showing
from napari_dinov3_sim.store import DEFAULT_BUDGET, EmbeddingStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.embed_job import LoadModel
    from napari_dinov3_sim.session.messages import Progress


class SimilaritySession(Asking, Showing):
    """Clicks in any open image light up every open image.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    backbone : Backbone or str, optional
        A loaded model, or the name of one that is loaded when it is first needed.
    runner : Runner, optional
        How work runs; by default on threads, delivered by the GUI's event loop where there is
        one and by `wait` everywhere.
    memory_budget : int, optional
        Bytes of embeddings to keep for planes that are not shown.
    store : EmbeddingStore, optional
        Where embeddings are kept, in place of `memory_budget`; by default in memory only.
    notices : SimpleQueue of str, optional
        Sentences for the user from any thread, such as a store's warnings; they are told by
        `noticed` on the main thread, with the next message of a job.
    recipe : Recipe, optional
        Images up to one tile go through the model whole.
    load_model : callable, optional
        Replaces `load_backbone`; see `embed_job.LoadModel`.
    look : Look, optional
        Colormap, opacity and blending of the heatmaps.

    Attributes
    ----------
    status_changed, progressed, failed, listed, answered, model_changed, restyled : psygnal.Signal
        Emitted on the main thread: a line of text; a `Progress` or None at the end; a
        `Failure`; the image list or a tick has changed; heatmaps are up to date; the model
        or its device has changed; the look or the scaling of heatmaps has changed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        backbone: Backbone | str | None = None,
        runner: Runner | None = None,
        memory_budget: int = DEFAULT_BUDGET,
        store: EmbeddingStore | None = None,
        notices: SimpleQueue[str] | None = None,
        recipe: Recipe | None = None,
        load_model: LoadModel | None = None,
        look: Look | None = None,
    ) -> None:
        self.store = EmbeddingStore(MemoryStore(memory_budget)) if store is None else store
        super().__init__(
            viewer,
            runner=runner if runner is not None else default_runner(),
            store=self.store,
            notices=SimpleQueue() if notices is None else notices,
            recipe=recipe or Recipe(),
            load_model=load_model or ModelLoader(),
            look=look or Look(),
        )
        self.results.progressed.connect(self._on_result_progress)
        self._choose(backbone)
        self._schedule()

    def refusal(self, layer: Image) -> str | None:
        """Say why an image cannot be searched, or None if it can."""
        return self._targets.refusal(layer)

    def name_of(self, layer: Image) -> str:
        """Return what an image is called: merged, after all of its channels."""
        return self._targets.name(layer)

    def set_target(self, layer: Image, ticked: bool) -> None:
        """Search an image, or leave it out."""
        self._targets.tick(layer, ticked)

    def merge_channels(self, channels: Sequence[Image | None]) -> None:
        """Search one to three grayscale layers as the red, green and blue of one image.

        The first of them stands for all: it is in `targets`, and in `heatmaps`. The layers
        themselves are not touched. They are split again, with a notice, when one of them leaves,
        or has another shape or place than the others.

        Parameters
        ----------
        channels : sequence of napari.layers.Image or None
            In the order red, green, blue; None, and what is missing at the end, is black.

        Raises
        ------
        ImageError
            They cannot be one image; the sentence says why.
        """
        self._targets.merge(Merged.of(channels))

    def split_channels(self, image: Image) -> bool:
        """Search layers one by one again.

        Parameters
        ----------
        image : napari.layers.Image
            Any of those that were merged.

        Returns
        -------
        bool
            Whether it was merged with others.
        """
        return self._targets.split(image)

    @property
    def merged(self) -> dict[Image, tuple[Image | None, Image | None, Image | None]]:
        """The red, green and blue of what was merged, by the layer that stands for all."""
        return {found.lead: found.channels for found in self._targets.merging.merged()}

    def set_model(self, backbone: Backbone | str | None) -> None:
        """Change the model; heatmaps of the old one are removed. Its own name changes nothing.

        Parameters
        ----------
        backbone : Backbone or str or None
            A loaded model, the name of one to load when needed, or None.
        """
        if self._closed or (isinstance(backbone, str) and self._has_loaded(backbone)):
            return
        self._overlays.clear()
        self._answers.forget()
        self._choose(backbone)
        self.model_changed.emit()
        self._schedule()

    def embed(self) -> None:
        """Embed the shown plane of every target, in the background; see `wait`."""
        self._require_model()
        self._queries_due = True
        self._mishaps.start_over()
        self._answers.forget()
        shown = self._targets.planes()
        hidden = self._targets.other_planes(shown) if self._all_planes else []
        self._embedder.insist([*shown, *hidden])
        self._schedule()

    def cancel(self) -> None:
        """Stop embedding and matching; what is done stays, and the next click asks again."""
        self._embedder.cancel()
        self.results.cancel()
        self.progressed.emit(None)
        self._schedule()

    @property
    def recipe(self) -> Recipe:
        """How pixels become embeddings: resolution, tiles, padding."""
        return self._embedder.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        if recipe != self._embedder.recipe:
            self._overlays.clear()
            self._answers.forget()
            self._embedder.recipe = recipe
            self._schedule()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything asked for is embedded and every heatmap is up to date.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default there is no limit.

        Raises
        ------
        SimilarityError
            Something failed in the meantime; the first failure is raised.
        TimeoutError
            Time is up; the work goes on.
        """
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while not self._closed and (self._dirty or self.busy or self.results.pending):
            if self._dirty:
                self._refresh()
            self._runner.deliver(0.05)
            if time.monotonic() > deadline:
                raise TimeoutError(f"Embedding takes longer than {timeout} s; it goes on.")
        failures = self._mishaps.take(self._targets.versions())
        if failures:
            first = failures[0]
            if isinstance(first.error, SimilarityError):
                raise first.error
            raise SimilarityError(first.message) from first.error

    def close(self) -> None:
        """Stop listening and working; layers stay in the viewer, they are the user's."""
        if self._closed:
            return
        self._closed = True
        self._dirty = False
        self._embedder.cancel()
        self._answers.forget()
        self._runner.close()
        self._looking.close()
        self._queries.forget()
        self.regions.close()
        self.results.close()
        self._targets.close()
        self._viewer.dims.events.disconnect(self._on_dims)

    def _on_result_progress(self, progress: Progress | None) -> None:
        if progress is not None or not self._embedder.busy:
            self.progressed.emit(progress)

    def _choose(self, backbone: Backbone | str | None) -> None:
        if backbone is None or isinstance(backbone, str):
            self._embedder.set_model(backbone or "")
        else:
            self._embedder.set_model(backbone.name, backbone)

    def _has_loaded(self, model: str) -> bool:
        if model != self.model or self._embedder.model_failed:
            return False
        return self._embedder.identity is not None or self._embedder.is_loading

    def _require_model(self) -> None:
        if not self.model:
            raise SimilarityError('No model is chosen; call set_model("builtin") first.')
