# Everything that is done to this repository by hand or by CI. Each target does its own set-up: on a machine with
# Python 3.11+, make and a C compiler nothing else is needed. Stamps keep a second run short.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PY      := $(BIN)/python
READY   := $(VENV)/.ready
STATIC  := src/allthings/console/static/index.html
MODULES := web-console/node_modules/.package-lock.json
JAVASCRIPT := tests/javascript/node_modules/.package-lock.json
# Where `make demo` keeps its data; remove the folder to start over.
DEMO_DATA ?= data/demo
# More arguments for the command behind a target: make demo ARGS="--speed 4", make test ARGS=tests/mqtt
ARGS ?=
# Tests wait more than they compute: two for each core.
WORKERS ?= 4
FUZZ_S ?= 600
SOAK_S ?= 3600

NODE := scripts/with-node
CONSOLE_SOURCES := $(shell find web-console -type f -not -path '*/node_modules/*' -not -path '*/.*' 2>/dev/null)

.PHONY: help setup wheel deb demo test lint fmt bench soak docs reference console console-check screenshots lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1 /p' $(MAKEFILE_LIST) | awk '{name=$$1; $$1=""; printf "  make %-14s%s\n", name, $$0}'

setup: $(READY)  ## the virtual environment with everything in it

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(BIN)/uv: | $(PY)
	$(PY) -m pip install --quiet uv

# uv is quick; pip comes after it for machines where only pip is told which index to use.
$(READY): requirements.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock || \
	  $(PY) -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(PY) --no-deps -e . || \
	  $(PY) -m pip install --quiet --no-deps -e .
	@touch $@

$(MODULES): web-console/package.json web-console/package-lock.json | $(PY)
	cd web-console && ../$(NODE) npm ci --no-audit --no-fund
	@touch $@

$(STATIC): $(CONSOLE_SOURCES) $(MODULES)
	cd web-console && ../$(NODE) npm run build
	@touch $@

# Clients of strangers that some tests run; they say so when these are missing.
$(JAVASCRIPT): tests/javascript/package-lock.json | $(PY)
	cd tests/javascript && ../../$(NODE) npm ci --no-audit --no-fund
	@touch $@

console: $(STATIC)  ## build the web console into the package

console-check: $(MODULES)  ## types and tests of the web console
	cd web-console && ../$(NODE) npm run check && ../$(NODE) npm test --if-present

demo: $(READY) $(STATIC)  ## the whole platform with real recordings as live things; prints its address
	$(BIN)/allthings demo --data $(DEMO_DATA) $(ARGS)

test: $(READY) $(STATIC) $(JAVASCRIPT)  ## all tests but the long ones
	@scripts/system-packages chromium mosquitto mosquitto-clients strace
	$(PY) -m pytest -m "not soak" -n $(WORKERS) --durations 25 $(ARGS)

lint: $(READY)  ## style, types, layers, deployment files, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(MAKE) --no-print-directory docs

fmt: $(READY)  ## put the sources into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the speed figures, against mosquitto where it is installed
	@scripts/system-packages mosquitto mosquitto-clients libssl-dev
	$(PY) -m bench $(ARGS)

# The fuzzer is no part of the lock: it needs a compiler's runtime that not every machine has.
soak: $(READY) $(STATIC)  ## the long tests: kills and a failing disk under load (SOAK_S seconds of sessions), other random examples, fuzzing (FUZZ_S each)
	@scripts/system-packages strace
	ALLTHINGS_EXAMPLES=random SOAK_S=$(SOAK_S) $(PY) -m pytest -m soak --timeout 0 $(ARGS)
	ALLTHINGS_EXAMPLES=random $(PY) -m pytest -m "property and not soak" $(ARGS)
	$(BIN)/uv pip install --quiet --python $(PY) --group fuzz || $(PY) -m pip install --quiet 'atheris>=2.3'
	$(PY) tests/fuzz/fuzz_mqtt.py -max_total_time=$(FUZZ_S)
	$(PY) tests/fuzz/fuzz_sessions.py -max_total_time=$(FUZZ_S)
	$(PY) tests/fuzz/fuzz_lane.py -max_total_time=$(FUZZ_S)

wheel: $(READY) $(STATIC)  ## a wheel and an sdist with the console in them, in dist/
	$(PY) -m hatchling build

deb: wheel  ## a Debian package for this machine's release, in dist/
	$(PY) scripts/make_deb.py $(ARGS)

docs: $(READY)  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: $(READY) $(STATIC)  ## pictures of the console in docs/images, from a demo of its own
	@scripts/system-packages chromium
	$(PY) scripts/screenshots.py $(ARGS)

reference: $(READY)  ## write the pages of the documentation that follow from the program
	$(PY) scripts/make_reference.py

# No index address may stand in the lock: the hashes say what is meant, wherever it comes from.
lock: | $(BIN)/uv  ## resolve the dependencies again
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --no-header --quiet --output-file requirements.lock
	@! grep -nE '://' requirements.lock

clean:  ## remove what was built, but no data
	rm -rf $(VENV) site dist build web-console/node_modules src/allthings/console/static
