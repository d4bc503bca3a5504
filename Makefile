# Every target sets itself up: the first one makes .venv from the lock file.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The first interpreter that runs and is new enough (a name on PATH may be a shim for none).
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

.PHONY: help setup demo demo-down compose test test-differential test-faults test-api bench bench-quick lint lock pages

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-17s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## Make .venv with everything in it

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" \
	  || { echo 'Python 3.11 or newer is missing: install it (Debian: apt-get install python3 python3-venv).' >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo 'The venv module of Python is missing: install it (Debian: apt-get install python3-venv).' >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## From nothing to answers on real HTTP, left running
	@$(BIN)/python -m deploy.local demo

demo-down: setup ## Stop everything that make demo started
	@$(BIN)/python -m deploy.local demo-down

compose: setup ## The whole service in containers (Docker); tokens as for make demo
	@RECORDINGS_AUTH_ISSUER=recordings-local RECORDINGS_AUTH_AUDIENCE=recordings-api \
	  RECORDINGS_AUTH_PUBLIC_KEY="$$($(BIN)/python -m deploy.local public-key)" \
	  docker compose -f deploy/compose.yaml up --build --wait

test: lint ## All tests, on a real Elasticsearch and a real Redis
	$(BIN)/python -m pytest

test-differential: setup ## 2,500 random requests over 6,000 recordings against plain Python
	RECORDINGS_TEST_SIZE=full $(BIN)/python -m pytest tests/integration/test_differential.py -rP

test-faults: setup ## The long form of tests/faults: 20,000 events, a dozen killed workers
	RECORDINGS_TEST_SIZE=full $(BIN)/python -m pytest tests/faults -rP

test-api: setup ## The long form of fuzzing, of schemathesis and of the most expensive queries
	RECORDINGS_TEST_SIZE=full $(BIN)/python -m pytest -rP tests/unit/test_query_fuzz.py \
	  tests/e2e/test_schema.py tests/e2e/test_hostile_queries.py

bench: setup ## All benchmarks in full; the results go to .bench/index.html
	@$(BIN)/python tests/bench/run.py

bench-quick: setup ## The same with less data and fewer rounds
	@$(BIN)/python tests/bench/run.py --quick

lint: setup ## ruff, mypy --strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pages: setup ## Write what is made from the code: settings, catalogue, dashboard
	$(BIN)/python -m deploy.pages

lock: ## Resolve the newest versions into the lock files (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --quiet --upgrade -o requirements.lock
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --quiet --upgrade -c requirements.lock -o requirements-dev.lock
	echo hatchling | uv pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --quiet --upgrade -c requirements-dev.lock \
	  -o deploy/requirements-build.lock
	echo pgsync | uv pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --quiet --upgrade -o tests/bench/pgsync.lock
