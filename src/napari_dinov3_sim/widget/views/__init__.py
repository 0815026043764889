"""Views, the visible parts of the dock: plain Qt widgets with signals.

May import Qt, `core/` and `backbones/`; from `session/` types only, and no controller.
"""
