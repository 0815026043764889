"""The pictures of the documentation, taken from a real viewer; see ``docs/screenshots.py``."""
