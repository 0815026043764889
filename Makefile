# Everything here makes its own environment first; `make demo` and `make test` need nothing else.
.DEFAULT_GOAL := help
.PHONY: help env demo test lint types manifest docs package bench screenshots constraints clean

BIN := .venv/bin
OUT ?= demo-output

help:  ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

env: .venv/.made  ## Make .venv (and, as root on Debian, what a display needs)

.venv/.made: pyproject.toml constraints.txt scripts/make_env.sh
	@bash scripts/make_env.sh

demo: env  ## Click in one real image, see the heatmaps in two: pictures, and a window on a screen
	@$(BIN)/napari-dinov3-sim demo --out $(OUT)

test: env  ## Run the whole suite, with a real viewer wherever a display can be had
	@bash scripts/with_display.sh $(BIN)/python -m pytest $(ARGS)

lint: env  ## Check style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: env  ## Check types
	@$(BIN)/mypy

manifest: env  ## Check the napari manifest and everything it names
	@bash scripts/with_display.sh $(BIN)/npe2 validate napari-dinov3-sim --imports

docs: env  ## Build the documentation into docs/_build
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

package: env  ## Build wheel and sdist and use both in a clean environment
	@bash scripts/check_package.sh

bench: env  ## Run the benchmarks and write their tables into docs/benchmarks.md
	@bash scripts/with_display.sh $(BIN)/python benchmarks/bench_all.py $(ARGS)

screenshots: env  ## Take the pictures of the documentation from the real viewer
	@bash scripts/with_display.sh $(BIN)/python docs/screenshots.py

constraints: env  ## Write the versions of this environment to constraints.txt
	@bash scripts/write_constraints.sh

clean:  ## Remove what was made
	rm -rf .venv dist build docs/_build docs/api/generated demo-output
