"""The base of all controllers: connections that end, and errors that are shown."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from psygnal import SignalInstance

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.widget.views.views import Views


@contextmanager
def shown_errors() -> Iterator[None]:
    """Tell the user of a mistake in one sentence, where a script would see it raised."""
    try:
        yield
    except SimilarityError as error:
        show_warning(str(error))


class SectionController:
    """Shows a part of what the session says, and tells it what the user has chosen there.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    """

    def __init__(self, viewer: ViewerModel, session: SimilaritySession, views: Views) -> None:
        self._viewer, self._session, self._views = viewer, session, views
        self._listening: list[tuple[SignalInstance, Callable[..., Any]]] = []

    def listen(self, signal: SignalInstance, slot: Callable[..., Any]) -> None:
        """Connect a bound method, which psygnal holds weakly, until the controller is closed."""
        signal.connect(slot)
        self._listening.append((signal, slot))

    def close(self) -> None:
        """Hear nothing any more."""
        for signal, slot in self._listening:
            signal.disconnect(slot, missing_ok=True)
        self._listening.clear()
