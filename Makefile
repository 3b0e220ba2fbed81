# `make` alone says what there is. Everything happens in .venv, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Tests and demos compute with one thread a process: several processes share the cores.
export OMP_NUM_THREADS := 1

.PHONY: help demo test test-slow lint format bench clean

help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-9s %s\n", $$1, $$2 }'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY) ## Install, attack real pictures on the CPU, say where the report and the pictures are
	$(BIN)/invbench run examples/quickstart.yaml --device cpu

test: lint ## Install, then ruff, mypy, import-linter, pytest
	$(BIN)/pytest --numprocesses 2 --dist worksteal --quiet -m "not slow"

test-slow: $(READY) ## The tests that take minutes: every fault instead of a sample
	$(BIN)/pytest --numprocesses 2 --dist worksteal --quiet -m slow

lint: $(READY) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One file a question; each writes its samples to benchmarks/raw/ and makes report.md anew.
QUESTIONS := auto victims limit strongest matching intervals evaluation restarts lanes workers standing_by growth gpu attributes membership faces kkt extraction defended audit disaggregate aggregation frontier labels imprint one_round gradinversion large malicious fedavg solver

bench: $(READY) ## Measure speed and write benchmarks/report.md
	for question in $(QUESTIONS); do $(BIN)/python benchmarks/$$question.py || exit 1; done

clean: ## Remove the environment, caches and own results (not results/reference)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -rf {} +
	find . -name __pycache__ -prune -exec rm -rf {} +
