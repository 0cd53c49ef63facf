# `make tutorial` and `make test` need only python3 (3.10 or newer), git and this file.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
WORKERS ?= 2

# By default PyTorch's idle threads keep a core busy, which slows down the worker processes that read clips
export OMP_WAIT_POLICY ?= PASSIVE

# Generated data, downloads and results stay inside the checkout.
export VIDCLS_HOME ?= $(CURDIR)/runs
RECIPE ?= stick

.PHONY: help setup tutorial test test-slow test-spawn lint test-browser fuzz bench gpu matrix cleanroom lab site ja export outputs stats checkpoint methods tables clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(STAMP): settings.ini setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 10) or sys.exit(f"vidcls needs Python 3.10 or newer; {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@if command -v uv >/dev/null; then \
	  echo "Installing with uv ..."; \
	  [ -x $(PY) ] || uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	  uv pip install --quiet --compile-bytecode --python $(PY) -e '.[dev]'; \
	else \
	  echo "Installing with pip (uv would be faster) ..."; \
	  [ -x $(PY) ] || $(PYTHON) -m venv $(VENV); \
	  $(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip --upgrade >/dev/null; \
	  $(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	fi
	@touch $@

setup: $(STAMP)  ## create .venv and install everything

tutorial: $(STAMP)  ## run the course in order (RECIPE=stick: offline; RECIPE=ucf101: on a GPU; ALL=1: all other notebooks as well)
	@$(PY) nbs/_tools/run_chapters.py --recipe $(RECIPE) --out $(VIDCLS_HOME)/tutorial $(if $(ALL),--all)

# Each of the workers has one core, which the threads of PyTorch would only fight for
test test-slow test-spawn: export OMP_NUM_THREADS ?= 1

test: $(STAMP)  ## run the notebooks' checks and the fast part of tests/ (about twelve minutes)
	@$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-slow: $(STAMP)  ## run the slow tests: stand-ins, installations, killed processes, and Chromium if it is installed (ALL=1: every variant)
	@$(PY) -m pytest -n $(WORKERS) --dist worksteal -m slow
	@$(PY) -m pytest -m slow tests/browser

test-spawn: $(STAMP)  ## run tests/ as on other systems: with the start method spawn, and if Linux allows it, without shared memory
	@bash tests/tools/spawn.sh $(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not slow" tests

lint: $(STAMP)  ## run ruff and mypy, and check that `make export` would not change any file
	@$(PY) -m ruff check
	@$(PY) -m mypy
	@$(PY) -m pytest -q tests/test_repo.py -k export_changes_nothing

test-browser: $(STAMP)  ## test chapters (CHAPTERS=all: all of them), README and report in Chromium; screenshots in runs/browser
	@if ! command -v $${VIDCLS_CHROMIUM:-} chromium chromium-browser google-chrome google-chrome-stable >/dev/null && \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium with apt-get ..."; apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null || true; fi
	@$(PY) -m pytest tests/browser

fuzz: $(STAMP)  ## read thousands of damaged videos (VIDCLS_FUZZ=5000; takes minutes)
	@VIDCLS_FUZZ=$${VIDCLS_FUZZ:-5000} OMP_NUM_THREADS=1 $(PY) -m pytest tests/test_odd_videos.py -k fuzzed -q

matrix:  ## run all tests on Python 3.10 to 3.13, with the oldest and newest packages and those of a hosted notebook (needs uv; hours)
	@bash tests/tools/matrix.sh

cleanroom:  ## try what a newcomer does in an empty home: clone, make tutorial, make test, wheel and sdist (an hour)
	@bash tests/tools/cleanroom.sh

lab: $(STAMP)  ## open the chapters in JupyterLab
	@$(VENV)/bin/jupyter lab --notebook-dir nbs

site: $(STAMP)  ## make the web site from the stored outputs, in runs/site (a minute or two; needs no network, and no page does)
	@$(PY) tools/site/make_site.py --out $(VIDCLS_HOME)/site

ja: $(STAMP)  ## make the Japanese notebooks from nbs/_ja/translations, in runs/ja
	@$(PY) tools/site/ja.py build --out $(VIDCLS_HOME)/ja

export: $(STAMP)  ## after an edit in nbs/: rebuild vidcls/ with its type stubs, README.md and badges, and clean the notebooks
	@$(PY) nbs/_tools/make_readme.py
	@$(VENV)/bin/nbdev-export
	@$(PY) nbs/_tools/stubs.py
	@$(VENV)/bin/nbdev-clean

outputs: $(STAMP)  ## run every notebook and store the outputs in nbs/
	@$(PY) nbs/_tools/run_chapters.py --recipe $(RECIPE) --out $(VIDCLS_HOME)/tutorial --store --all
	@$(MAKE) --no-print-directory export

stats: $(STAMP)  ## print the cell lengths and other figures of the notebooks
	@$(PY) nbs/_tools/stats.py

RIVALS = torchcodec opencv-python-headless
bench: $(STAMP)  ## compare the speed of the input pipelines and the training step with the guide's; writes runs/bench/
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! ldconfig -p | grep -q libavcodec; then \
	  echo "Installing FFmpeg's libraries with apt-get ..."; apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg >/dev/null || true; fi
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(PY) $(RIVALS); \
	  else $(PY) -m pip install --quiet --disable-pip-version-check $(RIVALS); fi || \
	  echo "$(RIVALS) cannot be installed here: the race goes on without them."
	@$(PY) tools/bench.py --out $(VIDCLS_HOME)/bench

gpu: $(STAMP)  ## show what a GPU can do (PART=steps, reading, training, pretraining or tests: only that; 25 minutes); writes runs/gpu/
	@$(PY) tools/gpu_day.py $(PART) --out $(VIDCLS_HOME)/gpu

checkpoint: $(STAMP)  ## train both shipped checkpoints again and make their tables (three hours on two cores)
	@$(PY) tools/make_checkpoint.py

methods: $(STAMP)  ## compare the methods of chapter 10 again, on all and on few labels (hours on two cores)
	@$(PY) tools/make_methods.py

tables: checkpoint methods  ## write all tables that chapters read again, from newly trained checkpoints (many hours on two cores)

clean:  ## remove all generated files (keeps .venv)
	rm -rf runs build dist *.egg-info .pytest_cache
