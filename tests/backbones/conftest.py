from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import huggingface_hub
import pytest
from huggingface_hub import constants, file_download

from napari_dinov3_sim.backbones import MODELS, ModelRecord, Source, devices
from napari_dinov3_sim.backbones.files.hub import THREAD_NAME
from patience import PATIENCE

from .fake_hub import FakeHub, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def plain_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings by PyTorch in float32 also where the computer would choose something faster."""
    monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: False)
    monkeypatch.setattr(devices, "openvino_is_there", lambda: False)


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that may not be asked: no test touches the user's, or the net."""
    root = tmp_path / "hub"
    root.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return root


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on the loopback interface, which huggingface_hub takes for the real one."""
    with serve(FakeHub()) as hub:
        hub.going_on.set()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        set_address_of_files(hub.url, monkeypatch)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        _close_session()
        yield hub
        hub.going_on.set()
        _let_downloads_end()
        _close_session()


def set_address_of_files(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub look for files at another address."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):  # before 1.0 the latter has a copy of it
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


def _close_session() -> None:
    """Forget open connections; the function has another name before huggingface_hub 1.0."""
    new = hasattr(huggingface_hub, "close_session")
    close = huggingface_hub.close_session if new else huggingface_hub.utils.reset_sessions
    close()


def _let_downloads_end() -> None:
    """Wait for downloads that a test cancelled: they must not meet the next test's network."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def tiny_record(monkeypatch: pytest.MonkeyPatch) -> ModelRecord:
    """A registry model small enough to be downloaded in a test."""
    sources = (
        Source("timm/vit_tiny_dinov3", "timm", gated=False),
        Source("facebook/dinov3-tiny", "huggingface", gated=True),
    )
    record = ModelRecord("dinov3-tiny", "DINOv3 tiny", sources, 64, 2, 1, 128, False, 100_000)
    monkeypatch.setitem(MODELS, record.name, record)
    return record
