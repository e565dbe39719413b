# SPDX-License-Identifier: Apache-2.0
# make run    a clip of real people goes through the middleware, is tracked and shown
# make test   every check and test
# make docs   the documentation as pages, docs/_build/html
# make soak   an hour of cameras with faults; ARGS="--minutes 5" for less
# make fuzz   damaged bytes into everything that reads
# make audit  known vulnerabilities of what is installed
# Both set up .venv on the first call. PYTHON=python3.12 chooses another interpreter,
# UV_TORCH_BACKEND=cpu (or cu126, auto, ...) another build of torch than PyPI's.

PYTHON ?= python3
SOURCE ?=
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup run test lint format types pytest bench docs soak fuzz audit clean

help:
	@sed -n 's/^# \(make\|Both\|UV\)/\1/p' Makefile

setup: $(STAMP)

# uv installs several times faster than pip; where the machine has none, the environment gets its own.
$(STAMP): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "alphapose_ros needs Python >= 3.10; choose one with: make PYTHON=python3.12" >&2; exit 2; }
	@if uv --version >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .venv; \
	else \
	  $(PYTHON) -m venv .venv || \
	    { rm -rf .venv; echo "venv is missing: sudo apt install python3-venv" >&2; exit 2; }; \
	  $(BIN)/python -m pip install --quiet --upgrade uv; \
	fi
	@echo "Installing into .venv (the first time takes some minutes) ..."
	@UV=uv; uv --version >/dev/null 2>&1 || UV=$(BIN)/uv; \
	  VIRTUAL_ENV="$(CURDIR)/.venv" $$UV pip install --compile-bytecode --editable '.[standalone,train,onnx,openvino,ray,viewer,plots,docs,dev]'
	@touch $@

run: $(STAMP)
	$(BIN)/python -m alphapose_ros.demo $(SOURCE) $(ARGS)

test: lint types pytest

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(STAMP)
	$(BIN)/mypy

pytest: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

bench: $(STAMP)
	$(BIN)/alphapose-ros bench $(ARGS)

docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py $(ARGS)

fuzz: $(STAMP)
	$(BIN)/python benchmarks/fuzz_decoders.py $(ARGS)

audit: $(STAMP)
	@UV=uv; uv --version >/dev/null 2>&1 || UV=$(BIN)/uv; \
	  $$UV tool run pip-audit==2.10.1 --skip-editable \
	    --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

clean:
	rm -rf .venv build dist out docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find alphapose_ros test -name __pycache__ -type d -prune -exec rm -rf {} +
