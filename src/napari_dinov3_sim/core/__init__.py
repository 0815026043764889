"""Ring 1, the mathematics: arrays in, arrays out; no files, no napari, no Qt.

What several of its folders use is directly in it. May import numpy and torch, scikit-image and
SciPy inside functions, and no other folder of the package.
"""
