"""Layers over images: heatmaps, class maps, outlines, and their style.

May import `session/answering/`, `session/embedding/`, and what these may import.
"""
