"""What the mouse and the keys do beside clicks: hover, best match, side by side.

May import `session/scene.py` and `session/layers/`, and what these may import.
"""
