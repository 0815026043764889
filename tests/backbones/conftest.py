from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import close_session, constants

from napari_dinov3_sim.backbones import MODELS, ModelRecord, Source, devices
from napari_dinov3_sim.backbones.files.hub import THREAD_NAME

from .fake_hub import FakeHub, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def plain_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings in float32 also where the processor would choose bfloat16."""
    monkeypatch.setattr(devices, "processor_has_bfloat16", lambda: False)


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
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        close_session()
        yield hub
        hub.pause = 0.0
        _let_downloads_end()
        close_session()


def _let_downloads_end() -> None:
    """Wait for downloads that a test cancelled: they must not meet the next test's network."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(20)
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
