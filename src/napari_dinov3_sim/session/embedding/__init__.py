"""Planes to embeddings: what is embedded or requested, and the one job that embeds.

May import `session/images/`, `messages.py`, `runner.py`, `layer_metadata.py`, `store/`, `core/`.
"""
