# Everything starts here: `make demo` shows the sync at work, `make test` runs the suite. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# Made again whenever the lock changes.
$(VENV)/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	@echo "Installing into $(VENV) (once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

.PHONY: install
install: $(VENV)/installed ## The virtual environment, with everything locked

# One lock serves Python 3.11 and newer on every platform. It names no index: whoever installs brings their own.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" $(if $(filter 1,$(UPGRADE)),--upgrade,$(UPGRADE:%=--upgrade-package %))

.PHONY: lock
lock: $(VENV)/installed ## Both locks from requirements*.in; UPGRADE=1 or UPGRADE=flask raises versions
	@$(COMPILE) requirements.in --output-file requirements.txt
	@$(COMPILE) requirements-dev.in --output-file requirements-dev.txt

.PHONY: demo
demo: $(VENV)/installed ## Every sample through the function, against the sandbox
	@$(BIN)/python manage.py demo

.PHONY: page
page: $(VENV)/installed ## The demo as a page in the browser, until Ctrl-C
	@$(BIN)/python manage.py demo --serve

.PHONY: pictures
pictures: $(VENV)/installed ## The pictures of that page in README and docs, anew (needs Chromium)
	@$(BIN)/python -m commands.screenshot

.PHONY: emulator
emulator: $(VENV)/installed ## The function behind Pub/Sub's own emulator, if gcloud has it
	@$(BIN)/python manage.py emulator

.PHONY: test
test: $(VENV)/installed ## The whole test suite
	@$(BIN)/python -m pytest

SEEDS ?= 20

.PHONY: people
people: $(VENV)/installed ## Random people and their orders until Klaviyo is right; SEEDS=5 for 5 of them, not 20
	@PEOPLE_SEEDS=$(SEEDS) $(BIN)/python -m pytest -n 0 -s tests/functional/test_people_converge.py

.PHONY: converge
converge: $(VENV)/installed ## Random shops until Klaviyo is right; SEEDS=5 for 5 of them, not 20
	@CONVERGENCE_SEEDS=$(SEEDS) $(BIN)/python -m pytest -n 0 -s tests/functional/test_convergence.py

# The function alone, as it is deployed: what developers need on top would slow its start.
$(VENV)/deployed/installed: requirements.txt
	@test -x $(VENV)/deployed/bin/python || $(PYTHON) -m venv $(VENV)/deployed
	@$(VENV)/deployed/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.PHONY: bench
bench: $(VENV)/installed $(VENV)/deployed/installed ## Throughput, CPU, memory, calls and cold start (5 minutes)
	@BENCH_PYTHON=$(abspath $(VENV)/deployed/bin/python) $(BIN)/python -m bench

.PHONY: lint
lint: $(VENV)/installed ## ruff and mypy, strict
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
