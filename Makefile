# RoomPulse: `make help` lists what there is. Every target installs what it needs into .venv, and again only when requirements change.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CHECKOV := .venv-checkov
ARGS ?=

.PHONY: help run plan test lint bench soak bench-engine engine test-engine mutants clean

help:  ## what you can do here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo "  Options of the run: make run ARGS=\"--devices 2000 --speed 10\" (all: $(BIN)/roompulse run --help)"

run: $(VENV)/local.installed  ## run the whole pipeline on this machine and watch it at http://127.0.0.1:8080
	@exec $(BIN)/roompulse run $(ARGS)

plan: $(VENV)/deploy.installed  ## show what `pulumi up` deploys, offline (make plan ARGS="--stack prod --against dev")
	@exec $(BIN)/roompulse plan $(ARGS)

test: $(VENV)/dev.installed $(CHECKOV)/installed  ## every test, in parallel (pytest options: make test ARGS="-k lake")
	$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(VENV)/dev.installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/dev.installed  ## the benchmarks; rewrites benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.run_all $(ARGS)

soak: $(VENV)/dev.installed  ## an hour of polls at 10,000 devices with random faults, run at speed (about four minutes)
	$(BIN)/python -m benchmarks.soak

bench-engine: $(VENV)/dev.installed .venv-engines/installed  ## the stream engine beside Flink SQL, Spark and Polars (needs Java 17; installs 1 GB)
	$(BIN)/python -m benchmarks.run_all bench_engine engine_comparison.compare

engine: .pulumi-engine/bin/pulumi  ## build Pulumi's real engine, for the test of whole deployments (needs Go; some minutes, once)

test-engine: $(VENV)/dev.installed engine  ## let Pulumi's real engine preview, deploy, interrupt and destroy the program
	$(BIN)/python -m pytest -n 0 tests/infra/engine $(ARGS)

mutants: $(VENV)/dev.installed  ## change every boundary of the stream engine, one at a time: does a test turn red? (over an hour)
	$(BIN)/python tests/mutants.py $(ARGS)

clean:  ## remove the data of local runs and all caches, keep .venv
	rm -rf .roompulse .pytest_cache .mypy_cache .ruff_cache .hypothesis output

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "RoomPulse needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 run")'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/local.installed: requirements-local.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing what the local pipeline needs (once; about 20 s)"
	@$(PIP) install -r requirements-local.txt
	@$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/deploy.installed: requirements.txt $(VENV)/local.installed
	@echo "installing what deploying needs (once; about a minute)"
	@$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/dev.installed: requirements-dev.txt $(VENV)/deploy.installed
	@echo "installing what testing and measuring need (once)"
	@$(PIP) install -r requirements-dev.txt
	@touch $@

.pulumi-engine/bin/pulumi: tests/infra/engine/build.sh tests/infra/engine/cli/go.mod tests/infra/engine/language_host/go.mod
	@echo "building Pulumi's engine from source (once; three minutes on two free cores)"
	@tests/infra/engine/build.sh

$(CHECKOV)/installed: infra/policies/checkov-requirements.txt | $(VENV)/bin/python
	@echo "installing the scanner of the templates into an environment of its own (once; about 20 s)"
	@$(PYTHON) -m venv $(CHECKOV)
	@$(CHECKOV)/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	@touch $@

.venv-engines/installed: benchmarks/engine_comparison/requirements.txt | $(VENV)/bin/python
	@echo "installing Flink, Spark and Polars into an environment of their own (once; about a minute)"
	@$(PYTHON) -m venv .venv-engines
	@.venv-engines/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	@touch $@
