# `make run`: environment (if it is not there), then the phantom benchmark.  `make test`: environment (if it is not there), then the tests.
# `make bench`: every benchmark on a small workload; BENCH_OPTIONS= runs the full ones.
PYTHON ?= python3
VENV := .venv
# The stamp is older than pyproject.toml or constraints.txt when they changed: then, and only then, pip runs again.
STAMP := $(VENV)/.installed
PYTEST_OPTIONS ?= -m "not slow"
RUN_OPTIONS ?= experiment=order1
BENCH_OPTIONS ?= --small

.PHONY: run test lint bench clean
run: $(STAMP)
	$(VENV)/bin/python run.py $(RUN_OPTIONS)

test: $(STAMP)
	$(VENV)/bin/python -m pytest $(PYTEST_OPTIONS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .

bench: $(STAMP)
	$(VENV)/bin/python -m benchmarks $(BENCH_OPTIONS)

# torch comes first, alone and by its exact version: any looser requirement may fetch gigabytes of CUDA packages on a machine that needs none.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache
