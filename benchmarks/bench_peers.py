"""What others take for the same work, with the same weights, side by side in one process.

Run `python benchmarks/bench_peers.py [--sides 1024 2048 4096] [--repeats 3]`. The model is a
ViT-S/16 with random weights. These take turns, so that other work on the computer disturbs all
alike, and the least of each counts:

- *chosen* and *float32*: this package, with the arithmetic that it chooses, and in float32;
- *napari-dinosim*: the pipeline of napari-dinosim 0.1.5, its pre- and post-processing and its
  search by nearest neighbours, with the same model in its place for DINOv2 and crops of 512²
  pixels (37 patches of 14 pixels have become 32 of 16);
- *transformers, tiles*: a float32 loop over tiles of 512² that do not overlap;
- *transformers, whole*: the float32 model on the whole image, up to `--whole-up-to`.

*core-s/MP* is processor time to embed a megapixel, with all that is done before and after the
model. *click* is processor time from a point to the map in the resolution of the image, with
embeddings that are there; the loops keep none. *Ratios* are to *float32*: what others take more.
*Ceiling* is how fast this package would be if it computed the operations of the model as fast as
a product of two float32 matrices of 2048².

napari-dinosim is no dependency. To have it measured, install it without its dependencies, which
would replace torch: `pip install --no-deps napari-dinosim==0.1.5 torchvision
opencv-python-headless`, with the torchvision that belongs to your torch.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from bench_embed import MATRICES, PRODUCT, Cost, flops, in_turns, plain_tiles
from common import machine, picture, plain_embed, random_vit, random_vits16
from transformers import DINOv3ViTConfig

import napari_dinov3_sim as nds

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from transformers import DINOv3ViTModel

CROP = 512
"""Side of what goes through the model at once, in pixels."""


def main() -> None:
    """Print one table per image side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=3, help="up to 1024²; fewer above")
    parser.add_argument("--whole-up-to", type=int, default=1024)
    options = parser.parse_args()
    model, exact = random_vits16()
    chosen = random_vit(DINOv3ViTConfig(num_register_tokens=4), dtype="auto")[1]
    missing = why_missing()
    print(f"ViT-S/16, random weights; {machine()}; chosen: {chosen.dtype}")
    if missing:
        print(f"napari-dinosim is not measured ({missing}); see the head of this script")
    for side in options.sides:
        table(side, model, {"chosen": chosen, "float32": exact}, options, has_dinosim=not missing)


def table(
    side: int,
    model: DINOv3ViTModel,
    backbones: dict[str, Any],
    options: argparse.Namespace,
    *,
    has_dinosim: bool,
) -> None:
    """Measure and print all that embeds an image of one side."""
    image = picture(side)
    embed: dict[str, Callable[[], object]] = {
        name: lambda backbone=backbone: nds.create_patch_image_state(image, backbone)
        for name, backbone in backbones.items()
    }
    click = {
        name: clicker(nds.create_patch_image_state(image, backbone))
        for name, backbone in backbones.items()
    }
    if has_dinosim:
        dinosim = Dinosim(model)
        embed["napari-dinosim"] = lambda: dinosim.embed(image)
        dinosim.embed(image)
        click["napari-dinosim"] = lambda: dinosim.click(side // 2, side // 2)
    embed["transformers, tiles"] = lambda: plain_tiles(model, image)
    if side <= options.whole_up_to:
        embed["transformers, whole"] = lambda: plain_embed(model, image)
    repeats = max(1, options.repeats - side // 1024 + 1)
    product, *costs = in_turns([lambda: torch.mm(*MATRICES), *embed.values()], repeats)
    clicks = dict(zip(click, in_turns([*click.values()], 5), strict=True))
    operations = flops(model.config, (side, side), 16)
    print_table(side, dict(zip(embed, costs, strict=True)), clicks, product.cores, operations)


def print_table(
    side: int,
    costs: dict[str, Cost | None],
    clicks: dict[str, Cost | None],
    product: float,
    operations: float,
) -> None:
    """Print one row for each that was measured."""
    megapixels = side * side / 1e6
    print(f"\n{side}²                core-s/MP   ratio   click, ms   ratio")
    for name, cost in costs.items():
        line = (
            f"{name:20} {cost.cores / megapixels:10.2f} {cost.cores / costs['float32'].cores:7.2f}"
        )
        if name in clicks:
            ratio = clicks[name].cores / clicks["float32"].cores
            line += f" {clicks[name].cores * 1e3:11.1f} {ratio:7.1f}"
        print(line, flush=True)
    ceiling = operations * product / (2 * PRODUCT**3)
    print(f"{'ceiling':20} {ceiling / megapixels:10.2f} {ceiling / costs['float32'].cores:7.2f}")


def clicker(state: nds.PatchImageState) -> Callable[[], np.ndarray]:
    """Return a click into the middle of an image that is searched itself."""
    middle = (state.image_shape[1] / 2, state.image_shape[0] / 2)

    def click() -> np.ndarray:
        (found,) = nds.create_similarity_images(state, middle, [state])
        return found.full_resolution("display")

    return click


def why_missing() -> str:
    """Return why napari-dinosim cannot be imported, or nothing."""
    try:
        import napari_dinosim.utils  # noqa: F401
    except Exception as error:  # its own imports fail in many ways
        return f"{type(error).__name__}: {error}"
    return ""


class Dinosim:
    """The pipeline of napari-dinosim as its widget uses it, around another model.

    Parameters
    ----------
    model : DINOv3ViTModel
    """

    def __init__(self, model: DINOv3ViTModel) -> None:
        from napari_dinosim.utils import (
            DINOSim_pipeline,
            gaussian_kernel,
            get_img_processing_f,
            torch_convolve,
        )

        def features(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"x_norm_patchtokens": model(pixels).last_hidden_state[:, 5:]}

        # It asks its model for nothing else.
        wrapped = SimpleNamespace(forward_features=features)
        kernel = torch.tensor(gaussian_kernel(size=3, sigma=1), dtype=torch.float32)
        self._filter = lambda distances: torch_convolve(distances, kernel)
        self._pipeline = DINOSim_pipeline(
            wrapped,
            16,
            torch.device("cpu"),
            get_img_processing_f(resize_size=CROP),
            model.config.hidden_size,
            dino_image_size=CROP,
        )

    def embed(self, image: np.ndarray) -> None:
        """Embed an image, without overlap, crop by crop, as the widget asks for it."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._pipeline.pre_compute_embeddings(
                image[None],
                overlap=(0, 0),
                padding=(0, 0),
                crop_shape=(CROP, CROP, 3),
                verbose=False,
                batch_size=1,
            )

    def click(self, x: float, y: float) -> np.ndarray:
        """Return the map of one point, smoothed and enlarged as in the widget."""
        self._pipeline.set_reference_vector([(0, x, y)], filter=self._filter)
        distances = self._pipeline.get_ds_distances_sameRef(verbose=False)
        found: np.ndarray = self._pipeline.distance_post_processing(
            distances, self._filter, upsampling_mode="bilinear"
        )
        return found


if __name__ == "__main__":
    main()
