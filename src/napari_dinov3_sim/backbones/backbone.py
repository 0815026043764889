"""A loaded DINOv3 ViT that turns pixels into patch embeddings."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones.architecture import encoder_of
from napari_dinov3_sim.backbones.devices import OPENVINO, batch_size_for
from napari_dinov3_sim.core.errors import BackboneError, OutOfMemoryError

if TYPE_CHECKING:
    import torch

    from napari_dinov3_sim.core.embedding.queues import DeviceQueues

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "failed to allocate",  # OpenVINO
    "bad_alloc",
)


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
        For example "cpu", "cuda", or "openvino", which is the processor too.
    dtype : str
        "float32" or "bfloat16": of the weights, on Apple's GPUs autocast over float32 ones.
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
        OutOfMemoryError
            The memory of the device did not suffice.
        BackboneError
            The sides are not multiples of the patch size, or the model returned another number
            of tokens.
        """
        import torch

        # A copy outside inference mode is an ordinary tensor, which callers may use freely.
        return self.encode(pixel_values).to("cpu", torch.float32, copy=True).contiguous()

    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Embed as `embed_patches` does, and leave the result on the device of the model.

        With pixels that are there already, nothing waits for a CUDA device.

        Returns
        -------
        torch.Tensor, shape (B, rows * columns, D)
            Of inference mode.
        """
        patches = self._count_patches(pixel_values)
        try:
            tokens = self._forward(pixel_values)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            raise self._out_of_memory(pixel_values) from error
        skip = self._check_tokens(tokens, patches)
        return tokens[:, skip:]

    def queues(self) -> DeviceQueues | None:
        """Return the queues of a CUDA device, which then works beside the processor.

        Returns
        -------
        DeviceQueues or None
            None on the processor, and on Apple's GPUs: torch gives those one queue, in which a
            copy that comes back does not run beside a kernel.
        """
        if not self.device.startswith("cuda"):
            return None
        from napari_dinov3_sim.core.embedding.queues import cuda_queues

        return cuda_queues(self.device)

    def suggest_batch_size(self, height: int, width: int) -> int:
        """Return how many images of `height` × `width` pixels to embed at a time.

        Parameters
        ----------
        height, width : int
            Multiples of the patch size.

        Returns
        -------
        int
            At least 1; see `devices.batch_size_for`.
        """
        import torch

        tokens = (height // self.patch_size) * (width // self.patch_size)
        return batch_size_for(torch.device(self._memory), tokens, self._bytes_per_token())

    def stage(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Bring pixels to a CUDA device, on a stream of their own, while the model runs.

        Meant for the thread that prepares the next batch. On other devices, and where the memory
        does not suffice, the pixels come back as they are: `embed_patches` moves them.

        Parameters
        ----------
        pixel_values : torch.Tensor, shape (B, 3, H', W'), float32

        Returns
        -------
        torch.Tensor
            The same pixels.
        """
        if not self.device.startswith("cuda"):
            return pixel_values
        try:
            return _upload(pixel_values, self.device)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            return pixel_values

    def on_cpu(self) -> DINOv3Backbone:
        """Return the same weights in the same arithmetic on the CPU; the model itself if it is.

        Returns
        -------
        DINOv3Backbone
            With the same fingerprint: states of both may be compared.
        """
        if self._memory == "cpu":
            return self
        has_encoder = self.device.startswith("cuda")
        encoder = self._model.to("cpu") if has_encoder else encoder_of(self._model, self.dtype)
        return replace(self, device="cpu", _model=encoder)

    @property
    def _memory(self) -> str:
        """Where pixels and tokens are, as torch calls it."""
        return "cpu" if self.device == OPENVINO else self.device

    def _bytes_per_token(self) -> int:
        config = getattr(self._model, "config", None)
        inner = getattr(config, "intermediate_size", 4 * self.dim)
        # Residual, normed, query, key, value, attention and their copies; both sides of the MLP.
        return 4 * (8 * self.dim + 2 * inner)

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

        device_type = torch.device(self._memory).type
        # Elsewhere the encoder itself keeps its weights in bfloat16.
        low = self.dtype == "bfloat16" and device_type == "mps"
        with (
            torch.inference_mode(),
            torch.autocast(device_type, torch.bfloat16) if low else nullcontext(),
        ):
            # Never without blocking to the CPU: it would compute before all pixels are there.
            pixels = pixel_values.to(self._memory, non_blocking=device_type == "cuda")
            tokens: torch.Tensor = self._model(pixels).last_hidden_state
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

    def _out_of_memory(self, pixel_values: torch.Tensor) -> OutOfMemoryError:
        _free(self.device)
        height, width = pixel_values.shape[-2:]
        elsewhere = "" if self._memory == "cpu" else ', or load the model with device="cpu"'
        return OutOfMemoryError(
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


def _upload(pixel_values: torch.Tensor, device: str) -> torch.Tensor:
    import torch

    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        uploaded = pixel_values.pin_memory().to(device, non_blocking=True)
    # Waits on this thread only: the pixels are there before the model is given them.
    stream.synchronize()
    return uploaded


def _free(device: str) -> None:
    import torch

    if device.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if device.startswith("mps") and torch.backends.mps.is_available():
        torch.mps.empty_cache()
