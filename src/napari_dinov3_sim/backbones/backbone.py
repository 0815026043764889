"""A loaded DINOv3 ViT that turns pixels into patch embeddings."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.errors import BackboneError

if TYPE_CHECKING:
    import torch

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, eq=False)
class DINOv3Backbone:
    """An encoder: DINOv3 weights on a device, with the arithmetic that runs them.

    Made by `load_backbone`; it never changes. To use another device or arithmetic, load again.

    Attributes
    ----------
    name : str
        Registry name, hub id, or name of the file or folder.
    label : str
        Name for people.
    patch_size : int
        Side of a patch, in pixels.
    dim : int
        Length D of an embedding.
    device : str
        For example "cpu" or "cuda".
    dtype : str
        "float32", or "bfloat16" for autocast over float32 weights.
    mean, std : tuple of float
        Statistics of the normalisation, for RGB in [0, 1].
    fingerprint : str
        sha256 over weights and arithmetic; the same whatever file the weights came in.
    is_builtin : bool
        Whether this is the small network of the package, not a checkpoint of Meta.
    licence : str
        Licence of the weights.
    num_register_tokens : int
        Tokens between the CLS token and the patches; 4 in every official checkpoint.
    """

    name: str
    label: str
    patch_size: int
    dim: int
    device: str
    dtype: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
    is_builtin: bool
    licence: str
    num_register_tokens: int
    _model: Any = field(repr=False)

    def embed_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Embed the patches of a batch of normalised images.

        Parameters
        ----------
        pixel_values : torch.Tensor, shape (B, 3, H', W'), float32
            Sides are multiples of the patch size.

        Returns
        -------
        torch.Tensor, shape (B, rows * columns, D), float32, on the CPU
            Final layer norm applied, row by row, without CLS and register tokens.

        Raises
        ------
        BackboneError
            The sides are not multiples of the patch size, the model returned another number of
            tokens, or the memory of the device did not suffice.
        """
        import torch

        patches = self._count_patches(pixel_values)
        try:
            tokens = self._forward(pixel_values)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            raise self._out_of_memory(pixel_values) from error
        skip = self._check_tokens(tokens, patches)
        # A copy outside inference mode is an ordinary tensor, which callers may use freely.
        return tokens[:, skip:].to("cpu", torch.float32, copy=True).contiguous()

    def _count_patches(self, pixel_values: torch.Tensor) -> int:
        side = self.patch_size
        shape = tuple(pixel_values.shape)
        if len(shape) != 4 or shape[2] % side or shape[3] % side or 0 in shape:
            raise BackboneError(
                f"The model {self.name} cannot embed pixels of shape {shape}; pad them to "
                f"(B, 3, H, W) with H and W multiples of {side}."
            )
        return (shape[2] // side) * (shape[3] // side)

    def _forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        import torch

        kind = torch.device(self.device).type
        low = self.dtype == "bfloat16"
        with (
            torch.inference_mode(),
            torch.autocast(kind, torch.bfloat16) if low else nullcontext(),
        ):
            tokens: torch.Tensor = self._model(pixel_values.to(self.device)).last_hidden_state
        return tokens

    def _check_tokens(self, tokens: torch.Tensor, patches: int) -> int:
        skip = 1 + self.num_register_tokens
        if tokens.shape[1] - patches != skip:
            raise BackboneError(
                f"The model {self.name} returned {tokens.shape[1]} tokens for {patches} patches "
                f"instead of {patches + skip}; choose another model, `napari-dinov3-sim models` "
                "lists them."
            )
        return skip

    def _out_of_memory(self, pixel_values: torch.Tensor) -> BackboneError:
        _free(self.device)
        height, width = pixel_values.shape[-2:]
        elsewhere = "" if self.device == "cpu" else ', or load the model with device="cpu"'
        return BackboneError(
            f"The model {self.name} ran out of memory on {self.device} with {height} × {width} "
            f"pixels; use smaller tiles or a smaller model{elsewhere}."
        )


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    # MPS and the CPU raise a plain RuntimeError.
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        hint in text for hint in _OUT_OF_MEMORY
    )


def _free(device: str) -> None:
    import torch

    if device.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.empty_cache()
