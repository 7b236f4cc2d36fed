# Needs GNU make 3.81 or later. Set-up is the work of scripts/bootstrap.py and talks on stderr.

VENV ?= .venv
# Processes that run tests, each a file at a time; 0 for none beside make's own (to debug).
WORKERS ?= 2
BIN := $(VENV)/bin
export VENV LLAMA_INDEX

# value() takes the question as it was typed: make expands no $ in it, the shell sees a variable.
override Q := $(value Q)
export QUESTION := $(value Q)
USAGE := usage: make ask Q="your question" [ARGS="--leaves 8 --json"]

# PYTHON, when given, is the only candidate.
PYTHONS = $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11)
bootstrap = @for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then exec "$$python" scripts/bootstrap.py $(1); fi; \
	done; \
	echo 'error: no Python 3.11 or newer among:' $(PYTHONS) >&2; \
	echo 'Install one, or name it: make $@ PYTHON=/path/to/python3' >&2; exit 1

.DEFAULT_GOAL := help
.PHONY: help ask test test-all test-unit lint bench docs fuzz materials audit setup lock dist wheelhouse clean

help: ## show this list
	@echo 'make ask Q="your question" [ARGS="--leaves 8 --json"]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-13s %s\n", $$1, $$2 }'
	@echo
	@echo 'VENV=dir (now $(VENV)) and PYTHON=python3 choose the environment;'
	@echo 'CMAKE_ARGS reaches llama.cpp; LLAMA_INDEX=address takes a ready-made wheel of it.'
	@echo 'WORKERS=n (now $(WORKERS)) processes run the tests.'

ask: ## set up what is missing, then answer Q
	$(if $(strip $(Q)),,$(error $(USAGE)))
	$(call bootstrap,runtime)
	@"$(BIN)/et-agent" ask $(value ARGS) -- "$$QUESTION"

test: lint ## lint, then the tests, the small real model's included
	"$(BIN)/python" -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(value ARGS)

test-all: lint ## the same and the slow ones, with the 0.5B model
	"$(BIN)/python" -m pytest $(value ARGS)

test-unit: setup ## the tests that need no model
	"$(BIN)/python" -m pytest -n $(WORKERS) --dist loadfile -m "not model and not slow" $(value ARGS)

lint: setup ## ruff and a strict mypy
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"

bench: setup ## print the benchmarks' figures
	"$(BIN)/python" -m benchmarks.run $(value ARGS)

docs: ## build the documentation as a site, build/site; warnings are errors
	$(call bootstrap,docs)
	"$(BIN)/python" scripts/docs_site.py

fuzz: setup ## throw hostile input at all surfaces (ARGS="--count N"); goes on
	PYTHONPATH=. "$(BIN)/python" -m benchmarks.hostile $(value ARGS)

materials: setup ## write docs/licences.md and docs/sbom.cdx.json from the lock
	"$(BIN)/python" scripts/materials.py

# Strict: a package that the database does not know is a failure too, not a package without faults.
audit: setup ## ask PyPI for known faults of what is locked (network)
	PATH="$(BIN):$$PATH" uv tool run pip-audit@2.10.1 --strict --require-hashes --disable-pip -r requirements.lock $(value ARGS)

setup: ## make or mend the virtual environment, development tools included
	$(call bootstrap,dev)

lock: ## resolve the dependencies anew (ARGS=--upgrade: to the newest)
	$(call bootstrap,lock $(value ARGS))

dist: setup ## build wheels and sdists into dist/ (ARGS=--check: try them)
	"$(BIN)/python" scripts/distributions.py $(value ARGS)

wheelhouse: setup ## fetch into wheels/ what the container is built from
	"$(BIN)/python" scripts/wheelhouse.py $(value ARGS)

clean: ## remove the virtual environment and the tools' caches
	$(call bootstrap,clean)
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
