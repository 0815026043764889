"""The controller of files for other programs: where they go, and regions that come back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.dialogs import TABLES, Dialogs

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.exports.exports import Exports
    from napari_dinov3_sim.widget.views.views import Views


FILTERS = {
    "geojson": "GeoJSON (*.geojson);;All files (*)",
    "imagej": "ROI sets (*.zip);;All files (*)",
    "ome-tiff": "OME-TIFF (*.ome.tif);;All files (*)",
    "ome-zarr": "OME-Zarr (*.ome.zarr);;All files (*)",
    "heatmaps": "OME-TIFF (*.ome.tif);;All files (*)",
    "npz": "NumPy archives (*.npz);;All files (*)",
}
"""Of the dialogs for a file."""

TITLES = {
    "geojson": "Export objects for QuPath",
    "imagej": "Export objects for ImageJ",
    "ome-tiff": "Export labels",
    "ome-zarr": "Export labels",
    "heatmaps": "Export heatmaps",
    "npz": "Export embeddings",
}

REGIONS = "Regions (*.geojson *.json *.roi *.zip *.tif *.tiff *.png *.npy);;All files (*)"


class ExportsController(SectionController):
    """The menu of exports, and the button that imports regions.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    dialogs : Dialogs
        Where the paths of files come from.
    """

    def __init__(
        self, viewer: ViewerModel, session: SimilaritySession, views: Views, dialogs: Dialogs
    ) -> None:
        super().__init__(viewer, session, views)
        self._dialogs = dialogs
        views.results.export_picked.connect(self.export)
        views.regions.import_clicked.connect(self.import_regions)
        self.listen(session.exports.done, self._on_done)

    def _on_done(self, sentence: str) -> None:
        show_info(sentence)

    def export(self, name: str) -> None:
        """Ask where a file goes, or a folder for those of several images, and write.

        Parameters
        ----------
        name : str
            A key of `views.results.ENTRIES`.
        """
        if name == "peaks":
            self.save_csv()
            return
        exports = self._session.exports
        with shown_errors():
            names = exports.names(name)
            path, asked = self._place_for(name, names)
            if path:
                _start(exports, name, path, overwrite=asked)

    def _place_for(self, name: str, names: list[str]) -> tuple[str, bool]:
        """Return a path, and whether the user has agreed that the file there is replaced."""
        if len(names) == 1:
            return self._dialogs.ask_for_new_file(TITLES[name], names[0], FILTERS[name]), True
        title = f"{TITLES[name]}: choose a folder for {len(names)} files"
        return self._dialogs.ask_for_folder(title), False

    def save_csv(self) -> None:
        """Ask for a file, and save the peaks as a table."""
        path = self._dialogs.ask_for_new_file("Save peaks", "peaks.csv", TABLES)
        if path:
            with shown_errors():
                self._session.results.save_csv(path)

    def import_regions(self) -> None:
        """Ask for a file with regions, and search for what is in them."""
        path = self._dialogs.ask_for_file("Import regions", REGIONS)
        if path:
            with shown_errors():
                self._session.exports.import_regions(path)


def _start(exports: Exports, name: str, path: str, *, overwrite: bool) -> None:
    # The name was asked for as that of a file; a folder of this name is another thing.
    if overwrite and Path(path).is_dir() and not path.endswith(".zarr"):
        raise SimilarityError(f"{path} is a folder; choose the name of a file.")
    if name == "heatmaps":
        exports.heatmaps(path, overwrite=overwrite)
    elif name == "npz":
        exports.embeddings(path, overwrite=overwrite)
    else:
        exports.objects(path, name, overwrite=overwrite)  # type: ignore[arg-type]
