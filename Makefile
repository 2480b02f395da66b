# From a bare machine with Python 3.11: `make install`, `make demo`, `make test`.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: help install demo test check docs clean lock locked
help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/'

.venv/ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	touch $@

install: .venv/ready  ## the environment .venv, with the versions of requirements.lock

demo: .venv/ready  ## train on synthetic faces, then test: under three minutes on two cores
	$(BIN)/smart-retail fit --config configs/experiment/demo.yaml
	$(BIN)/smart-retail test --config configs/experiment/demo.yaml --ckpt_path best

test: .venv/ready  ## the quick tests that need no real data
	@# The unit tests run beside the rest, on the second core; both would write pytest's cache, so neither does.
	@export OMP_NUM_THREADS=1; \
	$(BIN)/pytest -p no:cacheprovider -m "not real and not slow" tests/unit & unit=$$!; \
	$(BIN)/pytest -p no:cacheprovider -m "not real and not slow" --ignore tests/unit tests; rest=$$?; \
	wait $$unit && exit $$rest

check: .venv/ready ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/ready  ## the API reference from the docstrings, in build/docs
	$(BIN)/pdoc -d google -o build/docs $$(git ls-files 'smart_retail/**.py' | sed 's#/__init__.py##; s#\.py##; s#/#.#g' | grep -v __main__)

lock: .venv/ready  ## write the versions that are installed now, and the sums of their files (needs uv)
	$(BIN)/pip freeze --exclude-editable > requirements.lock
	printf '%s\n' '# Versions and sums of all files, for Linux on x86-64 with Python 3.11 (`make lock` writes this file);' \
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
