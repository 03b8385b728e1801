# Everything on a machine with Python 3.11 or later and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types imports unit wheel soak bench clean

demo: $(VENV)/.demo
	$(BIN)/dashly-sync demo

test: lint types imports unit wheel

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

# Compiled tests are kept also where the environment wants none: else every worker compiles all of them, 5 s of CPU time.
unit: export PYTHONDONTWRITEBYTECODE :=
unit: $(VENV)/.dev
	$(BIN)/pytest

wheel: $(VENV)/.dev
	$(BIN)/python tests/wheel/install_and_run.py

# What takes too long for every change: every kill point, every rate window, outages waited through.
soak: $(VENV)/.dev
	$(BIN)/pytest -m soak

bench: $(VENV)/.dev
	$(BIN)/python -m pytest tests/benchmarks -p no:cacheprovider -s -o python_files='bench_*.py'

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

# The tested versions; `--group` needs pip 25.1.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
