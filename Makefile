# coverslip: what a person types. `make help` lists the targets.
#
#   make demo                    build .venv from the lock, run the workflow on its default config
#   make demo GPU=1              the same with TensorFlow for NVIDIA GPUs
#   make demo PYTHON=python3.11  with another Python than `python3`
#   make demo ARGS="--configfile config/kaggle.yaml"     with further arguments for snakemake
#   make explain FILE=results/studies/nuclei/metrics.json
#   make test ARGS="-k splits"   with further arguments for pytest

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test env dev-env lint format schema lock report results clean
.PHONY: explain crate reliability coverage docs

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
CONFIGFILE ?= config/kaggle.yaml
# Of each job only that it is done, and what it says itself.
QUIET ?= --quiet rules host reason
# Two processes; each file of tests is one's own.
PYTEST := -n 2 --dist loadfile --no-loadscope-reorder
KIND := $(if $(filter-out 0,$(GPU)),gpu,cpu)

BIN := $(VENV)/bin
# Jobs find the tools of the environment whether or not it is activated.
WITH := PATH="$(abspath $(BIN)):$$PATH"

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/.$(KIND) ## build the environment, run the workflow, make results/report.html
	$(WITH) snakemake --cores all $(ARGS) $(QUIET)

test: lint ## build the environment for development, check style and types, run all tests
	$(WITH) pytest $(PYTEST) $(ARGS)

coverage: $(VENV)/.dev ## run all tests, list the lines of the package that none of them reached
	rm -f .coverage .coverage.*
	$(WITH) coverage run --data-file="$(CURDIR)/.coverage" -m pytest $(PYTEST) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

env: $(VENV)/.$(KIND) ## build the environment that runs the workflow

dev-env: $(VENV)/.dev ## build the environment that also tests and formats

lint: $(VENV)/.dev ## check style, words, types and rules, change nothing
	$(BIN)/python .ci/check_words.py
	$(BIN)/python .ci/check_tests.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/mypy
	PYTHONPATH=workflow/scripts $(BIN)/lint-imports
	$(WITH) snakemake --lint

format: $(VENV)/.dev ## bring all code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

schema: $(VENV)/.dev ## write the JSON schema and the parameter table from the config's models
	PYTHONPATH=workflow/scripts $(BIN)/python -m coverslip.config.document

report: $(VENV)/.$(KIND) ## pack figures, notebooks and run times of the last run into one page
	$(WITH) snakemake --report results/snakemake-report.html $(ARGS)

# The page shows the command that made it, with what was given to it.
GIVEN = $(foreach name,CONFIGFILE APPEND OUTPUT,$(if $(findstring command,$(origin $(name))), \
  $(name)="$($(name))"))

results: $(VENV)/.$(KIND) ## write docs/results.md, or OUTPUT=FILE, from the last run of CONFIGFILE
	$(BIN)/python benchmarks/results_page.py \
	  --command '$(strip make results $(GIVEN))' --configfile $(CONFIGFILE) \
	  $(if $(APPEND),--append $(APPEND)) $(if $(OUTPUT),--output $(OUTPUT))

explain: $(VENV)/.$(KIND) ## print how a result was made and what changed since: FILE=results/...
	@PYTHONPATH=workflow/scripts $(BIN)/python -m coverslip.runtime.explain $(FILE) $(ARGS)

crate: $(VENV)/.$(KIND) ## describe the last run of config/kaggle.yaml as an RO-Crate
	PYTHONPATH=workflow/scripts $(BIN)/python -m coverslip.reporting.ro_crate --configfile $(CONFIGFILE) $(ARGS)

reliability: $(VENV)/.dev ## disturb every stage of a small run, write docs/reliability.md
	$(BIN)/python benchmarks/reliability.py --write

docs: $(VENV)/.dev ## build the documentation site into site/, with all links checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

clean: ## remove environment and caches; results/ and resources/ stay
	rm -rf $(VENV) site .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage .coverage.* htmlcov
	find workflow tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- locks -------------------------------------------------------------------------------------
# Versions that stand in a lock are kept while they fit pyproject.toml; `make lock ARGS=--upgrade`
# takes new ones. All locks share their versions. Addresses of registries never go into a lock.

COMPILE = env -u VIRTUAL_ENV $(BIN)/uv pip compile pyproject.toml --quiet --universal \
  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
  --no-annotate --custom-compile-command "make lock" --extra kaggle --extra slurm --extra crate $(ARGS)

lock: $(VENV)/.dev ## resolve the dependency ranges of pyproject.toml into the locks
	$(COMPILE) --extra train -o requirements.txt > /dev/null
	$(COMPILE) --extra train --group dev -c requirements.txt -o requirements-dev.txt > /dev/null
	$(COMPILE) --extra gpu -c requirements.txt -o requirements-gpu.txt > /dev/null
	$(BIN)/python .ci/pin_environment.py

# --- environments ------------------------------------------------------------------------------
# A stamp in the environment says what was installed whole, so nothing is installed twice.
# A lock is whole, so nothing is resolved (`--no-deps`): pip before 23.3 takes the newest release of
# a package that another one asks for with an extra, whatever the lock says.
# CPU and GPU TensorFlow do not go together: an environment of the other kind is built again.

PYTHON_TEST := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

define build
	@command -v $(PYTHON) > /dev/null || { \
	  echo "coverslip: $(PYTHON) is not installed; install Python 3.11, 3.12 or 3.13" \
	    "(Debian: apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c '$(PYTHON_TEST)' || { \
	  echo "coverslip: Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>&1); name another: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "coverslip: $(PYTHON) cannot build environments; install its venv module" \
	    "(Debian: apt install python3-venv)" >&2; exit 1; }
	@kind="$(2), $$($(PYTHON) --version)"; \
	if [ -e $(VENV)/.kind ] && [ "$$(cat $(VENV)/.kind)" != "$$kind" ]; then rm -rf $(VENV); fi; \
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(VENV); \
	echo "$$kind" > $(VENV)/.kind
	@echo "coverslip: installing $(1) into $(VENV), which takes some minutes the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1)
endef

$(VENV)/.cpu: requirements.txt
	$(call build,$<,cpu)
	@touch $@

$(VENV)/.gpu: requirements-gpu.txt
	$(call build,$<,gpu)
	@touch $@

# The lock for development holds that of the CPU whole.
$(VENV)/.dev: requirements-dev.txt
	$(call build,$<,cpu)
	@touch $(VENV)/.cpu $@
