# Everything runs from .venv; nothing has to be set up first but Python 3.11 or later, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NODE_MODULES := tests/e2e/node/node_modules

.PHONY: help run test demo bench check clean

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: $(VENV)/run.stamp ## Install and serve, on the embedded ClickHouse
	$(BIN)/rak-ingest serve

demo: $(VENV)/run.stamp ## Send a believable shop and agent workload to a running service
	$(BIN)/rak-ingest demo

test: $(VENV)/test.stamp $(NODE_MODULES) ## Install and run every check
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(VENV)/test.stamp ## Only the checks that read the source
	$(BIN)/python -m pytest tests/tools -p no:xdist

bench: $(VENV)/test.stamp ## Measure: throughput, CPU, latency; prints a table, writes build/bench.json
	$(BIN)/python -m tests.bench

clean: ## Remove what was installed and built; data/ stays
	rm -rf $(VENV) build dist $(NODE_MODULES) .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet --editable '.[embedded,agent]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# The real Node exporters, for the end-to-end tests; where they cannot be had, those tests say so and are skipped.
$(NODE_MODULES): tests/e2e/node/package.json tests/e2e/node/package-lock.json
	@npm ci --prefix tests/e2e/node --no-audit --no-fund --loglevel=error || \
		{ echo "npm could not install the Node exporters: their tests will be skipped" >&2; mkdir -p $@; }
	@touch $@
