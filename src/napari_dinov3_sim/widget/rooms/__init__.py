"""Controllers, one per section of the dock: between the session and the views of the section.

Rooms know the session and their own views, and nothing of each other.
"""
