"""Files of other programs: objects, labels, heatmaps and embeddings out, regions in.

May import `core/`, `store/` and `readers/`, and tifffile, zarr, roifile, Pillow and scikit-image
inside functions; neither napari nor Qt. A folder of its own, because what QuPath or ImageJ expects
of a file changes with those programs, and not with this one.

Places are pixels of level 0 as QuPath and ImageJ count them: the first pixel covers 0 to 1 along x
and y, so that corners of pixels are whole numbers. napari has the centre of the first pixel at 0.
"""
