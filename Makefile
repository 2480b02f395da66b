# From a bare machine with Python 3.11, 3.12 or 3.13: `make install`, `make demo`, `make test`.
# The Pythons that run (a pyenv shim is there for those that do not, too); 3.11 comes first: the locks were made with it.
PYTHONS = $(foreach version,3.11 3.12 3.13,$(shell python$(version) -c 'print("python$(version)")' 2>/dev/null))
PYTHON ?= $(or $(firstword $(PYTHONS)),$(error found no Python 3.11, 3.12 or 3.13: name one with PYTHON=/path/to/python))
BIN := .venv/bin
# Tests run side by side, each process on one thread. `make test WORKERS=0` runs them one after the other.
WORKERS ?= logical
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -p no:cacheprovider -n $(WORKERS) --maxprocesses 8 --dist worksteal
QUICK := -m "not real and not slow"

.PHONY: help install demo test test-all test-versions check docs clean lock locked
help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

# `make install CPU=1` takes PyTorch without CUDA (docs/install.md); the rest then keeps it: 2.14.1+cpu is a 2.14.1.
CPU_TORCH = $(BIN)/pip install --quiet $(shell grep -E '^torch(vision)?==' requirements.lock) \
	--index-url https://download.pytorch.org/whl/cpu

.venv/ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(if $(CPU),$(CPU_TORCH))
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	touch $@

install: .venv/ready  ## the environment .venv, with the versions of requirements.lock; CPU=1: without CUDA, 2 GB for 7

demo: .venv/ready  ## train on drawn faces, and write a report to open: under three minutes on two cores
	$(BIN)/smart-retail fit --config configs/experiment/demo.yaml
	@run=$$(ls -td lightning_logs/demo/version_* | head -1); \
	$(BIN)/smart-retail evaluate $$run --thumbnails --output $$run/report && printf '%s\n' '' \
		"Open $$run/report/report.html in a browser: how good the network is, and where it errs." \
		'Then, after `. .venv/bin/activate`:' \
		'  smart-retail predict face.jpg   # the network of the package, on a face crop of yours' \
		'  smart-retail watch 0            # counts the people before a camera' \
		'docs/own-faces.md goes on: from a table of your own faces to a network that a camera runs.'

test: .venv/ready  ## the quick tests that need no real data: under six minutes on two cores
	$(PYTEST) $(QUICK)

test-all: test  ## and the rest: slow tests, and those on real data if SMART_RETAIL_DATA names a folder
	$(PYTEST) -m "real or slow"

test-versions:   ## the unit tests with the lowest versions that pyproject.toml allows, and with the highest (needs uv)
	@# The lowest with the oldest Python that runs, the highest with the newest: build/lowest-direct, build/highest.
	export OMP_NUM_THREADS=1; status=0; \
	for pair in lowest-direct:$(firstword $(PYTHONS)) highest:$(lastword $(PYTHONS)); do \
		environment=build/$${pair%:*}; \
		uv venv --quiet --clear --python $$(command -v $${pair#*:}) $$environment && \
		uv pip install --quiet --python $$environment --compile-bytecode --resolution $${pair%:*} -e '.[dev]' && \
		$$environment/bin/python -m pytest -p no:cacheprovider $(QUICK) tests/unit || status=1; \
	done; exit $$status

check: .venv/ready ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/ready  ## the site, in build/docs: pages, notebooks, and the API from the docstrings; no network is needed
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --jobs auto docs build/docs
	@echo "open build/docs/index.html"

lock: .venv/ready  ## write the versions that are installed now, and the sums of their files (needs uv)
	printf '%s\n' '# Versions that the tests pass with; the Makefile installs under them (`make lock` writes this file).' > requirements.lock
	$(BIN)/pip freeze --exclude-editable >> requirements.lock
	printf '%s\n' '# Versions and sums of all files, for Linux on x86-64 with Python 3.11 to 3.13 (`make lock` writes this file);' \
		'# `make locked` installs it: pip install --require-hashes -r requirements-hashed.lock' > requirements-hashed.lock
	uv pip compile pyproject.toml --extra dev --python-version 3.11 --constraints requirements.lock \
		--generate-hashes --no-header --no-annotate --quiet >> requirements-hashed.lock

locked:          ## the environment from requirements-hashed.lock alone, each file checked against its sum
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --no-deps --require-hashes -r requirements-hashed.lock
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/pip check
	touch .venv/ready

clean:           ## remove the environment and caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
