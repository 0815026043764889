"""Seconds per megapixel to embed, beside a plain whole-image loop.

Run `python benchmarks/bench_embed.py [--sides 512 1024 2048] [--repeats 3]`.
"""

from __future__ import annotations

import argparse

from common import machine, median_seconds, picture, plain_embed, random_vits16

import napari_dinov3_sim as nds


def main() -> None:
    """Print one row per image side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    model, backbone = random_vits16()
    print(f"ViT-S/16, random weights; {machine()}")
    print("side   this package s/MP   plain loop s/MP   plain / this")
    for side in options.sides:
        image, megapixels = picture(side), side * side / 1e6
        ours = median_seconds(
            lambda image=image: nds.create_patch_image_state(image, backbone), options.repeats
        )
        plain = median_seconds(lambda image=image: plain_embed(model, image), options.repeats)
        print(
            f"{side:4}   {ours / megapixels:17.2f}   {plain / megapixels:15.2f}   "
            f"{plain / ours:12.2f}"
        )


if __name__ == "__main__":
    main()
