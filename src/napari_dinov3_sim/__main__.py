"""``python -m napari_dinov3_sim``: the command line."""

from __future__ import annotations

import sys

from napari_dinov3_sim.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
