"""The hub: cache first, ungated first, a bar that can cancel, and every refusal explained."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save

from napari_dinov3_sim.backbones import (
    DownloadError,
    GatedModelError,
    ModelError,
    ModelNotFoundError,
    ModelRecord,
    OfflineError,
    WrongModelError,
    is_available,
    load_backbone,
)
from napari_dinov3_sim.backbones.files import hub
from napari_dinov3_sim.core.errors import EmbeddingCancelled

from ..conftest import set_address_of_files
from ..factories import cache, official, pixels, tiny_model, to_timm, tokens_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..fake_hub import FakeHub

pytestmark = pytest.mark.slow

TIMM, META = "timm/vit_tiny_dinov3", "facebook/dinov3-tiny"
COMMAND = "`hf download timm/vit_tiny_dinov3 model.safetensors`"


def files(**more: str) -> dict[str, bytes]:
    content = {"model.safetensors": save(to_timm(tiny_model()))}
    return content | {f"{name}.json": text.encode() for name, text in more.items()}


def message_of(model: str) -> str:
    with pytest.raises(ModelError) as caught:
        load_backbone(model, device="cpu")
    text = str(caught.value)
    assert model in text
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_cached_model_needs_no_network(tiny_record: ModelRecord, hub_cache: Path) -> None:
    assert not is_available("dinov3-tiny")
    cache(hub_cache, META, official(tiny_model()))
    assert is_available("dinov3-tiny")
    backbone = load_backbone("dinov3-tiny", device="cpu")
    assert (backbone.name, backbone.label) == ("dinov3-tiny", "DINOv3 tiny")
    expected = tokens_of(tiny_model(), pixels())[:, 5:]
    torch.testing.assert_close(backbone.embed_patches(pixels()), expected, rtol=0, atol=1e-5)


def test_cached_gated_source_is_used_before_any_download(
    tiny_record: ModelRecord, hub_cache: Path, fake_hub: FakeHub
) -> None:
    cache(hub_cache, META, official(tiny_model()))
    load_backbone("dinov3-tiny", device="cpu")
    assert fake_hub.asked == []


def test_download_takes_the_ungated_source(tiny_record: ModelRecord, fake_hub: FakeHub) -> None:
    fake_hub.repos = {TIMM: files(), META: "GatedRepo"}
    reports: list[tuple[str, int, int]] = []
    load_backbone("dinov3-tiny", device="cpu", progress=lambda *report: reports.append(report))
    size = len(fake_hub.repos[TIMM]["model.safetensors"])
    assert not any(META in request for request in fake_hub.asked)
    assert reports[-1] == (f"Downloading {TIMM}", size, size)
    assert is_available("dinov3-tiny")


def test_gated_source_is_tried_when_the_ungated_one_is_gone(
    tiny_record: ModelRecord, fake_hub: FakeHub
) -> None:
    fake_hub.repos = {META: {"model.safetensors": save(official(tiny_model()))}}
    assert load_backbone("dinov3-tiny", device="cpu").dim == 64
    # A request that takes long is sent again.
    asked = dict.fromkeys(request.split()[1] for request in fake_hub.asked)
    assert list(asked) == [TIMM, META]


def test_download_without_a_callback(tiny_record: ModelRecord, fake_hub: FakeHub) -> None:
    fake_hub.repos = {TIMM: files()}
    assert load_backbone("dinov3-tiny", device="cpu").dim == 64


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before something was tried again, which are not made here."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def test_progress_cancels_the_download(tiny_record: ModelRecord, fake_hub: FakeHub) -> None:
    fake_hub.repos, fake_hub.block = {TIMM: files()}, 1024
    fake_hub.going_on.clear()  # the rest of the file does not come before the end of the test

    def cancel(*_: object) -> None:
        raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        load_backbone("dinov3-tiny", device="cpu", progress=cancel)
    assert not is_available("dinov3-tiny")


@pytest.mark.parametrize(
    ("answer", "why"),
    [("GatedRepo", "nobody is logged in here"), (403, "this account has no access yet")],
)
def test_gated(tiny_record: ModelRecord, fake_hub: FakeHub, answer: str | int, why: str) -> None:
    fake_hub.repos = {META: answer}
    with pytest.raises(GatedModelError):
        load_backbone("dinov3-tiny", device="cpu")
    text = message_of("dinov3-tiny")
    assert f"{META} is gated and {why}" in text
    assert f"https://huggingface.co/{META} and run `hf auth login`" in text


def test_not_found(tiny_record: ModelRecord, fake_hub: FakeHub) -> None:
    with pytest.raises(ModelNotFoundError):
        load_backbone("dinov3-tiny", device="cpu")
    text = message_of("dinov3-tiny")
    assert "the Hugging Face Hub has no public repository" in text
    assert "`napari-dinov3-sim models`" in text


@pytest.mark.parametrize("status", [429, 500, 503])
def test_hub_is_down(
    tiny_record: ModelRecord, fake_hub: FakeHub, pauses: list[float], status: int
) -> None:
    fake_hub.repos = {TIMM: status, META: status}
    with pytest.raises(OfflineError):
        load_backbone("dinov3-tiny", device="cpu")
    assert pauses == []
    text = message_of("dinov3-tiny")
    assert f"answers with status {status}" in text
    assert COMMAND in text


def test_offline_mode(tiny_record: ModelRecord) -> None:
    with pytest.raises(OfflineError):
        load_backbone("dinov3-tiny", device="cpu")
    text = message_of("dinov3-tiny")
    assert "it is not in the local cache and HF_HUB_OFFLINE keeps" in text
    assert f"unset HF_HUB_OFFLINE and run {COMMAND}" in text
    assert "or load `builtin`" in text


def test_no_network(
    tiny_record: ModelRecord,
    fake_hub: FakeHub,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    set_address_of_files(nobody, monkeypatch)
    text = message_of("dinov3-tiny")
    assert pauses == []
    # The first is of httpx, the second of requests.
    assert re.search(r"the Hugging Face Hub cannot be reached \((ConnectError|Connect\w+)\)", text)
    assert f"connect to the internet and run {COMMAND}, or load `builtin`" in text


def test_silent_network_is_given_up(
    tiny_record: ModelRecord,
    fake_hub: FakeHub,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        set_address_of_files(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        monkeypatch.setattr(hub, "PROBE_TIMEOUT", 0.3)
        assert "cannot be reached (ReadTimeout)" in message_of("dinov3-tiny")
    assert pauses == []


def test_full_disk(
    tiny_record: ModelRecord, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    fake_hub.repos = {TIMM: files(), META: "GatedRepo"}
    monkeypatch.setattr(hub, "fetch", full)
    with pytest.raises(ModelError) as caught:
        hub.download_weights(TIMM, "dinov3-tiny", "hf download x", None)
    assert isinstance(caught.value, DownloadError)
    assert "No space left on device" in str(caught.value)
    assert "run `hf download x`" in str(caught.value)


def test_weights_of_another_size_in_the_repository(
    tiny_record: ModelRecord, hub_cache: Path
) -> None:
    cache(hub_cache, TIMM, to_timm(tiny_model(layers=1)))
    with pytest.raises(WrongModelError, match=r"\(64, 1, 128, False\) instead of"):
        load_backbone("dinov3-tiny", device="cpu")


def test_truncated_cache_names_the_command(tiny_record: ModelRecord, hub_cache: Path) -> None:
    weights = cache(hub_cache, TIMM, to_timm(tiny_model())) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    text = message_of("dinov3-tiny")
    assert "is truncated or damaged" in text
    assert f"run {COMMAND[:-1]} --force-download`" in text


def test_other_repository(fake_hub: FakeHub) -> None:
    config = json.dumps({"architecture": "vit_tiny_patch16_dinov3", "pretrained_cfg": {}})
    fake_hub.repos = {"someone/dinov3-mine": files(config=config)}
    backbone = load_backbone("someone/dinov3-mine", device="cpu")
    assert backbone.name == "someone/dinov3-mine"
    assert is_available("someone/dinov3-mine")
    fake_hub.asked.clear()
    assert load_backbone("someone/dinov3-mine", device="cpu").fingerprint == backbone.fingerprint
    assert fake_hub.asked == []


def test_other_repository_in_parts(fake_hub: FakeHub, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    content = {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    assert "model.safetensors" not in content
    fake_hub.repos = {"someone/parts": content}
    backbone = load_backbone("someone/parts", device="cpu", progress=lambda *_: None)
    expected = tokens_of(tiny_model(), pixels())[:, 5:]
    torch.testing.assert_close(backbone.embed_patches(pixels()), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "config", [{"model_type": "dinov2"}, {"architecture": "vit_base_patch14_dinov2"}]
)
def test_repository_of_another_model_is_not_downloaded(
    fake_hub: FakeHub, config: dict[str, str]
) -> None:
    fake_hub.repos = {"someone/other": files(config=json.dumps(config))}
    with pytest.raises(WrongModelError):
        load_backbone("someone/other", device="cpu")
    text = message_of("someone/other")
    assert f"its config.json says {next(iter(config))} {next(iter(config.values()))}" in text
    assert "`napari-dinov3-sim models`" in text
    assert not any("model.safetensors" in request for request in fake_hub.asked)


def test_repository_without_weights(fake_hub: FakeHub) -> None:
    fake_hub.repos = {"someone/empty": {"README.md": b""}}
    assert "someone/empty has no file model.safetensors;" in message_of("someone/empty")
