"""Makes the pictures of the documentation: a real viewer, a real mouse, the built-in model.

Needs a screen, for example ``xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshots.py``.
Names of pictures make only these.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def shots() -> dict[str, Callable[[], None]]:
    """Return what takes each picture; some take two."""
    from _shots import animation, clicks, discovery, engine, failures, folder, results

    return {
        "search": animation.search,
        "dock": clicks.first_click,
        "turned": lambda: clicks.across_views("turned", "turned_pair", (110, 180)),
        "stereo": lambda: clicks.across_views("stereo", "stereo_pair", (230, 373)),
        "offer": clicks.offer,
        "drag": clicks.drag,
        "hover": clicks.hover,
        "classes": clicks.classes,
        "combinations": clicks.combinations,
        "region": clicks.regions,
        "best-match": clicks.looking,
        "side-by-side": clicks.side_by_side,
        "scale": results.scale,
        "threshold": results.threshold,
        "table": results.table,
        "exports": results.exports,
        "matches": results.matches,
        "pca": results.colours,
        "saved": results.saved_query,
        "folder": folder.folder,
        "stack": engine.stack,
        "volume": engine.volume,
        "resolutions": engine.resolution,
        "channels": engine.channels,
        "resolution": engine.recipes,
        "discover": discovery.suggestions,
        "tracks": discovery.tracking,
        "failures": failures.failures,
    }


def main(names: list[str]) -> None:
    """Write the pictures of these names, by default all."""
    known = shots()
    for name in names or known:
        start = time.monotonic()
        known[name]()
        print(f"  {name} took {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    # Neither the user's settings nor the user's embeddings have a part in the pictures.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_CONFIG_HOME"] = folder
        main(sys.argv[1:])
