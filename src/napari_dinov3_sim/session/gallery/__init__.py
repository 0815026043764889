"""The gallery: places that were found in all images, to be judged right or wrong.

May import `session/results/`, `session/query/`, and what these may import.
"""
