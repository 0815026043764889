"""Tracks: objects of Labels layers that are the same in the planes of a stack.

May import everything in `session/` up to `results/`.
"""
