"""The search that `similarity` and `search` share: planes in, results out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones import ModelError
from napari_dinov3_sim.cli.embeddings import find_embeddings, open_store, recipe_of
from napari_dinov3_sim.cli.errors import Failures, PlaneFailed, UsageError, failed
from napari_dinov3_sim.cli.model import describe_model, say_model
from napari_dinov3_sim.cli.output.files import (
    OutputOptions,
    check_inputs_survive,
    check_nothing_is_replaced,
    check_outputs_differ,
    lent_folder,
    note_leftovers,
    output_names,
    table_names,
)
from napari_dinov3_sim.cli.output.results import Result, SearchReport, say_results, write_results
from napari_dinov3_sim.cli.planes import FilePlan, PlaneOpener, SearchPlane, name_planes, plan
from napari_dinov3_sim.cli.reading.options import ReadOptions
from napari_dinov3_sim.cli.reading.paths import files_of
from napari_dinov3_sim.cli.terminal import note, say
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.images.intensity import NO_CONTRAST
from napari_dinov3_sim.store.cached_embedding import CachedEmbedder
from napari_dinov3_sim.store.query_files import check_replaceable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from napari_dinov3_sim.cli.model import CommandModel
    from napari_dinov3_sim.cli.output.files import OutputFolder
    from napari_dinov3_sim.cli.output.thresholds import AskedClasses
    from napari_dinov3_sim.cli.terminal import ProgressBars
    from napari_dinov3_sim.core.search.similarity import SimilarityMap
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.store.cached_embedding import FoundEmbeddings

    Score = Callable[[PatchImageState], Sequence[SimilarityMap]]


NOTHING = (
    "{folder} holds nothing for {name}, which is embedded now: what is there was made with "
    "another model, arithmetic, resolution, shifts, padding, --read-as or --reader, or of other "
    "pixels."
)


@dataclass(eq=False)
class EmbeddingFinder:
    """Finds or makes the embeddings of planes.

    Attributes
    ----------
    planes : PlaneOpener
    embedder : CachedEmbedder
    bars : ProgressBars
    count : int
        How many planes there are, for the progress.
    """

    planes: PlaneOpener
    embedder: CachedEmbedder
    bars: ProgressBars
    count: int
    _found: int = 0
    _missing: set[Path] = field(default_factory=set)
    _flat: set[Path] = field(default_factory=set)

    def find(self, place: SearchPlane) -> FoundEmbeddings:
        """Return the embeddings of a plane, computed if they are not stored."""
        self._found += 1
        which = f" ({self._found} of {self.count})" if self.count > 1 else ""
        progress = self.bars.tiles(f"Embedding {place.short_name}{which}")
        source, window = self.planes.source(place), self.planes.window(place)
        found, contrast = find_embeddings(
            self.embedder,
            source,
            place.short_name,
            window,
            progress=progress,
            on_missing=partial(self._note_missing, place),
        )
        if not contrast and (place.is_only or window is not None):
            self._note_once(place, NO_CONTRAST.format(name=place.path), self._flat)
        return found

    def attempt(self, place: SearchPlane) -> FoundEmbeddings | PlaneFailed:
        """Return the embeddings of a plane, or why it has none, which does not stop the others."""
        try:
            return self.find(place)
        except (ModelError, StoreError):  # no other plane would fare better
            raise
        except Exception as error:
            return failed(place.path, error)

    def _note_missing(self, place: SearchPlane) -> None:
        if self.embedder.keeps:  # it fills the folder, so that nothing is amiss
            return
        disk = self.embedder.store.disk
        folder = None if disk is None else disk.folder
        self._note_once(place, NOTHING.format(folder=folder, name=place.name), self._missing)

    def _note_once(self, place: SearchPlane, text: str, told: set[Path]) -> None:
        """Tell something of the first plane of a file that it is true of."""
        if place.path not in told:
            note(f"note: {text}")
        told.add(place.path)


@dataclass(frozen=True, eq=False)
class Search:
    """A search as the command line wants it.

    Attributes
    ----------
    arguments : argparse.Namespace
    wanted : OutputOptions
    classes : tuple of str
        Names of what is searched.
    places : list of SearchPlane
        All planes of all files, each file once.
    files : int
        How many files there are, those that failed among them.
    failures : Failures
    """

    arguments: argparse.Namespace
    wanted: OutputOptions
    classes: tuple[str, ...]
    places: list[SearchPlane]
    files: int
    failures: Failures

    @cached_property
    def planes(self) -> PlaneOpener:
        """Opens the planes, and keeps the windows of their layers."""
        return PlaneOpener(ReadOptions.of(self.arguments))

    @classmethod
    def of(
        cls,
        arguments: argparse.Namespace,
        classes: Iterable[str],
        paths: Sequence[Path],
        first: FilePlan | None = None,
        *,
        bars: ProgressBars,
        thresholds: Mapping[str, float] | None = None,
    ) -> Search:
        """Return the search of some files; those that cannot be read are told and left out.

        Parameters
        ----------
        arguments : argparse.Namespace
        classes : iterable of str
        paths : sequence of Path
            Each once.
        first : FilePlan, optional
            A file that stands before them, and has been looked into.
        bars : ProgressBars
            Hear how far it is.
        thresholds : mapping of str to float, optional
            Those of a saved query, by class.
        """
        wanted, failures = OutputOptions.of(arguments, thresholds), Failures(bars.failed)
        names = tuple(classes)
        wanted.thresholds.check(names)
        found = []
        for number, path in enumerate(paths):
            bars.tell("look", image=str(path), done=number, files=len(paths))
            found.append(plan(path, ReadOptions.of(arguments)))
        for file in found:
            if isinstance(file, PlaneFailed):
                failures.add(file)
        plans = [file for file in [first, *found] if isinstance(file, FilePlan)]
        files = len(paths) + (first is not None)
        return cls(arguments, wanted, names, name_planes(plans), files, failures)

    def check(self, inputs: Sequence[Path] = (), saved_query: Path | None = None) -> None:
        """Raise an error if something that is read, written, or no saved query would be replaced.

        Parameters
        ----------
        inputs : sequence of Path
            What is read besides the images.
        saved_query : Path, optional
            What is written besides the results.
        """
        names = output_names([place.stem for place in self.places], self.classes, self.wanted)
        if self.wanted.measure:
            names += table_names(place.image_stem for place in self.places)
        results = [self.arguments.out / name for name in names]
        images = dict.fromkeys(place.path for place in self.places)
        outputs = results if saved_query is None else [*results, saved_query]
        files = (file for path in images for file in files_of(path))
        check_inputs_survive([*inputs, *files], outputs)
        if saved_query is not None:
            check_outputs_differ(saved_query, results)
            check_replaceable(saved_query)
        if not self.arguments.overwrite:
            check_nothing_is_replaced(outputs)

    def folder(self) -> AbstractContextManager[OutputFolder]:
        """Make the folder of the results, as long as something is written into it."""
        return lent_folder(self.arguments.out)

    def finder(self, model: CommandModel, bars: ProgressBars) -> EmbeddingFinder:
        """Return what finds the embeddings of planes, or makes them."""
        keeps = self.arguments.keep_embeddings
        store = open_store(self.arguments.embeddings, must_write=keeps)
        embedder = CachedEmbedder(model, recipe_of(self.arguments), store, note, keeps=keeps)
        return EmbeddingFinder(self.planes, embedder, bars, len(self.places))

    def results(
        self, finder: EmbeddingFinder, score: Score, clicked: Result | None = None
    ) -> Iterator[Result]:
        """Return the maps of each plane, one after the other; only maps are kept in memory.

        Parameters
        ----------
        finder : EmbeddingFinder
        score : callable
            From embeddings to maps.
        clicked : Result, optional
            One that is known.
        """
        bars = finder.bars
        bars.tell("start", files=self.files, planes=len(self.places))
        for number, place in enumerate(self.places):
            about = {"image": str(place.path), "plane": place.short_name}
            bars.tell("plane", **about, done=number, planes=len(self.places))
            is_clicked = clicked is not None and place == clicked.place
            result = clicked if is_clicked else self._result(finder, score, place)
            if result is not None:
                yield result
                bars.tell("done", **about, stored=result.stored)

    def _result(self, finder: EmbeddingFinder, score: Score, place: SearchPlane) -> Result | None:
        found = finder.attempt(place)
        if isinstance(found, PlaneFailed):
            self.failures.add(found)
            return None
        return Result(place, tuple(score(found.state)), found.state.window, found.was_stored)

    def write(
        self, results: Iterable[Result], folder: OutputFolder, asked: AskedClasses
    ) -> SearchReport:
        """Write the files of all planes."""
        return write_results(
            results,
            self.classes,
            self.wanted,
            folder,
            self.planes,
            failures=self.failures,
            asked=asked,
        )

    def tell(
        self,
        written: SearchReport,
        folder: OutputFolder,
        model: CommandModel,
        asked: dict[str, Any],
        images: list[dict[str, Any]],
        *,
        bars: ProgressBars,
    ) -> int:
        """Tell what was found, as a table or as one JSON object, and return the exit code.

        Parameters
        ----------
        written : SearchReport
        folder : OutputFolder
        model : CommandModel
        asked, images
            What was asked and what is reported of each plane, for the JSON object.
        bars : ProgressBars
            Hear the end.
        """
        bars.tell(
            "end",
            files=self.files,
            failed=self.failures.names,
            objects=written.objects(),
            folder=str(folder.path),
        )
        if self.arguments.json:
            about = {**describe_model(model.identity), **written.summary(), "images": images}
            say(json.dumps({**asked, **about, "failures": self.failures.as_objects()}))
        elif written.entries and self.arguments.progress != "json":
            say_model(model.identity)
            say_results(written, folder)
        files = written.summary()["files"]
        stems = [stem for place in self.places for stem in (place.stem, place.image_stem)]
        note_leftovers(folder.path, stems, files)
        return self.failures.close(self.files)


def check_embeddings_folder(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for a folder of embeddings that is not there, and is not to be made."""
    folder: Path | None = arguments.embeddings
    if arguments.keep_embeddings:
        if folder is None:
            raise UsageError("--keep-embeddings needs a folder for them; add --embeddings DIR.")
    elif folder and not folder.is_dir():
        raise UsageError(
            f"There is no folder {folder}; make it with `napari-dinov3-sim embed`, or leave "
            "--embeddings out."
        )
