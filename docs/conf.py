"""How the documentation is built: `make docs`. Nothing is fetched."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from napari_dinov3_sim import __version__

project = "napari-dinov3-sim"
author = "The napari-dinov3-sim developers"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "from_the_code"]
exclude_patterns = ["_build"]
suppress_warnings = ["config.cache"]

smartquotes = False  # messages and options are found as they are typed

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"napari-dinov3-sim {release}"
html_theme_options = {
    "source_repository": "https://github.com/napari-dinov3-sim/napari-dinov3-sim/",
    "source_branch": "main",
    "source_directory": "docs/",
}
