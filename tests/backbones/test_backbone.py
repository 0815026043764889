"""What a loaded backbone promises: tokens, device, arithmetic and clear refusals."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import DINOv3ViTModel

from napari_dinov3_sim.backbones import (
    DeviceError,
    DINOv3Backbone,
    architecture,
    devices,
    engines,
    load_backbone,
)
from napari_dinov3_sim.backbones.devices import processor_has_bfloat16
from napari_dinov3_sim.core.embedding import queues
from napari_dinov3_sim.core.embedding.encoder import Encoder
from napari_dinov3_sim.core.errors import BackboneError, OutOfMemoryError

from .factories import official, pixels, save, tiny_model, tokens_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save(official(tiny_model()), tmp_path / "tiny.safetensors")


@pytest.fixture
def backbone(weights: Path) -> DINOv3Backbone:
    return load_backbone(weights, device="cpu")


@pytest.mark.parametrize("registers", [0, 1, 4])
def test_patches_begin_after_cls_and_registers(tmp_path: Path, registers: int) -> None:
    model = tiny_model(registers=registers)
    path = save(official(model), tmp_path / "weights.safetensors")
    found = load_backbone(path, device="cpu")
    expected = tokens_of(model, pixels())
    assert found.num_register_tokens == registers
    assert expected.shape[1] == 15 + 1 + registers
    torch.testing.assert_close(
        found.embed_patches(pixels()), expected[:, 1 + registers :], rtol=0, atol=1e-5
    )


def test_attributes(backbone: DINOv3Backbone) -> None:
    assert (backbone.name, backbone.patch_size, backbone.dim) == ("tiny", 16, 64)
    assert (backbone.device, backbone.dtype) == ("cpu", "float32")
    assert not backbone.is_builtin
    assert len(backbone.fingerprint) == 64
    assert "unknown" in backbone.licence
    with pytest.raises(dataclasses.FrozenInstanceError):
        backbone.device = "cuda"  # type: ignore[misc]


def test_result_is_an_ordinary_tensor(backbone: DINOv3Backbone) -> None:
    found = backbone.embed_patches(pixels())
    assert not found.is_inference()
    assert found.is_contiguous()
    assert not found.requires_grad


@pytest.fixture
def network() -> DINOv3ViTModel:
    """The model of `weights` as it is on a GPU, but here."""
    state = official(tiny_model())
    return architecture.build_model(
        state, architecture.infer_architecture(state, None, "tiny"), "tiny"
    )


def test_model_is_in_evaluation_mode_and_on_no_meta_device(network: DINOv3ViTModel) -> None:
    tensors = [*network.parameters(), *network.buffers()]
    assert not any(module.training for module in network.modules())
    assert not any(tensor.is_meta or tensor.requires_grad for tensor in tensors)


@pytest.mark.parametrize("nested", [False, True])
def test_both_names_of_the_blocks(nested: bool) -> None:
    """Releases of transformers disagree on `layer.N` and `model.layer.N`."""
    prefix = "model." if nested else ""
    expected = {f"{prefix}layer.0.norm1.bias": torch.zeros(1), "norm.bias": torch.zeros(1)}
    state = {"layer.0.norm1.bias": torch.zeros(1), "norm.bias": torch.zeros(1)}
    assert architecture._named_as(expected, state).keys() == expected.keys()


@pytest.mark.parametrize("shape", [(1, 3, 40, 64), (3, 64, 64), (1, 3, 0, 16), (0, 3, 16, 16)])
def test_pixels_that_are_not_padded(backbone: DINOv3Backbone, shape: tuple[int, ...]) -> None:
    with pytest.raises(BackboneError, match=r"tiny cannot embed pixels .* multiples of 16\.$"):
        backbone.embed_patches(torch.zeros(shape))


def test_wrong_number_of_tokens(backbone: DINOv3Backbone) -> None:
    model = SimpleNamespace(last_hidden_state=torch.zeros(1, 16, 64))
    broken = dataclasses.replace(backbone, _model=lambda _: model)
    with pytest.raises(BackboneError, match="returned 16 tokens for 15 patches instead of 20"):
        broken.embed_patches(pixels())


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 6 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        MemoryError(),
    ],
)
def test_out_of_memory(backbone: DINOv3Backbone, error: Exception) -> None:
    def explode(_: torch.Tensor) -> None:
        raise error

    # The pixels go to "meta", which every machine has and which is not the CPU.
    broken = dataclasses.replace(backbone, _model=explode, device="meta")
    with pytest.raises(BackboneError) as caught:
        broken.embed_patches(pixels())
    assert str(caught.value) == (
        "The model tiny ran out of memory on meta with 48 × 80 pixels; use smaller tiles or a "
        'smaller model, or load the model with device="cpu".'
    )


def test_other_errors_pass(backbone: DINOv3Backbone) -> None:
    def explode(_: torch.Tensor) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        dataclasses.replace(backbone, _model=explode).embed_patches(pixels())


def test_bfloat16_is_close_and_says_so(weights: Path, backbone: DINOv3Backbone) -> None:
    low = load_backbone(weights, device="cpu", dtype="bfloat16")
    found, exact = low.embed_patches(pixels()), backbone.embed_patches(pixels())
    assert low.dtype == "bfloat16"
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    assert torch.nn.functional.cosine_similarity(found, exact, dim=-1).min() > 0.999


@pytest.mark.parametrize("device", ["tpu", "meta", "cuda:x", "xla"])
def test_unknown_device(weights: Path, device: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load_backbone(weights, device=device)
    assert "tiny.safetensors" in str(caught.value)
    assert f'there is no device "{device}"' in str(caught.value)
    assert 'use device="auto", "cpu", "openvino", "cuda" or "mps".' in str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "cuda:3", "mps"])
def test_device_that_is_not_there(
    weights: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=f'finds no device "{device}"; use device="auto"'):
        load_backbone(weights, device=device)


@pytest.mark.parametrize("dtype", ["float16", "int8", ""])
def test_unknown_dtype(weights: Path, dtype: str) -> None:
    with pytest.raises(DeviceError, match=f'no dtype "{dtype}"; use dtype="auto", "float32" or'):
        load_backbone(weights, device="cpu", dtype=dtype)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_order_of_devices(
    cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.choose_device("auto", "any").type == expected


@pytest.mark.parametrize(
    ("device", "capable", "model", "expected"),
    [
        ("cuda", True, "dinov3-vitl16", "bfloat16"),
        ("cuda", True, "builtin", "float32"),
        ("cuda", False, "dinov3-vitl16", "float32"),
        ("mps", True, "dinov3-vitl16", "float32"),
        ("cpu", True, "dinov3-vitl16", "bfloat16"),
        ("cpu", True, "builtin", "float32"),
        ("cpu", False, "dinov3-vitl16", "float32"),
    ],
)
def test_automatic_dtype(
    device: str, capable: bool, model: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: capable)
    monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: capable)
    assert devices.choose_dtype("auto", torch.device(device), model) == expected


@pytest.mark.parametrize("name", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_instructions_of_the_processor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = processor_has_bfloat16
    for other in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, other, raising=False)
    assert not probe()  # a release of torch, or a processor, that has neither question
    monkeypatch.setattr(torch.cpu, name, lambda: True, raising=False)
    assert probe()


@pytest.mark.parametrize(
    ("bounds", "expected"), [((0.999, 0.99), "bfloat16"), ((1.1, 0.99), "float32")]
)
def test_bfloat16_is_chosen_where_it_agrees(
    weights: Path,
    backbone: DINOv3Backbone,
    bounds: tuple[float, float],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: True)
    monkeypatch.setattr(engines, "MEAN_AGREEMENT", bounds[0])
    monkeypatch.setattr(engines, "LEAST_AGREEMENT", bounds[1])
    found = load_backbone(weights, device="cpu")
    asked_for = load_backbone(weights, device="cpu", dtype=expected)
    assert (found.dtype, found.fingerprint) == (expected, asked_for.fingerprint)
    assert torch.equal(found.embed_patches(pixels()), asked_for.embed_patches(pixels()))
    # The picture that is compared is one on which the two differ at all.
    assert (found.fingerprint == backbone.fingerprint) == (expected == "float32")


@pytest.mark.parametrize("bounds", [(1.1, 0.99), (0.999, 1.1)])
def test_what_is_asked_for_is_not_compared(
    weights: Path, bounds: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MEAN_AGREEMENT", bounds[0])
    monkeypatch.setattr(engines, "LEAST_AGREEMENT", bounds[1])
    assert load_backbone(weights, device="cpu", dtype="bfloat16").dtype == "bfloat16"


# --- batches, staging and the way back to the CPU ------------------------------------------------


@pytest.mark.parametrize(
    ("device", "tokens", "expected"),
    [
        ("cpu", 64 * 64, 1),
        ("cpu", 32 * 32, 1),
        ("cpu", 8 * 8, 16),
        ("mps", 32 * 32, 8),
        ("cuda", 32 * 32, 16),  # busy: 16,384 tokens
        ("cuda", 256 * 256, 1),
    ],
)
def test_batch_sizes(
    device: str, tokens: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (80 * 2**30, 80 * 2**30))
    assert devices.batch_size_for(torch.device(device), tokens, 25_000) == expected


def test_a_batch_takes_at_most_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**29, 80 * 2**30))
    size = devices.batch_size_for(torch.device("cuda"), 4096, 25_000)
    assert size == 2**28 // (4096 * 25_000) == 2
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 80 * 2**30))
    assert devices.batch_size_for(torch.device("cuda"), 4096, 25_000) == 1


def test_the_batch_size_follows_from_the_size_of_the_images(backbone: DINOv3Backbone) -> None:
    assert backbone.suggest_batch_size(512, 512) == 1
    assert backbone.suggest_batch_size(256, 128) == 8


def test_out_of_memory_is_an_error_of_its_own(backbone: DINOv3Backbone) -> None:
    def explode(_: torch.Tensor) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemoryError, match="ran out of memory on cpu"):
        dataclasses.replace(backbone, _model=explode).embed_patches(pixels())


def test_memory_of_apples_gpu_is_given_back(
    backbone: DINOv3Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imitated: MPS raises a plain RuntimeError."""

    def explode(*_: object) -> None:
        raise RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB)")

    freed = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: freed.append("mps"))
    monkeypatch.setattr(DINOv3Backbone, "_forward", explode)
    with pytest.raises(OutOfMemoryError, match='load the model with device="cpu"'):
        dataclasses.replace(backbone, device="mps").embed_patches(pixels())
    assert freed == ["mps"]


