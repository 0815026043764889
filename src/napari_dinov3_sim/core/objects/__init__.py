"""Objects in pixels: their edges, what is measured of them, and which of them are the same.

May import `core/images/` and `core/search/`; scikit-image and SciPy inside functions.
"""
