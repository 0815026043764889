"""Embeddings by OpenVINO: where it is chosen, and what happens where it cannot be."""

from __future__ import annotations

import dataclasses
import platform
from typing import TYPE_CHECKING

import pytest
import torch

from napari_dinov3_sim.backbones import devices, engines, known_identity, load_backbone
from napari_dinov3_sim.backbones.errors import DeviceError
from napari_dinov3_sim.core.embedding.encoder import Encoder
from napari_dinov3_sim.core.embedding.openvino_encoder import OpenVINOEncoder
from napari_dinov3_sim.core.errors import OutOfMemoryError

from .factories import official, pixels, save, tiny_model

if TYPE_CHECKING:
    from pathlib import Path

is_there = devices.openvino_is_there

MODULE = "napari_dinov3_sim.core.embedding.openvino_encoder"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save(official(tiny_model()), tmp_path / "tiny.safetensors")


@pytest.fixture(autouse=True)
def x86(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer with OpenVINO and no GPU."""
    monkeypatch.setattr(devices, "openvino_is_there", lambda: True)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def cannot_compile(*_: object) -> None:
    raise RuntimeError("Exception from src/inference/src/cpp/core.cpp:104:")


def test_it_gives_the_embeddings_of_pytorch(weights: Path) -> None:
    found, by_torch = (
        load_backbone(weights, device="openvino"),
        load_backbone(weights, device="cpu"),
    )
    assert (found.device, found.dtype) == ("openvino", "float32")
    torch.testing.assert_close(
        found.embed_patches(pixels()), by_torch.embed_patches(pixels()), rtol=0, atol=1e-5
    )
    # So what is kept of one is found by the other.
    assert found.fingerprint == by_torch.fingerprint


def test_it_is_the_processor(weights: Path) -> None:
    found = load_backbone(weights, device="openvino")
    assert found.on_cpu() is found
    assert found.queues() is None
    assert found.stage(pixels()).device.type == "cpu"
    assert found.suggest_batch_size(512, 512) == 1


@pytest.mark.parametrize(
    ("device", "machine", "model", "expected"),
    [
        ("auto", "x86_64", "dinov3-vits16", True),
        ("auto", "AMD64", "dinov3-vits16", True),
        ("auto", "arm64", "dinov3-vits16", False),
        ("auto", "x86_64", "builtin", False),
        ("cpu", "x86_64", "dinov3-vits16", False),
        ("openvino", "arm64", "builtin", True),
    ],
)
def test_where_it_is_chosen(
    device: str, machine: str, model: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert engines.choose(device, "auto", model).openvino is expected


def test_a_gpu_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    choice = engines.choose("auto", "auto", "dinov3-vits16")
    assert (choice.device.type, choice.openvino) == ("mps", False)


def test_the_automatic_device_takes_it_where_it_agrees(weights: Path) -> None:
    found = load_backbone(weights)
    assert found.device == "openvino"
    assert isinstance(found._model, OpenVINOEncoder)


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_the_automatic_device_goes_on_without_it(
    weights: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "openvino_encoder_of", cannot_compile)
    found = load_backbone(weights, dtype=dtype)
    assert found.device == "cpu"
    assert isinstance(found._model, Encoder)


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_the_automatic_device_goes_on_without_it_where_it_disagrees(
    weights: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LEAST_AGREEMENT", 1.1)
    assert load_backbone(weights, dtype=dtype).device == "cpu"


def test_large_models_are_left_to_pytorch_unless_it_is_asked_for(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MOST_UNASKED", 1000)
    assert load_backbone(weights).device == "cpu"
    assert load_backbone(weights, device="openvino").device == "openvino"


def test_what_is_asked_for_is_not_compared(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LEAST_AGREEMENT", 1.1)
    found = load_backbone(weights, device="openvino", dtype="bfloat16")
    assert (found.device, found.dtype) == ("openvino", "bfloat16")


def test_bfloat16_that_disagrees_becomes_float32_where_it_was_asked_for(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: True)
    assert load_backbone(weights, device="openvino").dtype == "bfloat16"
    monkeypatch.setattr(engines, "LEAST_AGREEMENT", 1.1)
    found = load_backbone(weights, device="openvino")
    assert (found.device, found.dtype) == ("openvino", "float32")


@pytest.mark.parametrize("fault", [ImportError, OSError])
def test_it_was_asked_for_and_is_not_installed(
    weights: Path, fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        assert name == MODULE
        raise fault("libopenvino.so: cannot open shared object file")

    monkeypatch.setattr(devices, "import_module", missing)
    monkeypatch.setattr(devices, "openvino_is_there", is_there)
    with pytest.raises(DeviceError) as caught:
        load_backbone(weights, device="openvino")
    assert str(caught.value) == (
        f"Cannot load {weights}: OpenVINO is not installed, or cannot be imported; install "
        'it with `pip install "napari-dinov3-sim[openvino]"`, or use device="auto".'
    )


def test_it_is_found_where_it_is_installed() -> None:
    assert is_there()


def test_it_was_asked_for_and_cannot_compile(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "openvino_encoder_of", cannot_compile)
    with pytest.raises(DeviceError, match=r'cannot compile it on this computer; use device="cpu"'):
        load_backbone(weights, device="openvino")


@pytest.mark.parametrize(
    "reason", ["Failed to allocate 100663296 bytes of memory", "std::bad_alloc"]
)
def test_its_memory_does_not_suffice(weights: Path, reason: str) -> None:
    def explode(_: torch.Tensor) -> None:
        raise RuntimeError(
            f"Exception from src/inference/src/cpp/infer_request.cpp:224:\n{reason}"
        )

    found = dataclasses.replace(load_backbone(weights, device="openvino"), _model=explode)
    with pytest.raises(OutOfMemoryError, match=r"use smaller tiles or a smaller model\.$"):
        found.embed_patches(pixels())


def test_its_identity_is_known_before_it_is_loaded(weights: Path) -> None:
    loaded = load_backbone(weights, device="openvino")
    known = known_identity(weights, device="openvino")
    assert known is not None
    assert (known.device, known.fingerprint) == ("openvino", loaded.fingerprint)
