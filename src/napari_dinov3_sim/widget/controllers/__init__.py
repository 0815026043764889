"""One controller for each section of the dock: it joins a view to the session.

May import `widget/views/`, `dialogs.py`, `focus.py`, `preferences.py`, `activity.py`, `session/`.
"""
