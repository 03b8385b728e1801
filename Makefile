# Everything on a machine with Python 3.11 or later and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types imports unit wheel soak bench bench-checks bench-peers report clean

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

# What everything costs on this machine, while its cores have nothing else to do. Each stores its figures in
# tests/benchmarks/results. `make bench-memory` is one of them, `make bench BENCH=--quick` a small one of each that stores nothing.
BENCH ?=
BENCHES := simulator startup requests million active_users memory merge storage throughput
bench: $(BENCHES:%=bench-%) bench-checks
	$(BIN)/python tests/benchmarks/report.py

bench-%: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.bench_$* $(BENCH)

bench-checks: $(VENV)/.dev
	$(BIN)/python -m pytest -n 0 -p no:cacheprovider -s tests/benchmarks/bench_budget.py tests/benchmarks/bench_views.py

# The side-by-side comparison, from nothing: an environment for each peer (1.3 GB in all), then every scenario, an hour.
PEERS := airbyte-cdk dlt pyairbyte singer
bench-peers: $(VENV)/.dev $(PEERS:%=$(VENV)/peers/%/.ready)
	$(BIN)/python tests/benchmarks/peers/compare.py
	$(BIN)/python tests/benchmarks/report.py

# The tables of README.md and docs/ from what the benchmarks measured.
report: $(VENV)/.dev
	$(BIN)/python tests/benchmarks/report.py

$(VENV)/peers/%/.ready: tests/benchmarks/peers/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

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
