"""The layers that show an answer over images: heatmaps, class maps, outlines, their style.

May import `session/answering/` and `session/embedding/`, and what these may import.
"""
