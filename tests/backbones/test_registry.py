from __future__ import annotations

import subprocess
import sys

import pytest

from napari_dinov3_sim.backbones import (
    BUILTIN,
    DEFAULT_MODEL,
    MODELS,
    ModelNotFoundError,
    ModelRecord,
    find_model,
    list_models,
)

META = [record for record in list_models() if record.name != BUILTIN]


def count_parameters(record: ModelRecord) -> int:
    """By hand: embeddings, then per layer attention, feed-forward, two norms, two scales."""
    d, f = record.dim, record.ffn
    embeddings = d * (1 + 1 + 4) + d * 3 * record.patch_size**2 + d
    attention = 4 * d * d + d + (2 * d if record.qv_bias else 0)
    feed_forward = (3 * d * f + 2 * f + d) if record.swiglu else (2 * d * f + f + d)
    return embeddings + record.layers * (attention + feed_forward + 6 * d) + 2 * d


def test_names() -> None:
    assert [record.name for record in list_models()] == [
        "builtin",
        "dinov3-vits16",
        "dinov3-vits16plus",
        "dinov3-vitb16",
        "dinov3-vitl16",
        "dinov3-vith16plus",
        "dinov3-vit7b16",
        "dinov3-vitl16-sat493m",
        "dinov3-vit7b16-sat493m",
    ]
    assert DEFAULT_MODEL in MODELS


@pytest.mark.parametrize("record", list_models(), ids=lambda record: record.name)
def test_record_is_complete(record: ModelRecord) -> None:
    assert record.label
    assert record.licence
    assert record.note.endswith(".")
    assert record.patch_size == 16
    assert record.dim % record.heads == 0
    assert record.dim // record.heads == (128 if record.dim == 4096 else 64)
    assert record.parameters == count_parameters(record)


@pytest.mark.parametrize("record", META, ids=lambda record: record.name)
def test_ungated_source_comes_first(record: ModelRecord) -> None:
    assert [source.gated for source in record.sources] == [False, True]
    assert [source.format for source in record.sources] == ["timm", "huggingface"]
    assert record.sources[0].repo.startswith("timm/vit_")
    assert record.sources[1].repo.startswith("facebook/dinov3-")
    assert len(record.meta_hash) == 8
    assert "DINOv3 License" in record.licence


@pytest.mark.parametrize("record", META, ids=lambda record: record.name)
def test_statistics(record: ModelRecord) -> None:
    satellite = "sat493m" in record.name
    assert all(("sat493m" in source.repo) == satellite for source in record.sources)
    assert record.mean == ((0.430, 0.411, 0.296) if satellite else (0.485, 0.456, 0.406))
    assert record.std == ((0.213, 0.156, 0.143) if satellite else (0.229, 0.224, 0.225))


def test_nothing_is_told_twice() -> None:
    repos = [source.repo for record in list_models() for source in record.sources]
    hashes = [record.meta_hash for record in META]
    assert len(set(repos)) == len(repos)
    assert len(set(hashes)) == len(hashes)
    assert len({record.label for record in list_models()}) == len(list_models())


def test_builtin_never_claims_to_be_metas() -> None:
    record = find_model(BUILTIN)
    assert record.is_builtin
    assert record.licence == "BSD-3-Clause"
    assert "not a Meta checkpoint" in record.label
    assert "not a DINOv3 checkpoint of Meta" in record.note


@pytest.mark.parametrize(
    "alias",
    [
        "facebook/dinov3-vits16-pretrain-lvd1689m",
        "dinov3-vits16-pretrain-lvd1689m",
        "timm/vit_small_patch16_dinov3.lvd1689m",
        "vit_small_patch16_dinov3.lvd1689m",
    ],
)
def test_hub_ids_are_aliases(alias: str) -> None:
    assert find_model(alias).name == "dinov3-vits16"


@pytest.mark.parametrize(
    ("name", "meant"), [("dinov3-vits", "dinov3-vits16"), ("dinov3_vitl16", "dinov3-vitl16")]
)
def test_unknown_name_suggests_a_close_one(name: str, meant: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(name)
    assert name in str(caught.value)
    assert f"perhaps {meant} is meant" in str(caught.value)
    assert "`napari-dinov3-sim models`" in str(caught.value)


def test_unknown_name_without_a_close_one() -> None:
    with pytest.raises(ModelNotFoundError, match="no model has this name; `napari-dinov3-sim"):
        find_model("zzz")


def test_listing_models_imports_nothing_heavy() -> None:
    code = (
        "import sys; from napari_dinov3_sim.backbones import list_models; list_models();"
        "bad = {'torch', 'transformers', 'napari', 'qtpy', 'numpy', 'huggingface_hub'};"
        "sys.exit(str(bad & set(sys.modules)) if bad & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
