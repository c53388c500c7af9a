# Two commands do everything on a machine that has Python >= 3.11 and make: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers

# Images of containers like to forbid bytecode; each process of a run, and a suite starts hundreds, would compile anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test quick check bench clean

run: $(READY) ## the reference application on its sandbox: no network, no token
	@exec $(BIN)/python -m orchestrator run

# More workers than the two cores of a small machine: a third of what the tests take is waiting for processes and servers.
test: $(READY) ## the whole suite
	$(BIN)/python -m pytest -n 3 --dist worksteal

quick: $(READY) ## the quick loop: few examples for each law, nothing slow
	HYPOTHESIS_PROFILE=loop $(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow"

check: $(READY) ## everything that CI checks but the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright

bench: $(READY) $(PEERS)/.ready ## our calls, scheduler and inbox beside the peers', and the cost of starting
	$(BIN)/python -m benchmarks.startup
	$(PEERS)/bin/python -m benchmarks.resilience
	$(PEERS)/bin/python -m benchmarks.scheduler
	$(PEERS)/bin/python -m benchmarks.inbox

$(PEERS)/.ready: benchmarks/requirements.txt benchmarks/requirements-apscheduler4.txt benchmarks/inbox/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		-r benchmarks/requirements.txt -r benchmarks/inbox/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(PEERS)/apscheduler4 -r benchmarks/requirements-apscheduler4.txt
	@touch $@

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

clean: ## the environment and everything that was made
	rm -rf $(VENV) $(PEERS) var dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
