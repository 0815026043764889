"""From a path to the images in it: files, folders, Zarr, axes and channels.

May import `core/`, and of `cli/` only `errors.py` and `terminal.py`.
"""
