"""A question and its answer: what is asked, the vectors of each class, and the maps.

May import `session/images/`, `messages.py`, `runner.py`, `layer_metadata.py`, `store/`, `core/`.
"""
