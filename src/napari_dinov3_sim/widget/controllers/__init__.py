"""Controllers, one for each section of the dock: each connects its views to the session.

May import `widget/views/`, what is directly in `widget/` except `dock.py` and `commands.py`, and
all other rings.
"""
