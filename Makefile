# Every target is enough on a fresh machine with Python 3.11 and make: it builds the environment
# from the hash-pinned lock first, if that is missing or out of date.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

BIN := .venv/bin
READY := .venv/.installed
# The first interpreter that really is 3.11: a name on the PATH may be a shim or another version.
PYTHON := $(shell for python in python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

# Modules are compiled once, whatever the shell says: the tests start many processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-long test-cluster lint fmt lock bench comparison pictures pretrained \
	fidelity

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## run the whole pipeline on the embedded data and say where the report is
	$(BIN)/wsol run

test: $(READY) ## run all tests: those that start Ray or a server one by one, the others beside
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long and not cluster"

test-long: $(READY) ## run the campaigns: kills at random, races; figures go to docs/reliability.md
	$(BIN)/pytest -m "long and not cluster" -s

test-cluster: $(READY) ## run what needs several hosts, as network namespaces (root; SLURM and sshd)
	@test "$$(id -u)" -eq 0 || { echo "make: hosts are network namespaces, which only root may" \
		"make; run it as root" >&2; exit 1; }
	$(BIN)/pytest -m cluster -s

lint: $(READY) ## check style, types, the direction of imports and the lock
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! grep -n '://' requirements* || { echo "a lock holds no address: run 'make lock'" >&2; exit 1; }

fmt: $(READY) ## format the code and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: $(READY) ## pin all requirements again, with hashes
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--quiet -o requirements.lock

bench: $(READY) ## run every benchmark
	@for name in $$($(BIN)/wsol list benchmarks -o json \
		| $(BIN)/python -c 'import json, sys; print(*(b["name"] for b in json.load(sys.stdin)))'); \
	do $(BIN)/wsol bench $$name; done

comparison: $(READY) ## write docs/comparison.md again from a finished wsol bench methods
	$(BIN)/python docs/comparison.py

pictures: $(READY) ## draw the README's pictures again from a finished demo
	$(BIN)/python docs/pictures.py

pretrained: $(READY) ## train again what recipes of the embedded data start from, to be shipped
	$(BIN)/python docs/pretrained.py

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 is needed and neither python3.11, python3" \
		"nor python is one; install it and run make again" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --no-input --require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@touch $@

fidelity: $(READY) ## compare with the toolkit at WSOLEVALUATION and write docs/fidelity.md again
	$(BIN)/python docs/fidelity.py
