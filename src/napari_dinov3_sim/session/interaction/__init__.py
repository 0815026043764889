"""Interaction besides clicks: hover, outlines, best match, side by side.

May import `session/layers/`, `session/scene.py`, and what these may import.
"""
