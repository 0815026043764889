"""Images of the viewer: which are searched, where they are, their planes, channels and pixels.

May import `core/`, `session/layer_metadata.py` and napari's layers.
"""
