# RoomPulse: `make help` lists what there is. Every target installs what it needs into .venv, and again only when requirements change.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
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

test: $(VENV)/dev.installed $(CHECKOV)/installed tests/node_modules/.installed .judges/installed  ## every test, in parallel (pytest options: make test ARGS="-k lake")
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
	@$@ -m pip --disable-pip-version-check --quiet install uv==0.13.9

$(VENV)/local.installed: requirements-local.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing what the local pipeline needs (once; about 20 s)"
	@$(INSTALL) -r requirements-local.txt
	@$(INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/deploy.installed: requirements.txt $(VENV)/local.installed
	@echo "installing what deploying needs (once; about a minute)"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/dev.installed: requirements-dev.txt $(VENV)/deploy.installed
	@echo "installing what testing and measuring need (once)"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

.pulumi-engine/bin/pulumi: tests/infra/engine/build.sh tests/infra/engine/cli/go.mod tests/infra/engine/language_host/go.mod
	@echo "building Pulumi's engine from source (once; three minutes on two free cores)"
	@tests/infra/engine/build.sh

.judges/installed: tests/processors/functions_worker/requirements.txt processors/requirements.txt $(VENV)/deploy.installed
	@echo "fetching Microsoft's Functions worker and the wheels of the function packages (once)"
	@$(INSTALL) --no-deps --require-hashes --python-version 3.13 --target .judges/functions_worker -r $<
	@$(BIN)/python -c 'from pathlib import Path; from infra.packaging import PackageContent, build_package; \
		build_package(PackageContent("ingest"), Path(".judges/packages"))'
	@touch $@

tests/node_modules/.installed: tests/package.json tests/package-lock.json
	@if command -v npm > /dev/null; then \
		echo "installing the judges that run in Node.js (once; about 30 s)"; \
		npm ci --prefix tests --silent --no-audit --no-fund --ignore-scripts && touch $@; \
	else echo "npm is missing: tests that need Node.js are skipped"; fi

$(CHECKOV)/installed: infra/policies/checkov-requirements.txt | $(VENV)/bin/python
	@echo "installing the scanner of the templates into an environment of its own (once; about 20 s)"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(CHECKOV)
	@$(UV) pip install --quiet --python $(CHECKOV)/bin/python -r $<
	@touch $@

.venv-engines/installed: benchmarks/engine_comparison/requirements.txt | $(VENV)/bin/python
	@echo "installing Flink, Spark and Polars into an environment of their own (once; about a minute)"
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-engines
	@$(UV) pip install --quiet --python .venv-engines/bin/python -r $<
	@touch $@
