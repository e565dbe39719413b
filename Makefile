# SPDX-License-Identifier: Apache-2.0
# make run    a clip of real people goes through the middleware, is tracked and shown
# make test   every check and test
# Both set up .venv on the first call. PYTHON=python3.12 chooses another interpreter,
# UV_TORCH_BACKEND=cpu (or cu126, auto, ...) another build of torch than PyPI's.

PYTHON ?= python3
SOURCE ?=
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup run test lint format types pytest bench clean

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
	  VIRTUAL_ENV="$(CURDIR)/.venv" $$UV pip install --compile-bytecode --editable '.[standalone,train,onnx,openvino,dev]'
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
	$(BIN)/python -m pytest $(ARGS)

bench: $(STAMP)
	$(BIN)/alphapose-ros bench $(ARGS)

clean:
	rm -rf .venv build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find alphapose_ros test -name __pycache__ -type d -prune -exec rm -rf {} +
