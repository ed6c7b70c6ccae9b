# These need nothing but Python 3.11 or later, a C compiler and make:
#
#   make demo    compiles a stacked LSTM, checks it, times it
#   make test    runs the tests
#   make bench   times networks against torch, JAX, ONNX Runtime and OpenVINO
#   make cells   writes docs/cells.md, the page of the standard library, and its pictures
#
# They set up a virtual environment first; VENV says where, PYTHON with which interpreter.

PYTHON ?= python3
VENV   ?= .venv
PYTEST ?= -n auto

BIN := $(VENV)/bin
# Peers that some tests compare with. They are optional: without them those tests are skipped. The
# CPU build of torch is named on purpose; the default build brings gigabytes of CUDA libraries.
TORCH := torch==2.13.0+cpu

.PHONY: help demo test lint bench cells clean

help:
	@sed -n '3,8s/^#\s\{0,3\}//p' Makefile

demo: $(VENV)/rnnc-installed
	@$(BIN)/rnnc demo examples/stacked_lstm.rnn

test: $(VENV)/rnnc-test-installed
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/rnnc-test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/rnnc-bench-installed
	$(BIN)/python benchmarks/peers.py --threads 2 --threads 1 --budget 1140 --output $(VENV)/peers.json

cells: $(VENV)/rnnc-test-installed
	$(BIN)/python -m docs.generate_cells

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; \
	  sys.exit(0 if sys.version_info >= (3, 11) else f"rnnc needs Python 3.11 or later, this is {v}: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/rnnc-installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing rnnc and what it needs into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/rnnc-test-installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing rnnc and its test tools into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)' || \
	  echo "No $(TORCH) here (pip says why above): the tests that compare with torch are skipped."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps aeon || \
	  echo "No aeon here (pip says why above): the test that reads its recordings is skipped."
	@touch $(VENV)/rnnc-installed $@

$(VENV)/rnnc-bench-installed: $(VENV)/rnnc-installed
	@for peer in onnx onnxruntime openvino jax matplotlib '$(TORCH)'; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$peer" || \
	  echo "No $$peer here (pip says why above): the benchmark leaves it out."; done
	@touch $@
