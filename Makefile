# Every target does the set-up that it needs, once: a virtual environment in .venv.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: help demo test lint check bench experiments samples soak docs clean

help:
	@echo 'make demo         show an incident and what a replay says about it (in build/demo)'
	@echo 'make test         run the tests'
	@echo 'make lint         format, lint, types'
	@echo 'make check        lint and test: what a change must pass'
	@echo 'make bench        measure speed side by side with other engines'
	@echo 'make experiments  put the method to generated clicks, and write docs/experiments.md'
	@echo 'make samples      rebuild the sample lake in data/samples/lake'
	@echo 'make soak         run the tests that are too long for every day'
	@echo 'make docs         write docs/cli.md anew'
	@echo 'make clean        remove what the other targets made, but for .venv'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
		echo "Name another, as in: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; } >&2
	@echo 'Setting up .venv, this once; torch is a large download.'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[dev,bench]'
	@touch $@

demo: $(READY)
	@sh data/samples/demo.sh

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

bench: $(READY)
	$(BIN)/python -m benchmarks

experiments: $(READY)
	$(BIN)/python -m benchmarks.experiments

samples: $(READY)
	$(BIN)/python data/samples/build.py

soak: $(READY)
	$(BIN)/python -m pytest -m soak

docs: $(READY)
	$(BIN)/python docs/generate.py

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
