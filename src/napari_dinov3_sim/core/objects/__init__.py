"""Objects in pixels: scores of pixels, labels, splitting, sizes, depth, and what is measured.

May import `core/search/`, and what that may import.
"""
