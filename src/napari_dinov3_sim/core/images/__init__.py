"""Images before the model: levels, intensity, sources that are read region by region.

May import `core/errors.py`, `geometry.py`, `protocols.py`, `vectors.py` and `text.py`.
"""
