"""Objects in pixels: what they are made of, and what is measured of them.

May import `core/search/`, and what that may import.
"""
