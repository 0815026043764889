"""Which images are searched, where they lie, and which planes, channels and pixels they have.

May import `session/layer_metadata.py`, `core/` and napari's layers.
"""
