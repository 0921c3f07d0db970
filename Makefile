# Start here: `make demo` shows the sync at work, `make test` runs the test suite, `make help` lists all targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## List all targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The environment is updated whenever the lock changes.
$(VENV)/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is required, but this is " + sys.version.split()[0] + ". Choose another: make PYTHON=python3.12")'
	@echo "Installing into $(VENV) (only needed once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

.PHONY: install
install: $(VENV)/installed ## Create the virtual environment, with locked versions

# One lock serves Python 3.11 and newer on every platform. It names no package index, so everyone can install from their own.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" $(if $(filter 1,$(UPGRADE)),--upgrade,$(UPGRADE:%=--upgrade-package %))

.PHONY: lock
lock: $(VENV)/installed ## Write both locks from requirements*.in; UPGRADE=1 upgrades everything, UPGRADE=flask one package
	@$(COMPILE) requirements.in --output-file requirements.txt
	@$(COMPILE) requirements-dev.in --output-file requirements-dev.txt

.PHONY: demo
demo: $(VENV)/installed ## Run every sample through the function, against the sandbox
	@$(BIN)/python manage.py demo

.PHONY: page
page: $(VENV)/installed ## Show the demo as a page in the browser, until Ctrl-C
	@$(BIN)/python manage.py demo --serve

.PHONY: pictures
pictures: $(VENV)/installed ## Take that page's screenshots for README and docs again (needs Chromium)
	@$(BIN)/python -m commands.screenshot

.PHONY: emulator
emulator: $(VENV)/installed ## Run the function behind Pub/Sub's emulator (needs gcloud's emulator)
	@$(BIN)/python manage.py emulator

.PHONY: test
test: $(VENV)/installed ## Run the whole test suite
	@$(BIN)/python -m pytest

.PHONY: properties
properties: $(VENV)/installed ## Run each property test on 10,000 random inputs instead of 100 (12 minutes)
	@$(BIN)/python -m pytest -m hypothesis --hypothesis-profile search

SEEDS ?= 20

.PHONY: people
people: $(VENV)/installed ## Test that 20 random sets of people and orders converge in Klaviyo; SEEDS=5 for fewer
	@PEOPLE_SEEDS=$(SEEDS) $(BIN)/python -m pytest -n 0 -s tests/functional/test_people_converge.py

.PHONY: converge
converge: $(VENV)/installed ## Test that 20 random shops converge in Klaviyo; SEEDS=5 for fewer
	@CONVERGENCE_SEEDS=$(SEEDS) $(BIN)/python -m pytest -n 0 -s tests/functional/test_convergence.py

# An environment with only the deployed packages: development packages would slow down the cold start that bench measures.
$(VENV)/deployed/installed: requirements.txt
	@test -x $(VENV)/deployed/bin/python || $(PYTHON) -m venv $(VENV)/deployed
	@$(VENV)/deployed/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.PHONY: bench
bench: $(VENV)/installed $(VENV)/deployed/installed ## Measure throughput, CPU, memory, calls and cold start (5 minutes)
	@BENCH_PYTHON=$(abspath $(VENV)/deployed/bin/python) $(BIN)/python -m bench

.PHONY: lint
lint: $(VENV)/installed ## Run ruff, and mypy in strict mode
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: $(VENV)/installed ## Format the code and sort its imports
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove the virtual environment and every cache
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
