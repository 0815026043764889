#!/usr/bin/env bash
# Build wheel and sdist, install each into a clean environment, and use it there.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf dist
.venv/bin/python -m build --outdir dist . >"$work/build.log" || { cat "$work/build.log"; exit 1; }
.venv/bin/python -m venv "$work/clean"
python=$work/clean/bin/python
"$python" -m pip install --quiet --upgrade "pip>=25.1" -c constraints.txt

use_it() {
    cd "$work"
    "$python" - <<'CODE'
import importlib.util
import napari_dinov3_sim as nds, numpy as np

for absent in ("PySide6", "PyQt6", "PyQt5", "torchvision", "timm"):
    assert importlib.util.find_spec(absent) is None, f"{absent} came in with the package"
image = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
state = nds.create_patch_image_state(image, nds.load_backbone("builtin", device="cpu"))
maps = nds.create_similarity_images(state, (5, 5), [state])
assert abs(maps[0].cosine[0, 0] - 1) < 1e-5
CODE
    "$work/clean/bin/napari-dinov3-sim" --version
    "$work/clean/bin/napari-dinov3-sim" demo --out "$work/demo" >/dev/null
    "$work/clean/bin/npe2" validate napari-dinov3-sim
    cd "$root"
}

"$python" -m pip install --quiet -c constraints.txt dist/*.whl
use_it
"$python" -m pip install --quiet --no-deps --force-reinstall dist/*.tar.gz
use_it
echo "wheel and sdist work in a clean environment: $(cd dist && echo *)"
