.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV  := .venv
PY    := $(VENV)/bin/python
READY := $(VENV)/.ready
PIP   := -m pip --disable-pip-version-check -qq

# The first Python on the path that is 3.11 or newer.
FIND_PYTHON = python=; \
	for name in python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "This needs Python 3.11 or newer, and none is on the path." >&2; exit 1; fi

# Tests that start no server.
QUICK := tests/domain tests/services tests/projections tests/test_compose.py tests/docs/test_links.py \
	tests/docs/test_reference.py tests/adapters/test_clock.py tests/adapters/test_data_directory.py tests/adapters/test_logfiles.py \
	tests/adapters/test_loop_thread.py tests/adapters/nats/test_asyncapi.py tests/adapters/nats/test_configuration.py \
	tests/adapters/local/test_settings.py tests/adapters/command/test_settings.py

.PHONY: help demo test long quick laws lint bench chaos lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Watch a release from first deployment to audit (STORE=postgres: on PostgreSQL, roles apart)
	@$(PY) -m demo.story --store $(or $(STORE),sqlite) $(ARGS)

test: $(READY) ## Run the tests, but for the long ones (ARGS="-k word" goes to pytest)
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest $(ARGS) # a thousand processes are started, and compile nothing anew

long: $(READY) ## Run the tests that take minutes: the short forms of chaos, hostile clients and bench
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -m long --numprocesses=2 $(ARGS)

quick: $(READY) ## Run the tests that start no server, in less than 90 seconds (a fifth of the examples of each law)
	@RELMAN_LAWS_TIMES=0.2 $(PY) -m pytest $(QUICK) -k "not postgres" $(ARGS)

laws: $(READY) ## Search at random for what breaks a property test (MINUTES=10; SEED=1 repeats a round; ARGS="-k word")
	@$(PY) -m tests.laws $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) -- $(ARGS)

lint: $(READY) ## Check style, types and the direction of imports
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo

bench: $(READY) ## Measure it on this machine
	@$(PY) -m bench $(ARGS)

chaos: $(READY) ## Kill everything 200 times, and see whether it made a difference
	@$(PY) -m chaos $(ARGS)

$(READY): requirements.lock pyproject.toml
	@set -e; $(FIND_PYTHON); \
	echo "Setting up $(VENV) (once, about a minute) ..."; \
	$$python -m venv $(VENV); \
	$(PY) $(PIP) install --require-hashes -r requirements.lock; \
	$(PY) $(PIP) install --no-build-isolation --no-deps -e .; \
	touch $@

lock: ## Write requirements.lock anew (ARGS=--upgrade takes newer versions)
	@set -e; $(FIND_PYTHON); \
	tool=$$(mktemp -d); trap 'rm -rf "$$tool"' EXIT; \
	$$python -m venv "$$tool"; \
	"$$tool/bin/python" $(PIP) install 'uv>=0.9,<1'; \
	"$$tool/bin/uv" pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command 'make lock' --quiet --output-file requirements.lock $(ARGS)

clean: ## Remove the virtual environment and every cache
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov build dist
	@find release_management tests bench demo chaos docs -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
