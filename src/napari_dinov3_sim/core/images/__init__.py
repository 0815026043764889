"""Images before the model: levels, intensity, sources that are read region by region.

May import what is directly in `core/`, except `core/state.py`.
"""
