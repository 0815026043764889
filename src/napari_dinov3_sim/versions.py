"""What differs between the releases of other libraries that the package works with.

Nothing is imported before it is called, so that every ring may ask here; a ring asks only for what
it may import itself. Each function says from which release on it is not needed: when the lower
bound in `pyproject.toml` has passed it, the function goes.
"""

from __future__ import annotations

import functools
import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.components.camera import Camera
    from napari.components.grid import GridCanvas
    from napari.layers import Layer


def ask_hub(url: str, seconds: float) -> None:
    """Ask the Hugging Face Hub once for the header of a file; what it answers is raised.

    Before huggingface_hub 1.0 its own function tries six times: 23 s without a network.

    Parameters
    ----------
    url : str
        From ``hf_hub_url``.
    seconds : float
        That the hub has to answer.
    """
    from huggingface_hub import errors, get_hf_file_metadata

    if hasattr(errors, "RemoteEntryNotFoundError"):
        get_hf_file_metadata(url, timeout=seconds)
        return
    utils: Any = import_module("huggingface_hub.utils")
    headers = utils.build_hf_headers()
    utils.hf_raise_for_status(utils.get_session().head(url, headers=headers, timeout=seconds))


def network_errors() -> tuple[type[Exception], ...]:
    """Return what is raised when the Hugging Face Hub cannot be reached.

    The errors of the hub derive from the base of all errors of its HTTP library, and before
    huggingface_hub 1.0 from one beside those of a connection.

    Returns
    -------
    tuple of type
    """
    from huggingface_hub import errors

    http = errors.HfHubHTTPError.__bases__[0]
    if http.__module__.startswith("requests"):
        http = http.__bases__[0]
    return (http, ConnectionError, TimeoutError)


def download_with_bar(repo: str, filename: str, bar: type[Any]) -> str:
    """Download a file of a repository on the hub, with a progress bar of another class.

    Before huggingface_hub 1.0 the class cannot be given, and so takes the place of the hub's own.

    Parameters
    ----------
    repo, filename : str
        Where it is on the hub.
    bar : type
        Such as ``tqdm``.

    Returns
    -------
    str
        Path of the file in the local cache.
    """
    import huggingface_hub

    download = huggingface_hub.hf_hub_download
    if "tqdm_class" in inspect.signature(download).parameters:
        return str(download(repo, filename, tqdm_class=bar))
    module, own = _bar_of_hub()
    module.tqdm = bar
    try:
        return str(download(repo, filename))
    finally:
        module.tqdm = own


@functools.cache
def _bar_of_hub() -> tuple[Any, type[Any]]:
    # Once: while one download has replaced the bar, another one must not take it for the hub's.
    module = import_module("huggingface_hub.utils.tqdm")
    return module, module.tqdm


def camera_of(viewer: ViewerModel) -> Camera:
    """Return what shows which part of the world; napari 0.9 has moved it into the scene."""
    return getattr(viewer, "scene", viewer).camera


def grid_of(viewer: ViewerModel) -> GridCanvas:
    """Return what shows layers side by side; napari 0.9 has moved it into the canvas."""
    return getattr(viewer, "canvas", viewer).grid


def fit_to_layers(viewer: ViewerModel, layers: Sequence[Layer]) -> None:
    """Fit the view to layers, each with as many axes as the viewer.

    Older releases fit it to all layers; there it is then moved and enlarged. This shows a little
    more than the layers where these are of another shape than all together.

    Parameters
    ----------
    viewer : ViewerModel
    layers : sequence of Layer
        In ``viewer.layers``.
    """
    if "layers" in inspect.signature(viewer.fit_to_view).parameters:
        viewer.fit_to_view(layers=layers)
        return
    viewer.fit_to_view()
    shown = list(viewer.dims.displayed)
    whole, part = viewer.layers.extent, viewer.layers.get_extent(layers)
    camera = camera_of(viewer)
    camera.center = tuple(part.world.mean(axis=0)[shown])
    sizes = [one.world[1] - one.world[0] + one.step for one in (whole, part)]
    camera.zoom *= (sizes[0] / sizes[1])[shown].min()


def layers_in_viewbox(viewer: ViewerModel, viewbox: tuple[int, int]) -> Sequence[int]:
    """Return which layers napari's grid shows in a viewbox.

    Older releases are told how many layers there are, newer ones which, and leave out the hidden.

    Parameters
    ----------
    viewer : ViewerModel
    viewbox : tuple of int
        Row and column.

    Returns
    -------
    sequence of int
        Indices into ``viewer.layers``.
    """
    contents_at = grid_of(viewer).contents_at
    counted = "nlayers" in inspect.signature(contents_at).parameters
    found: Sequence[int] = contents_at(viewbox, len(viewer.layers) if counted else viewer.layers)
    return found


def plugin_preferences(plugin: str) -> Any:
    """Return what the user set of a plugin in napari's preferences.

    napari has preferences of plugins since 0.9; before, there are none.

    Parameters
    ----------
    plugin : str
        Name of the plugin.

    Returns
    -------
    object or None
    """
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    return get_plugin_settings(plugin)
