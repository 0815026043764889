"""The visible parts of the dock: plain Qt widgets with signals; none knows the session.

May import Qt and `core/`; not `widget/controllers/`.
"""
