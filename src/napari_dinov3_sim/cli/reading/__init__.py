"""From a path on the command line to layers of planes, with the reader that napari would use."""
