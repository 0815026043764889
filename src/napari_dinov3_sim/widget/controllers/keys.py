"""Keys of the dock, bound while the query layer is the active one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from napari.components import ViewerModel
from napari.layers import Points
from napari.utils.interactions import Shortcut
from napari.utils.key_bindings import coerce_keybinding

from napari_dinov3_sim.widget.controllers.base import SectionController

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qtpy.QtWidgets import QWidget

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.widget.controllers.navigation import NavigationController
    from napari_dinov3_sim.widget.controllers.pages.gallery import GalleryController
    from napari_dinov3_sim.widget.controllers.query import QueryController
    from napari_dinov3_sim.widget.views.views import Views

    Command = Callable[[], object]
    Binding = Callable[[Any], None]


TITLES = {
    "N": "Switch between + positive and – negative",
    "K": "Next class",
    "Shift-K": "New class",
    "R": "Box: ask with the next drag for all that is in it",
    "Ctrl-Z": "Undo the last step of the query",
    "Ctrl-Shift-Z": "Redo the step of the query that was undone last",
    "B": "Best match: go to the next one, in the next image",
    "G": "Gallery: look at the matches of all images, and judge them",
    "H": "Live under the mouse: show the heatmaps of the patch that is there",
    "D": "Side by side: show every image in a cell of its own",
}
"""What each key of the dock does, for tooltips and for the tutorial; see `dock_keys`."""

CLASS_KEYS = {f"Alt-{number}": number for number in range(1, 10)}
"""Keys for the first nine classes. Digits alone are napari's: 1 deletes points, 2 to 5 are tools;
they choose a class where the list of classes has the focus."""


@dataclass(frozen=True)
class DockKey:
    """A key of the dock.

    Attributes
    ----------
    key : str
        One of `TITLES`, such as 'N' or 'Shift-K', or of `CLASS_KEYS`.
    call : callable
        What it calls, without arguments.
    buttons : tuple of QWidget
        What does the same in the dock; their tooltips name the key.
    """

    key: str
    call: Command
    buttons: tuple[QWidget, ...] = ()


def dock_keys(
    queries: QueryController,
    navigation: NavigationController,
    gallery: GalleryController,
    views: Views,
) -> tuple[DockKey, ...]:
    """Return all keys of the dock: another one begins here, with its words in `TITLES`."""
    signs = views.signs
    return (
        DockKey("N", queries.flip_sign, (signs.positive_button, signs.negative_button)),
        DockKey("K", queries.next_class),
        DockKey("Shift-K", queries.new_class, (signs.new_button,)),
        DockKey("R", queries.start_box, (signs.box_button,)),
        DockKey("Ctrl-Z", queries.undo, (signs.undo_button,)),
        DockKey("Ctrl-Shift-Z", queries.redo, (signs.redo_button,)),
        DockKey("B", navigation.go_to_best_match, (views.results.best_match,)),
        DockKey("G", gallery.open, (views.results.gallery_button,)),
        DockKey("H", navigation.toggle_hovering, (views.navigation.hovering,)),
        DockKey("D", navigation.toggle_side_by_side, (views.navigation.side_by_side,)),
        *(DockKey(k, partial(queries.choose_class, n)) for k, n in CLASS_KEYS.items()),
    )


def title_of(key: str) -> str:
    """Return what a key of the dock does."""
    if key in CLASS_KEYS:
        return f"Continue with class {CLASS_KEYS[key]} of the list"
    return TITLES[key]


class QueryKeys:
    """Binds keys on one layer, and gives them back.

    A key that napari uses for points or for the viewer, or that the user has given to an action
    of napari in the preferences, is not taken. What was bound on the layer itself comes back.

    Parameters
    ----------
    commands : mapping of str to (str, callable)
        For each key, such as 'N' or 'Shift-N', what it does in words, and what is called, without
        arguments. Bound methods are held weakly: keys keep no dock alive.
    """

    def __init__(self, commands: Mapping[str, tuple[str, Command]]) -> None:
        self._titles = {key: title for key, (title, _) in commands.items()}
        self._bindings = {key: _binding(call) for key, (_, call) in commands.items()}
        self._layer: Points | None = None
        self._before: dict[str, Any] = {}

    @property
    def bound(self) -> tuple[str, ...]:
        """The keys that are bound now."""
        return tuple(self._before)

    def bind(self, layer: Points) -> None:
        """Bind the keys on a layer, and release them on the one before."""
        if self._layer is not None and self._layer == layer:
            return
        self.release()
        self._layer = layer
        taken = {*ViewerModel.class_keymap, *_keymap_of_class()}
        for key, binding in self._bindings.items():
            if coerce_keybinding(key) not in taken:
                self._before[key] = layer.bind_key(key, binding, overwrite=True)

    def release(self) -> None:
        """Unbind the keys, but for those that have been bound to something else since."""
        layer, before = self._layer, self._before
        self._layer, self._before = None, {}
        if layer is None:
            return
        for key, earlier in before.items():
            found = layer.bind_key(key, None)
            kept = earlier if found is self._bindings[key] else found
            if kept is not None:
                layer.bind_key(key, kept)

    def hint(self, key: str) -> str:
        """Return what a key does, for a tooltip, with the key in the style of the platform."""
        title = self._titles[key]
        return f"{title} ({Shortcut(key).platform})" if key in self._before else title


def _keymap_of_class() -> set[Any]:
    """Keys of all points layers; napari looks in the class and in what it inherits from."""
    return {key for cls in Points.__mro__ for key in getattr(cls, "class_keymap", ())}


def _binding(call: Command) -> Binding:
    """Return what napari calls with the layer.

    It returns nothing: napari would call a result when the key is released.
    """
    function, values = (call.func, call.args) if isinstance(call, partial) else (call, ())
    find = WeakMethod(function) if isinstance(function, MethodType) else partial(_same, function)

    def press(layer: Points) -> None:
        del layer
        found = find()
        if found is not None:
            found(*values)

    return press


def _same(call: Callable[..., object]) -> Callable[..., object]:
    return call


class KeysController(SectionController):
    """Binds keys to the query layer for as long as there is one.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    keys : sequence of DockKey
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SimilaritySession,
        views: Views,
        keys: Sequence[DockKey],
    ) -> None:
        super().__init__(viewer, session, views)
        self._keys = QueryKeys({key.key: (title_of(key.key), key.call) for key in keys})
        self._buttons = {key.key: key.buttons for key in keys}
        self.listen(session.queried, self._bind)
        self.listen(session.status_changed, self._bind)
        self._bind()

    @property
    def bound(self) -> tuple[str, ...]:
        """The keys that are bound now."""
        return self._keys.bound

    def _bind(self) -> None:
        layer = self._session.queries
        if layer is None:
            self._keys.release()
        else:
            self._keys.bind(layer)
        for key, buttons in self._buttons.items():
            for button in buttons:
                button.setToolTip(self._keys.hint(key))

    def close(self) -> None:
        """Give the keys back."""
        super().close()
        self._keys.release()
