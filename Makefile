# The two commands that matter: `make serve` and `make test`. Everything is installed into .venv.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Where it is set (containers do), each of the hundreds of processes that the tests start would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help serve test tests check style types bench proof clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	@# Python compiles what is imported, a third of it: pip would take longer for all of it than for the rest.
	$(BIN)/pip install --quiet --no-compile --editable '.[embedded,dev]'
	@touch $@

serve: $(INSTALLED) ## Install, start MongoDB, load the demo clinic, serve
	$(BIN)/mediloop-fhir serve

check: style types ## Style, types and import rules

style: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED)
	$(BIN)/mypy

# Types are checked beside the tests: mypy keeps one core busy for twenty seconds, and leaves the other idle.
test: style ## Install and run all the checks
	@$(MAKE) --no-print-directory --jobs=2 types tests

tests: $(INSTALLED)
	$(BIN)/python -m slipcover --json --out .coverage.json -m pytest -n 3 --dist loadfile --no-loadscope-reorder -p no:schemathesis
	$(BIN)/python -m tests.covered .coverage.json 95 'mappings/*=100' 'adapter/scheduling/*=100'

bench: $(INSTALLED) ## Measure speed beside a bare floor, in one run
	$(BIN)/python -m bench
	$(BIN)/python -m bench --growth
	$(BIN)/python -m bench --scheduling
	$(BIN)/python -m bench --export
	$(BIN)/python -m bench --imports

proof: $(INSTALLED) ## Races, crashes and failovers against a three-node replica set, in full
	PROOF=1 $(BIN)/pytest tests/linearizability tests/acceptance/test_proof_bookings.py \
		tests/acceptance/test_races.py tests/acceptance/test_crashes.py tests/adapter/mediloop/test_lists_at_scale.py \
		tests/acceptance/test_bulk_export.py tests/acceptance/test_export_command.py tests/acceptance/test_schemathesis.py \
		$$(grep -rl 'examples(' --include='test_*.py' tests | sort) \
		-p no:cacheprovider -p no:schemathesis -s

clean: ## Remove what was installed and measured (not the data)
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
