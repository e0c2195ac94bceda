# make demo | test | lint | format | docs | claims | bench: each does its own set-up on a machine with Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
# One thread for each worker: two workers with two threads each would fight for two cores.
# Stealing keeps most files whole on one worker, which makes what their tests share once.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
WORKERS ?= 2

.PHONY: help install demo test lint format docs schema claims bench clean

help:
	@echo "make demo    compare a shipped problem of real data with and without noise"
	@echo "make test    run the tests"
	@echo "make lint    check style and types"
	@echo "make bench   measure the speeds of the solvers against peers"
	@echo "make docs    build the documentation site, docs/_build/html/index.html"
	@echo "make schema  write docs/problem.schema.json and docs/keys.md again"
	@echo "make claims  run the theory, and write docs/claims again"

install: $(READY)

$(READY): pyproject.toml setup.py build_backend.py constraints.txt $(wildcard controlsde/compiled/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "controlsde needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[test,lint,browser,docs,learn]'
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true  # on all processors; pip does so on one
	@touch $@

demo: install
	$(BIN)/controlsde compare iris-petals --noise 0 --noise 1 --output demo

test: install
	@$(BIN)/python -m compileall -q controlsde solvers  # where Python keeps no bytecode, every process would compile it again
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -rs tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

schema: install
	$(BIN)/controlsde schema > docs/problem.schema.json
	$(BIN)/python docs/tools/keys.py

claims: install
	$(BIN)/controlsde claims run --all --output docs/claims

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache
