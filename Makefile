# Everything a fresh machine needs is here: Python 3.11 or newer, and a network
# that reaches a package index. `make demo` and `make test` set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install demo test check format lint types layers clean

help:
	@echo "make demo    the study in miniature on embedded data, ending with a report"
	@echo "make test    the test suite"
	@echo "make check   format, lint, types, import layers, tests"
	@echo "make clean   remove the virtual environment and the caches"

$(READY): pyproject.toml requirements/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "calibench needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt -e '.[dev]'
	touch $@

install: $(READY)

demo: $(READY)
	$(BIN)/calibench demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

format: $(READY)
	$(BIN)/ruff format --check

lint: $(READY)
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

check: format lint types layers test

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
