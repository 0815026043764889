"""Ring 2, image files: `reader.get_reader` for napari, `reader.open_image_file` for the rest.

What napari's own reader opens wrongly or not at all is read here; the window (through the
manifest) and the command line call the same functions. May import `core/`; neither napari nor Qt.
"""
