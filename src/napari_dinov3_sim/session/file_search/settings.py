"""The model and the settings of a session, as the command line is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.objects.sizes import NO_LEAST, NO_MOST
from napari_dinov3_sim.session.file_search.outputs import output_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.objects.sizes import Area
    from napari_dinov3_sim.session.file_search.outputs import SearchOutput
    from napari_dinov3_sim.session.objects.options import ObjectOptions
    from napari_dinov3_sim.session.results.thresholds import Thresholds
    from napari_dinov3_sim.session.scene import Scene


@dataclass(frozen=True)
class SearchSettings:
    """How files are searched, so that they give what they would give if they were open.

    Attributes
    ----------
    model, device, dtype : str
        As for `load_backbone`.
    factor : float
    shifts : int
    padding : str
        Of the recipe.
    levels : mapping of str to float
        The threshold of each class, by hand or automatic.
    objects : ObjectOptions
        What counts as an object.
    limits : tuple of two float
        The cosines that heatmaps draw darkest and brightest.
    """

    model: str
    device: str
    dtype: str
    factor: float
    shifts: int
    padding: str
    levels: Mapping[str, float]
    objects: ObjectOptions
    limits: tuple[float, float]

    @classmethod
    def of(
        cls,
        scene: Scene,
        thresholds: Thresholds,
        objects: ObjectOptions,
        limits: tuple[float, float],
    ) -> SearchSettings:
        """Return those of the present.

        Raises
        ------
        SimilarityError
            Another process cannot have the model, or not embed in this way.
        """
        embedder = scene.embedder
        identity, recipe = embedder.identity, embedder.recipe
        if identity is None:
            raise PointError("Nothing is asked yet; click on what you mean first.")
        _check_recipe(recipe)
        return cls(
            _checked_model(embedder.model),
            str(getattr(identity, "device", "auto")),
            str(getattr(identity, "dtype", "auto")),
            recipe.factor,
            recipe.shifts,
            recipe.padding,
            thresholds.in_force,
            objects,
            limits,
        )

    def model_options(self) -> tuple[str, ...]:
        """Return the options that choose the model and how pixels become embeddings."""
        options = ["--model", self.model, "--device", self.device, "--dtype", self.dtype]
        options += ["--resolution", f"{self.factor:g}", "--shifts", f"{self.shifts}"]
        return (*options, "--padding", self.padding)

    def options(self, outputs: Sequence[SearchOutput], classes: Sequence[str]) -> tuple[str, ...]:
        """Return all options but those that name files.

        Parameters
        ----------
        outputs : sequence of SearchOutput
        classes : sequence of str
            Of the query.
        """
        found = [*self.model_options(), *output_options(outputs)]
        # Fixed digits: argparse takes -1e-05 for the name of an option.
        found += ["--limits", *(f"{limit:.6f}" for limit in self.limits)]
        if any(output.has_threshold for output in outputs):
            known = [name for name in classes if name in self.levels]
            found += [f"--threshold={name}={self.levels[name]!r}" for name in known]
            found += ["--threshold=otsu"] * (len(known) < len(classes))
            found += self._object_options()
        return tuple(found)

    def _object_options(self) -> list[str]:
        objects = self.objects
        found = ["--outline", objects.outline, *["--split"] * objects.split]
        if objects.min_area != NO_LEAST:
            found.append(f"--min-area={_area_text(objects.min_area)}")
        if objects.max_area != NO_MOST:
            found.append(f"--max-area={_area_text(objects.max_area)}")
        return found


def _area_text(area: Area) -> str:
    """Return an area as the command line reads it, without an exponent."""
    number = f"{area.value:.12f}".rstrip("0").rstrip(".")
    return f"{number}{area.unit}2" if area.unit else number


def _checked_model(model: str) -> str:
    from pathlib import Path

    from napari_dinov3_sim.backbones.registry import lookup

    if lookup(model) is not None:
        return model
    if Path(model).exists():
        return str(Path(model).absolute())
    raise SimilarityError(
        f"The model {model} cannot be loaded by its name, which files that are not open need; "
        "choose it by its name or as a weights file."
    )


def _check_recipe(recipe: Recipe) -> None:
    from napari_dinov3_sim.core.embedding.recipe import Recipe as Plain

    if recipe != Plain(factor=recipe.factor, shifts=recipe.shifts, padding=recipe.padding):
        raise SimilarityError(
            "Files that are not open are searched with tiles of the usual size; set "
            "session.recipe to one with another resolution, shifts or padding alone."
        )
