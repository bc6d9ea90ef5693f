# `make demo` and `make test` do all they need; nothing else has to be typed first.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check

# Real hosts and a browser are used where CI=true, or by `make test-all`. There nothing may be skipped.
ifeq ($(CI),true)
EVERYTHING := --lab --browser --no-skips
# One more than there are cores: those that have hosts wait for them most of the time.
WORKERS := $(shell expr $$(nproc) + 1)
endif
WORKERS ?= auto

.PHONY: demo test test-all lint server simulate bench venv lock clean

demo: $(VENV)/.runs
	$(VENV)/bin/askfirst demo

test: lint server
	$(PY) -m pytest --collect-only --quiet --require-laws --require-threats >$(VENV)/collected || { tail -n 30 $(VENV)/collected; exit 1; }
	$(PY) -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist loadscope --no-loadscope-reorder $(EVERYTHING)

# Half of the store's tests run on PostgreSQL. Where nobody may install it, they say what they lack.
server:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || [ "$$(id -u)" != 0 ] || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; } >/dev/null || \
	  echo "PostgreSQL could not be installed: its tests are left out."

test-all:
	$(MAKE) test CI=true

lint: $(VENV)/.develops
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy app tests $(wildcard bench/*.py migrations/*.py migrations/*/*.py)
	$(VENV)/bin/lint-imports

# The real flow and store under seeded schedules and faults. One seed, line by line: see tests/simulator/run.py.
SEEDS ?= 1000
JOBS ?= $(shell nproc)

simulate: $(VENV)/.develops
	$(PY) -m tests.simulator.run --seeds $(SEEDS) --jobs $(JOBS)

bench: $(VENV)/.develops
	for one in verify click history append audit; do $(PY) -m bench.$$one || exit 1; done

venv: $(VENV)/.develops

# --- The environment. A stamp newer than its lock means: nothing to install. ---

$(PY):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Askfirst needs Python 3.11 or newer, and there is no $(PYTHON). On Debian: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Askfirst needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make a virtual environment. On Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: requirements.lock pyproject.toml | $(PY)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.develops: requirements-dev.lock $(VENV)/.runs
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# --- The locks: names, versions and hashes, no address. Needs uv (https://docs.astral.sh/uv). ---

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links pyproject.toml

lock:
	@command -v uv >/dev/null || { echo "Renewing the locks needs uv: pip install uv"; exit 1; }
	$(COMPILE) --upgrade --output-file requirements.lock >/dev/null
	$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock >/dev/null
	sed -i '1i # To run Askfirst. Made by `make lock` from pyproject.toml; do not edit.' requirements.lock
	sed -i '1i # To develop and test Askfirst: requirements.lock and more. Made by `make lock`; do not edit.' requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
