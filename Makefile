# The commands of this house; `make help` lists them. Each makes ready what it needs.
PYTHON := .venv/bin/python
# Two at once: the workers of the tests start browsers, slicers and printers of their own.
AT_ONCE ?= 2
# The gate on branches of api/domain and printers, in percent (0: none); 96.9 was measured last.
COVERAGE_GATE ?= 95
.DEFAULT_GOAL := help
# Compiled modules are kept: without them each process compiles for seconds at every start.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup run test test-fast check format figures docs-architecture bench-dispatch bench-mesh bench-booking bench-free bench-history bench-invoice drill drill-faults lock clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: ## Install what is missing, then start the demo (ARGS="--port N --data DIR --json FILE")
	@requirements/setup run
	@exec $(PYTHON) -m web.command demo $(ARGS)

setup: ## Install everything, also for the tests
	@requirements/setup test

test: setup ## All tests, the fast ones first, and the coverage gate
	@.ci/test $(AT_ONCE) $(COVERAGE_GATE)

test-fast: setup ## Only the tests without real printers, slicers and browsers
	@$(PYTHON) -m pytest -q -n $(AT_ONCE) -m "not real"

check: setup ## Format, lint, types, import contracts
	@$(PYTHON) -m ruff format --quiet --check .
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

format: setup ## Format, and mend what the linter can
	@$(PYTHON) -m ruff format --quiet .
	@$(PYTHON) -m ruff check --quiet --fix .

figures: setup ## Figures of the source: lengths, comments, names (ARGS=--names lists what is behind them)
	@$(PYTHON) -m bench.figures $(ARGS)

docs-architecture: setup ## Draw docs/architecture.svg from the imports, as they are
	@$(PYTHON) docs/draw_architecture.py $(ARGS)

bench-dispatch: setup ## From "slice ready, printer ready" to OctoPrint printing, against bare HTTP
	@$(PYTHON) -m bench.dispatch $(ARGS)

bench-mesh: setup ## Gate and measures of STL files against trimesh and admesh
	@$(PYTHON) -m bench.mesh $(ARGS)

bench-booking: setup ## A thousand people want one slot
	@$(PYTHON) -m bench.booking $(ARGS)

bench-free: setup ## What is offered can be booked, and nothing is hidden, in random worlds (ARGS=10000)
	@$(PYTHON) -m bench.free $(ARGS)

bench-history: setup ## The work of a day after years of prints and bookings (ARGS="200000 100000": runs, bookings)
	@$(PYTHON) -m bench.history $(ARGS)

bench-invoice: setup ## Invoices per second, validated
	@$(PYTHON) -m bench.invoice $(ARGS)

drill: setup ## kill -9 of workers and of OctoPrint while 150 jobs print
	@$(PYTHON) -m bench.drill $(ARGS)

drill-faults: setup ## Kill, starve and annoy a whole installation under load, PostgreSQL and the disk too
	@$(PYTHON) -m bench.faults $(ARGS)

lock: setup ## Bring the lock files up to date with pyproject.toml
	@requirements/lock

clean: ## Forget environments, builds and caches (data stays)
	@rm -rf .venv .venv-octoprint node_modules web/static/dist build .coverage* .mypy_cache .ruff_cache .pytest_cache
