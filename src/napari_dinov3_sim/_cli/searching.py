"""What `similarity` and `search` have in common: images in, results out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.embedding import ImageEmbedder, recipe_of
from napari_dinov3_sim._cli.entries import say_results
from napari_dinov3_sim._cli.images import read_all_once, read_image
from napari_dinov3_sim._cli.model import describe_model, say_model
from napari_dinov3_sim._cli.outputs import (
    check_inputs_survive,
    open_folder,
    unique_stems,
    without_repeats,
)
from napari_dinov3_sim._cli.results import (
    Wanted,
    check_embeddings_folder,
    note_renamed,
    output_names,
    write_results,
)
from napari_dinov3_sim._cli.terminal import note, say
from napari_dinov3_sim.store import DiskStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim._cli.entries import Written
    from napari_dinov3_sim._cli.model import LazyModel
    from napari_dinov3_sim._cli.outputs import OutputFolder
    from napari_dinov3_sim._cli.results import Result
    from napari_dinov3_sim._cli.terminal import Bars


@dataclass(frozen=True, eq=False)
class Search:
    """A search as the command line wants it.

    Attributes
    ----------
    arguments : argparse.Namespace
    images : list of Path
        Each once.
    stems : list of str
        By which the results of each image are called.
    kinds : tuple of str
        Names of what is searched.
    wanted : Wanted
    """

    arguments: argparse.Namespace
    images: list[Path]
    stems: list[str]
    kinds: tuple[str, ...]
    wanted: Wanted

    @classmethod
    def of(
        cls, arguments: argparse.Namespace, images: Iterable[Path], kinds: Iterable[str]
    ) -> Search:
        """Return the search of some images."""
        once = without_repeats(images)
        return cls(arguments, once, unique_stems(once), tuple(kinds), Wanted.of(arguments))

    @property
    def read(self) -> Callable[[Path], NDArray[Any]]:
        """Returns the pixels of an image."""
        return partial(read_image, read_as=self.arguments.read_as)

    def check(self, inputs: Sequence[Path] = (), outputs: Sequence[Path] = ()) -> None:
        """Find every mistake that can be found before the model is loaded.

        Parameters
        ----------
        inputs, outputs : sequence of Path
            What is read besides the images, and written besides the results.
        """
        check_embeddings_folder(self.arguments.embeddings)
        read_all_once(self.images, self.arguments.read_as)
        names = output_names(self.stems, self.kinds, self.wanted)
        results = [self.arguments.out / name for name in names]
        check_inputs_survive([*inputs, *self.images], [*results, *outputs])
        note_renamed(self.images, self.stems)

    def open_folder(self) -> OutputFolder:
        """Make the folder of the results."""
        return open_folder(self.arguments.out)

    def embedder(self, model: LazyModel, bars: Bars) -> ImageEmbedder:
        """Return what embeds the images, or finds their embeddings."""
        folder = self.arguments.embeddings
        store = DiskStore(folder, warn=note) if folder else None
        recipe = recipe_of(self.arguments)
        return ImageEmbedder(model, store, bars, recipe, self.arguments.read_as)

    def write(self, results: Sequence[Result], folder: OutputFolder) -> Written:
        """Write the files of all images."""
        return write_results(results, self.stems, self.kinds, self.wanted, folder, read=self.read)

    def tell(
        self,
        written: Written,
        folder: OutputFolder,
        model: LazyModel,
        asked: dict[str, Any],
        images: list[dict[str, Any]],
    ) -> None:
        """Tell what was found, as a table or as one JSON object.

        Parameters
        ----------
        written : Written
        folder : OutputFolder
        model : LazyModel
        asked, images
            What was asked and what is reported of each image, for the JSON object.
        """
        if self.arguments.json:
            about = describe_model(model.identity)
            say(json.dumps({**asked, **about, **written.summary(), "images": images}))
        else:
            say_model(model.identity)
            say_results(written, folder)
