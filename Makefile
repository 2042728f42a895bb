# Short commands to set up, try, check and time the project. They write to .venv and build/; `make clean` removes both.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Errors only: pip's warnings are about its own set-up and hide the output that matters.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# An idle process takes over tests of a busy one.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
UV := uv==0.13.9
LOCK_VENV := build/lock-venv
PIP_AUDIT := pip-audit==2.10.1
CYCLONEDX := cyclonedx-bom==7.5.0
AUDIT_VENV := build/audit-venv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help report quick test lint format bench bench-full torture audit sbom vendored lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

report: $(VENV)/.core ## Write a report of the example history to build/report
	@$(BIN)/policy-engine report examples/history.jsonl --as-of 2026-01-08T00:00:00Z -o build/report

# Leaves out what starts a browser or a process, and tries few generated examples.
quick: $(VENV)/.test ## Run the quick tests: under a minute (ARGS='-k word' selects some)
	@HYPOTHESIS_PROFILE=quick $(PYTEST) -m 'not slow and not browser' $(ARGS)

# Without Chromium the browser tests are skipped. The warning comes before the run and after it, on stderr, so that
# pytest's summary is the last line of stdout.
test: $(VENV)/.test ## Run all tests: some minutes (ARGS='-k word' selects some)
	@$(warn_without_chromium); \
	outcome=0; $(PYTEST) $(ARGS) || outcome=$$?; \
	$(warn_without_chromium); \
	exit $$outcome

lint: $(VENV)/.test ## Check formatting, lints, types, import layers, English and the bundled rule pack
	@$(BIN)/ruff format --check --quiet . || { echo "some files are not formatted: run make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --strict --no-error-summary policy_engine examples tests/contracts/test_api_types.py
	@found=$$($(BIN)/basedpyright --pythonpath $(BIN)/python) || { echo "$$found"; exit 1; }
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/prose.py
	@$(BIN)/policy-engine check --strict
	@$(BIN)/policy-engine test --min-coverage 100 --min-mutation 100

format: $(VENV)/.test ## Format the Python files and apply the safe fixes of the linter
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

# Arguments go in ARGS, such as ARGS='--only engine' or ARGS='--markdown docs/development/performance.md'.
bench: $(VENV)/.test ## Compare its speed with DuckDB, Polars and pandas on small data: some minutes
	@$(BIN)/python tools/bench/run.py --only programs engine rules kernel report $(ARGS)

bench-full: $(VENV)/.test ## Compare speed and memory with a million tasks: hours (ARGS='--runs 1': 75 minutes)
	@$(BIN)/python tools/bench/run.py --tasks 1000000 --sizes 100000 1000000 --rules 8 1000 10000 $(ARGS)

# A stopped run can be continued. `make test` runs a short form of each part; tests/README.md lists them.
torture: $(VENV)/.test ## Run the long tests: hours (ARGS='--only PART --scale 0.1')
	@$(BIN)/python tools/torture/run.py $(ARGS)

# Sends names and versions to a service on the network. If the service cannot answer, the target fails and says so.
audit: $(AUDIT_VENV)/.ready ## Check the locked packages for known vulnerabilities (needs the network)
	@for lock in core build test; do \
		echo "requirements/$$lock.txt" >&2; \
		$(AUDIT_VENV)/bin/pip-audit --require-hashes --disable-pip --progress-spinner off \
			--requirement requirements/$$lock.txt > build/audit-$$lock.txt 2> build/audit-$$lock.err; code=$$?; \
		cat build/audit-$$lock.txt; \
		if grep -q 'could not be audited' build/audit-$$lock.txt || { [ $$code -ne 0 ] && ! [ -s build/audit-$$lock.txt ]; }; then \
			tail -n 3 build/audit-$$lock.err >&2; \
			echo "NOT AUDITED: the vulnerability service did not answer for every package, so nothing is known" >&2; exit 2; \
		elif [ $$code -ne 0 ]; then exit 1; fi; \
	done

# Made from the lock file alone, so that the same lock file gives the same bytes.
sbom: $(AUDIT_VENV)/.ready ## Write the locked dependencies in CycloneDX format to build/sbom.json
	@$(AUDIT_VENV)/bin/cyclonedx-py requirements requirements/core.txt --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file build/sbom.json
	@echo build/sbom.json

# Needs npm and its registry, so it is not part of the tests; they compare the bytes with the recorded digests.
vendored: ## Compare the vendored script with the published npm package (needs the network)
	@$(PYTHON) tools/check_vendored.py

# Versions in the lock files are kept unless UPGRADE=1 is given. test.txt is resolved first and constrains the other
# two, so that a package never has two versions.
lock: ## Rewrite the lock files in requirements/ (UPGRADE=1 takes newer versions)
	@$(PYTHON) -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip -qq --disable-pip-version-check install '$(UV)'
	@$(compile) --extra dev pyproject.toml -o requirements/test.txt
	@$(compile) --constraint requirements/test.txt pyproject.toml -o requirements/core.txt
	@printf 'hatchling\neditables\n' | $(compile) --constraint requirements/test.txt - -o requirements/build.txt

clean: ## Remove .venv, build/ and every cache
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets above use ---

# The lock files must work for every supported Python and system, and must not name a package registry.
compile = $(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "policy-engine needs Python 3.11 or newer; '$(PYTHON)' is missing or older." >&2; \
		echo "Use another one with: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "The virtual environment could not be created; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# A stamp is newer than the files it was installed from, so a second run installs nothing.
$(VENV)/.core: requirements/core.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "Setting up .venv ..." >&2
	@$(PIP) install --require-hashes -r requirements/core.txt -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.core
	@echo "Adding the test tools to .venv ..." >&2
	@$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

$(AUDIT_VENV)/.ready: Makefile | $(BIN)/python
	@$(PYTHON) -m venv $(AUDIT_VENV)
	@$(AUDIT_VENV)/bin/python -m pip -qq --disable-pip-version-check install '$(PIP_AUDIT)' '$(CYCLONEDX)'
	@touch $@

define warn_without_chromium
if [ -n "$$CHROMIUM" ]; then set -- "$$CHROMIUM"; else set -- chromium chromium-browser google-chrome; fi; \
found=; for name; do if command -v "$$name" > /dev/null 2>&1; then found=yes; fi; done; \
if [ -z "$$found" ]; then printf '%s\n' \
	'+----------------------------------------------------------------------+' \
	'|  No Chromium found: the browser tests are SKIPPED.                   |' \
	'|  This run does not check what the report looks like in a browser.    |' \
	'|                                                                      |' \
	'|  Debian:         apt-get install chromium                            |' \
	'|  macOS:          brew install --cask chromium                        |' \
	'|  anywhere else:  CHROMIUM=/path/to/chromium make test                |' \
	'+----------------------------------------------------------------------+' >&2; fi
endef
