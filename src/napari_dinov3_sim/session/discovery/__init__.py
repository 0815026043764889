"""Classes that are suggested before anything was clicked: clusters of embeddings, with pictures.

May import everything in `session/` up to `gallery/`.
"""