def test_on_the_cpu_already(backbone: DINOv3Backbone) -> None:
    assert backbone.on_cpu() is backbone


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_twin_on_the_cpu_has_the_same_weights_of_its_own(
    weights: Path, network: DINOv3ViTModel, dtype: str
) -> None:
    here = load_backbone(weights, device="cpu", dtype=dtype)
    twin = dataclasses.replace(here, device="mps", _model=network).on_cpu()
    assert (twin.device, twin.dtype, twin.fingerprint) == ("cpu", dtype, here.fingerprint)
    assert torch.equal(twin.embed_patches(pixels()), here.embed_patches(pixels()))
    theirs = {tensor.data_ptr() for tensor in network.parameters()}
    assert theirs.isdisjoint(tensor.data_ptr() for tensor in twin._model.parameters())
    assert not any(tensor.requires_grad for tensor in twin._model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_twin_of_an_encoder_on_cuda(weights: Path, dtype: str) -> None:
    here = load_backbone(weights, device="cpu", dtype=dtype)
    twin = dataclasses.replace(here, device="cuda", _model=here._model.to("cpu")).on_cpu()
    assert (twin.device, twin.dtype, twin.fingerprint) == ("cpu", dtype, here.fingerprint)
    assert torch.equal(twin.embed_patches(pixels()), here.embed_patches(pixels()))


def test_only_cuda_has_queues(backbone: DINOv3Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have one queue, and the loop waits for each batch."""
    monkeypatch.setattr(queues, "cuda_queues", lambda device: f"queues of {device}")
    found = {
        device: dataclasses.replace(backbone, device=device).queues()
        for device in ("cpu", "mps", "cuda", "cuda:1")
    }
    assert found == {
        "cpu": None,
        "mps": None,
        "cuda": "queues of cuda",
        "cuda:1": "queues of cuda:1",
    }


@pytest.mark.parametrize(("device", "runner"), [("mps", DINOv3ViTModel), ("cuda", Encoder)])
def test_what_runs_on_a_gpu(
    weights: Path, device: str, runner: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the automatic arithmetic: float32 on Apple's GPUs, bfloat16 on CUDA cards."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: device == "mps")
    monkeypatch.setattr(engines, "_moved", lambda network, *_: network)
    loaded = load_backbone(weights)
    assert loaded.device == device
    assert isinstance(loaded._model, runner)
    assert loaded.dtype == ("bfloat16" if device == "cuda" else "float32")


def test_no_autocast_around_an_encoder_on_cuda(
    backbone: DINOv3Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its own weights in bfloat16; autocast would round what it keeps in float32."""
    entered = []
    monkeypatch.setattr(torch, "autocast", lambda *args: entered.append(args) or nullcontext())
    to = torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor,
        "to",
        lambda self, *args, **options: (
            self if args[:1] in (("cuda",), ("mps",)) else to(self, *args, **options)
        ),
    )
    for device in ("cuda", "mps"):
        dataclasses.replace(backbone, device=device, dtype="bfloat16").encode(pixels())
    assert entered == [("mps", torch.bfloat16)]


def test_pixels_stay_where_they_are_on_the_cpu(backbone: DINOv3Backbone) -> None:
    values = pixels()
    assert backbone.stage(values) is values


class FakeStream:
    """Notes what is done with a CUDA stream."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __enter__(self) -> None:
        self.log.append("enter")

    def __exit__(self, *_: object) -> None:
        self.log.append("exit")

    def synchronize(self) -> None:
        self.log.append("synchronize")


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A CUDA device whose memory is that of the CPU."""
    log: list[str] = []
    to = torch.Tensor.to

    def fake_to(self: torch.Tensor, *args: object, **options: bool) -> torch.Tensor:
        if args and str(args[0]).startswith("cuda"):
            log.append(f"to {args[0]}, non_blocking={options.get('non_blocking')}")
            return self.clone()
        return to(self, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", fake_to)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: log.append("pin") or self)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(log))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    return log


def test_pixels_are_pinned_and_uploaded_on_a_stream_of_their_own(
    backbone: DINOv3Backbone, fake_cuda: list[str]
) -> None:
    staged = dataclasses.replace(backbone, device="cuda:1").stage(pixels())
    assert torch.equal(staged, pixels())
    assert fake_cuda == ["enter", "pin", "to cuda:1, non_blocking=True", "exit", "synchronize"]


def test_a_full_device_leaves_the_pixels_where_they_are(
    backbone: DINOv3Backbone, fake_cuda: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: torch.Tensor) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.Tensor, "pin_memory", full)
    values = pixels()
    assert dataclasses.replace(backbone, device="cuda").stage(values) is values


@pytest.mark.parametrize(("device", "blocking"), [("cuda", False), ("cpu", True)])
def test_only_the_way_to_cuda_does_not_block(
    backbone: DINOv3Backbone, device: str, blocking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy to the CPU that does not block is computed with before it is there."""
    seen: list[object] = []
    values = pixels()
    to = torch.Tensor.to

    def fake_to(self: torch.Tensor, *args: object, **options: bool) -> torch.Tensor:
        if self is values and args[:1] == (device,):
            seen.append((args[0], options))
            return self
        return to(self, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", fake_to)
    dataclasses.replace(backbone, device=device).embed_patches(values)
    assert seen == [(device, {"non_blocking": not blocking})]
