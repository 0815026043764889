"""Write a trained model as the package ships it.

`python -m training.export --model RUN/model --out src/napari_dinov3_sim/backbones/builtin_v1`:
weights in float16, configuration, and nothing else; several `--model` are averaged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import DINOv3ViTModel


def average(folders: list[Path]) -> DINOv3ViTModel:
    """The model whose weights are the mean of those in the folders."""
    models = [DINOv3ViTModel.from_pretrained(f, local_files_only=True) for f in folders]
    states = [m.state_dict() for m in models]
    mean = {k: torch.stack([s[k].float() for s in states]).mean(0) for k in states[0]}
    models[0].load_state_dict(mean)
    return models[0]


def main() -> None:
    """Average, round to float16, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = average(options.model).half().eval()
    model.save_pretrained(options.out)
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters, {options.out}"
    )


if __name__ == "__main__":
    main()
