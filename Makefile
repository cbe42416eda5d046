# What CI runs is what these targets run. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check torture bench clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt plugins/stagepipe-pseudonyms/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -e '.[dev]' -e plugins/stagepipe-pseudonyms
	@touch $@

demo: $(READY)  ## run the demo pipeline on real flights and show what it did
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh sample_data/demo.sh

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest -n 2 --ignore=tests/torture

test-all:  ## run the tests on each supported Python that is found
	@for version in 3.11 3.12 3.13; do \
	  if python$$version --version >/dev/null 2>&1; then \
	    $(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "python$$version: not found, left out"; fi; \
	done

check: $(READY)  ## lint, types, direction of imports, dependencies, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html

# What the faults are made with. Where it cannot be installed, the tests that need it say so.
TOOLS := gcc libc6-dev strace libfaketime

torture: $(READY)  ## faults, one by one, in a table; a year of flights, 500 random pipelines
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  dpkg -s $(TOOLS) >/dev/null 2>&1 || apt-get install -q -y $(TOOLS); \
	fi || echo "$(TOOLS): install them by hand"
	$(BIN)/python -m pytest -n 2 -rs tests/torture
	STAGEPIPE_TEST_KILLS=20 STAGEPIPE_TEST_PIPELINES=500 $(BIN)/python -m pytest \
	  tests/e2e/test_flights.py tests/e2e/test_append.py tests/e2e/test_random_pipelines.py
	STAGEPIPE_EXAMPLES=1000 $(BIN)/python -m pytest -n 2 tests/builtin/test_csv_properties.py

bench: $(READY)  ## stagepipe and its peers on the same work, in turn
	$(BIN)/python -m benchmarks

clean:  ## remove what the other targets made
	rm -rf .venv .venv-* docs/_build docs/reference .mypy_cache .ruff_cache .pytest_cache .hypothesis benchmarks/data sample_data/out
