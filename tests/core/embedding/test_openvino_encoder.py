"""OpenVINO computes what transformers computes, with the same weights."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import torch

from napari_dinov3_sim.core.embedding.encoder import cosine_agreement
from napari_dinov3_sim.core.embedding.encoder_weights import encoder_weights
from napari_dinov3_sim.core.embedding.openvino_encoder import OpenVINOEncoder

from .test_encoder import OPTIONS, expected, model, numbers_of, state_of

if TYPE_CHECKING:
    from transformers import DINOv3ViTModel

pytestmark = pytest.mark.slow


def encoder_for(network: DINOv3ViTModel, dtype: str = "float32") -> OpenVINOEncoder:
    numbers = numbers_of(network)
    return OpenVINOEncoder(encoder_weights(state_of(network), numbers), numbers, dtype)


@pytest.mark.parametrize("options", OPTIONS)
def test_what_transformers_computes(options: dict[str, object]) -> None:
    """Also for images of several sizes, one after the other, which it was not compiled for."""
    network = model(**options)
    encoder = encoder_for(network)
    for shape in ((2, 3, 48, 80), (1, 3, 16, 16), (1, 3, 80, 48)):
        pixels = torch.randn(shape)
        found = encoder(pixels).last_hidden_state
        torch.testing.assert_close(found, expected(network, pixels), rtol=1e-4, atol=1e-4)


def test_bfloat16_agrees_with_float32() -> None:
    network, pixels = model(), torch.randn(1, 3, 64, 64)
    found = encoder_for(network, "bfloat16")(pixels).last_hidden_state
    mean, least = cosine_agreement(found, expected(network, pixels))
    assert found.dtype == torch.float32
    assert mean > 0.999
    assert least > 0.99


def test_a_result_stays_when_the_next_one_is_computed() -> None:
    encoder, pixels = encoder_for(model()), torch.randn(2, 1, 3, 32, 32)
    first = encoder(pixels[0]).last_hidden_state
    kept = first.clone()
    encoder(pixels[1])
    assert torch.equal(first, kept)


def test_threads_get_each_their_own_result() -> None:
    encoder, pixels = encoder_for(model()), torch.randn(8, 1, 3, 48, 48)
    alone = [encoder(one).last_hidden_state for one in pixels]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: encoder(one).last_hidden_state, pixels))
    assert all(torch.equal(one, two) for one, two in zip(found, alone, strict=True))


def test_no_thread_is_bound_to_a_core() -> None:
    """Processes with one thread each, such as workers of dask, would share the first core."""
    compiled = encoder_for(model())._request.get_compiled_model()
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_it_reports_nothing_to_anyone() -> None:
    """`import openvino` alone reports to Google Analytics that it was imported."""
    script = (
        "import sys\n"
        "import napari_dinov3_sim.core.embedding.openvino_encoder\n"
        "assert 'openvino.tools.ovc' in sys.modules, 'what reports'\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
        "import openvino_telemetry  # it is installed, and others may import it\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
