"""The encoder for the CPU computes what transformers computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_dinov3_sim.core.embedding import encoder
from napari_dinov3_sim.core.embedding.encoder import Encoder, cosine_agreement
from napari_dinov3_sim.core.embedding.encoder_weights import EncoderNumbers

if TYPE_CHECKING:
    from collections.abc import Callable

    State = dict[str, torch.Tensor]

pytestmark = pytest.mark.slow

OPTIONS: list[dict[str, object]] = [
    {},
    {"hidden_act": "silu"},
    {"use_gated_mlp": True, "hidden_act": "silu"},
    {"use_gated_mlp": True},
    {"num_register_tokens": 0},
    {"query_bias": False, "value_bias": False, "proj_bias": False, "mlp_bias": False},
    {"key_bias": True, "rope_theta": 10.0, "layer_norm_eps": 1e-3},
]


def model(**options: object) -> DINOv3ViTModel:
    """A small ViT in which every tensor is random and every layer counts."""
    small = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 3}
    config = DINOv3ViTConfig(
        **small | {"intermediate_size": 96, "num_register_tokens": 4} | options
    )
    torch.manual_seed(0)
    network = DINOv3ViTModel(config).eval()
    for parameter in network.parameters():
        parameter.data = 0.2 * torch.randn_like(parameter)
    for name, parameter in network.named_parameters():
        if "norm" in name or "layer_scale" in name:
            parameter.data += 1.0
    return network


def state_of(network: DINOv3ViTModel) -> State:
    return {name.removeprefix("model."): value for name, value in network.state_dict().items()}


def numbers_of(network: DINOv3ViTModel) -> EncoderNumbers:
    config = network.config
    return EncoderNumbers(
        config.num_attention_heads,
        config.patch_size,
        config.hidden_act,
        config.layer_norm_eps,
        config.rope_theta,
    )


def encoder_for(network: DINOv3ViTModel, dtype: torch.dtype = torch.float32) -> Encoder:
    return Encoder(state_of(network), numbers_of(network), dtype)


def expected(network: DINOv3ViTModel, pixels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(pixels).last_hidden_state


@pytest.fixture(params=["oneDNN", "torch"])
def linear(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., object]:
    """Each of the two ways to multiply, on any computer that has it."""
    if request.param == "torch":
        monkeypatch.setattr(encoder, "_best_linear", lambda _dtype: encoder._plain)
    elif encoder._best_linear(torch.float32) is encoder._plain:
        pytest.skip("this build of torch has no oneDNN for this processor")
    return encoder._best_linear(torch.float32)


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize(
    "options",
    OPTIONS,
)
def test_what_transformers_computes(options: dict[str, object]) -> None:
    network = model(**options)
    pixels = torch.randn(2, 3, 48, 80)
    found = encoder_for(network)(pixels).last_hidden_state
    torch.testing.assert_close(found, expected(network, pixels), rtol=0, atol=2e-5)


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize("scores", [1, 9 * 103, 2**22])
def test_blocks_of_queries_change_nothing(scores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """103 = 98 + 5 tokens are one block, or several of which the last is smaller."""
    monkeypatch.setattr(encoder, "BLOCK_SCORES", scores)
    monkeypatch.setattr(encoder, "LEAST_QUERIES", 10)
    network, pixels = model(), torch.randn(1, 3, 7 * 16, 14 * 16)
    found = encoder_for(network)(pixels).last_hidden_state
    torch.testing.assert_close(found, expected(network, pixels), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("tokens", "threads"), [(5, 1), (1029, 1), (1029, 64), (65541, 2)])
def test_blocks_are_equal_and_within_bounds(
    tokens: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    size = encoder._block_size(tokens)
    assert 1 <= size <= min(tokens, encoder.MOST_QUERIES)
    assert size <= encoder.LEAST_QUERIES or size * tokens <= encoder.MOST_SCORES
    blocks = -(-tokens // size)
    assert blocks * size - tokens < blocks


def test_bfloat16_agrees_with_float32() -> None:
    network, pixels = model(), torch.randn(1, 3, 96, 96)
    low = encoder_for(network, torch.bfloat16)
    found = low(pixels).last_hidden_state
    mean, least = cosine_agreement(found, expected(network, pixels))
    assert found.dtype == torch.float32
    assert mean > 0.9995
    assert least > 0.999
    # Half of the memory, and still exact where sums are normalised.
    halves = [one for one in low.parameters() if one.dtype == torch.bfloat16]
    assert sum(one.numel() for one in halves) > 0.5 * sum(p.numel() for p in low.parameters())
    assert {one.dtype for one in low._norm} == {torch.float32}


def test_the_weights_are_copies() -> None:
    network, pixels = model(), torch.randn(1, 3, 32, 32)
    found = encoder_for(network)
    before = found(pixels).last_hidden_state
    for parameter in network.parameters():
        parameter.data.zero_()
    assert torch.equal(found(pixels).last_hidden_state, before)


def test_repeated_and_batched_runs_agree() -> None:
    found, pixels = encoder_for(model()), torch.randn(3, 3, 64, 64)
    together = found(pixels).last_hidden_state
    assert torch.equal(found(pixels).last_hidden_state, together)
    for number in range(3):
        alone = found(pixels[number : number + 1]).last_hidden_state[0]
        torch.testing.assert_close(alone, together[number], rtol=0, atol=1e-5)


def broken(*_: object) -> torch.Tensor:
    raise RuntimeError("another signature")


@pytest.mark.parametrize("replacement", [broken, lambda *_: torch.zeros(8, 8)])
def test_torch_multiplies_where_onednn_fails_or_differs(
    replacement: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_onednn", lambda *args, **_: replacement(*args))
    for dtype in (torch.float32, torch.bfloat16):
        assert encoder._best_linear.__wrapped__(dtype) is encoder._plain


def test_torch_multiplies_bfloat16_where_onednn_has_float32_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on processors with AVX2, which have no instruction for it."""

    def without_bfloat16(values: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
        if values.dtype != torch.float32:
            raise RuntimeError("could not create a primitive descriptor")
        return encoder._plain(values, *args, **options)

    monkeypatch.setattr(encoder, "_onednn", without_bfloat16)
    monkeypatch.setattr(encoder.platform, "machine", lambda: "x86_64")
    assert encoder._best_linear.__wrapped__(torch.float32) is without_bfloat16
    assert encoder._best_linear.__wrapped__(torch.bfloat16) is encoder._plain


@pytest.mark.parametrize("machine", ["arm64", "aarch64"])
def test_torch_multiplies_on_other_processors(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder.platform, "machine", lambda: machine)
    assert encoder._best_linear.__wrapped__(torch.float32) is encoder._plain


def test_cosine_agreement_is_the_mean_and_the_smallest_cosine() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    second = torch.tensor([[4.0, 0.0], [1.0, 1.0], [-1.0, 1.0]])
    half = 0.5**0.5
    assert cosine_agreement(first, second) == pytest.approx(((1 + half + 0) / 3, 0.0), abs=1e-12)
