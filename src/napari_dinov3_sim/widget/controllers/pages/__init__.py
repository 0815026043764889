"""Controllers of the pages that have docks of their own: gallery, table, suggestions, files.

May import what a controller of the dock may, and `widget/controllers/base.py`.
"""
