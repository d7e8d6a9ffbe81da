# Everything from a fresh clone; each target makes the environment if it is missing.

STACK ?= onedl
TORCH ?=
PYTHON ?= python3
VENV ?= $(if $(filter openmmlab,$(STACK)),.venv-openmmlab,.venv)
PYTEST_ARGS ?=
MUTANTS_ARGS ?=

# One thread per process: two files of tests run side by side, each in its order.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-quick coverage install lint types docs mutants clean

help:
	@echo 'make quickstart  fine-tune and compare detectors and segmenters on mini data'
	@echo 'make test        run the tests; PYTEST_ARGS="-k name -x" selects'
	@echo 'make test-quick  one case of every test that is not slow, in three minutes'
	@echo 'make coverage    which lines of the package no test runs'
	@echo 'make install     make the environment only'
	@echo 'make lint        check style, format and types'
	@echo 'make types       check types alone'
	@echo 'make docs        build the site into site/'
	@echo 'make mutants     change ops and checkpoints in 200 places and ask the tests'
	@echo 'make clean       remove the environments and caches; keeps data and work_dirs'
	@echo
	@echo 'STACK=onedl|openmmlab  which mmengine, mmcv, mmdet and mmseg (now $(STACK))'
	@echo 'TORCH=2.11.0           another version of torch'
	@echo 'PYTHON=python3.12      another Python, 3.10 to 3.13 (now $(PYTHON))'
	@echo 'VENV=folder            another environment (now $(VENV))'

install:
	@$(PYTHON) tools/install.py --stack '$(STACK)' --torch '$(TORCH)' --venv '$(VENV)'

quickstart: install
	@$(VENV)/bin/python tools/quickstart

test: install
	@$(TEST_ENV) $(VENV)/bin/python -m pytest $(IN_TWO) $(PYTEST_ARGS)

# One case of every test that is not slow, see tests/quick.py.
test-quick: install
	@$(TEST_ENV) $(VENV)/bin/python -m pytest $(IN_TWO) --quick $(PYTEST_ARGS)

# All tests, in a third more time; fails below the share in pyproject.toml.
coverage: install
	@$(TEST_ENV) $(VENV)/bin/python -m pytest $(IN_TWO) --cov --cov-report= $(PYTEST_ARGS)
	@$(VENV)/bin/python -m coverage report

lint: install types
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .

types: install
	$(VENV)/bin/python -m mypy

docs: install
	$(VENV)/bin/python -m mkdocs build --strict

mutants: install
	@$(VENV)/bin/python benchmarks/mutation/run.py $(MUTANTS_ARGS)

clean:
	rm -rf .venv .venv-openmmlab *.egg-info build dist site .mypy_cache .pytest_cache .ruff_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
