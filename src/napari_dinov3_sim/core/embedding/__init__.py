"""From an image to one unit vector per patch: recipes, tiles, batches, the loop over them.

May import `core/images/` and what is directly in `core/`.
"""
