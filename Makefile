# Everything here makes its own environment first; `make demo` and `make test` need nothing else.
.DEFAULT_GOAL := help
.PHONY: help env demo test test-fast coverage lint types manifest docs package compat bench soak fuzz train train-smoke screenshots constraints clean

BIN := .venv/bin
OUT ?= demo-output
MINUTES ?= 60

help:  ## List all targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

env: .venv/.made  ## Make .venv; as root on Debian also install what a window needs

.venv/.made: pyproject.toml constraints.txt scripts/make_env.sh
	@bash scripts/make_env.sh

demo: env  ## Click in sample images; write the heatmaps as pictures, open napari where there is a screen
	@$(BIN)/napari-dinov3-sim demo --out $(OUT)

test: env  ## Run all tests; the tests in a real window need a screen or Xvfb
	@bash scripts/with_display.sh $(BIN)/python -m pytest -n auto --maxprocesses 4 $(ARGS)

test-fast: env  ## Run the tests that take a minute together, without a window
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -n auto --maxprocesses 4 -m "not slow and not gui" $(ARGS)

coverage: env  ## Measure which branches of core, store and session their own tests run
	@rm -f .coverage .coverage.*
	@QT_QPA_PLATFORM=offscreen $(BIN)/coverage run -m pytest -n auto --maxprocesses 4 \
	  tests/core tests/store tests/session $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: env  ## Check style, dependencies, workflows and other files that are no Python
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@bash scripts/check_files.sh

types: env  ## Check types with mypy
	@$(BIN)/mypy

manifest: env  ## Check the napari manifest and all functions that it names
	@bash scripts/with_display.sh $(BIN)/npe2 validate napari-dinov3-sim --imports

docs: env  ## Build the documentation into docs/_build, and follow its links
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@$(BIN)/python scripts/check_links.py docs/_build/html
	@echo "docs/_build/html/index.html"

package: env  ## Build wheel and sdist, and use both in a clean environment
	@bash scripts/check_package.sh

compat: env  ## Run the fast tests against older and newer libraries, and write docs/compatibility.md
	@$(BIN)/python scripts/compat.py $(ARGS)

bench: env  ## Run the benchmarks, and write their tables into docs/benchmarks.md
	@bash scripts/with_display.sh $(BIN)/python benchmarks/bench_all.py $(ARGS)

soak: env  ## Do in random order all that a user can do, MINUTES=60 long; print the seed of a failure
	@$(BIN)/python scripts/soak.py --minutes $(MINUTES)

fuzz: env  ## Damage every file that is read, and stop what writes; print what came of it
	@$(BIN)/python scripts/fuzz.py $(ARGS)

train: env  ## Train the built-in model anew, in an afternoon; IMAGES=FOLDER adds real images
	@bash training/make.sh

train-smoke: env  ## All steps of the training on a few drawings, in two minutes
	@rm -rf train-output/smoke
	@$(BIN)/python -m training.smoke --out train-output/smoke/images
	@OUT=train-output/smoke IMAGES=train-output/smoke/images GROUPS_DRAWN=16 PER_SHARD=4 GROUPS_REAL=4 \
	  TRAIN_ARGS="--steps 24 --save-every 12 --log-every 6 --groups 2 --unlabelled-from 4" bash training/make.sh
	@$(BIN)/python -c "import napari_dinov3_sim; print(napari_dinov3_sim.load_backbone('train-output/smoke/builtin').name)"

screenshots: env  ## Take the pictures of the documentation in a real window
	@bash scripts/with_display.sh $(BIN)/python docs/screenshots.py

constraints: env  ## Write the versions of this environment to constraints.txt
	@bash scripts/write_constraints.sh

clean:  ## Remove what was made
	rm -rf .venv dist build docs/_build docs/api/generated demo-output
