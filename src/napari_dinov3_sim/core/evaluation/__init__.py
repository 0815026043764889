"""How well features find what is meant: one click on images whose classes are known.

May import what is directly in `core/`, and NumPy; SciPy and scikit-image inside functions.
"""
