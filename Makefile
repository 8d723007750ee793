# Every target creates its own environment first. Another interpreter: PYTHON=python3.12 make test

PYTHON ?= python3
VENV   := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN    := $(VENV)/bin
RUN    ?= runs/pos_tagging
CASES  ?= 3

.DEFAULT_GOAL := help
.PHONY: help train test parity pretrained lint docs docs-serve docs-browser demo web kernels selfcheck sanitize fuzz modes races kills clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

train: $(VENV)/.experiments  ## Train a tagger on the bundled text and tag a sentence (a minute, five the first time)
	$(BIN)/python -m experiments.pos_tagging train --run $(RUN)
	$(BIN)/python -m experiments.pos_tagging predict --run $(RUN) "I know that man , and I know that he left ."

test: $(VENV)/.test  ## Run the tests and the examples of the documentation
	$(BIN)/python -m pytest -n auto --dist worksteal

parity: $(VENV)/.peers  ## Compare with the real frameworks: PyTorch, Keras, Flax, Haiku, Equinox, ONNX Runtime
	$(BIN)/python -m pytest -n auto --dist worksteal tests/library/parity \
		tests/benchmarks/test_benchmarks.py::test_gpu_suite_runs_at_a_tiny_size_without_a_gpu \
		tests/benchmarks/test_cells_suite.py tests/benchmarks/test_peers.py \
		tests/experiments/test_pos_tagging.py::test_throughput_measures_taggers_that_agree

pretrained: $(VENV)/.test $(VENV)/.pretrained  ## Compare pretrained networks with their own runtimes (installs 1 GB of packages)
	$(BIN)/python -m pytest -q -n 0 tests/examples/test_pretrained.py

lint: $(VENV)/.lint  ## Check style, types, spelling and phrases
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python tests/library typing
	$(BIN)/codespell *.md birnn_jax benchmarks docs experiments tests website
	$(BIN)/python -m website.prose

docs: $(VENV)/.docs  ## Build the documentation site; warnings and dead links are errors
	$(BIN)/python -m website build

docs-serve: $(VENV)/.docs  ## Serve the documentation site on http://localhost:8000
	$(BIN)/python -m website serve

docs-browser: $(VENV)/.browser  ## Open every page of the site in headless Chromium
	$(BIN)/python -m website build
	$(BIN)/python -m pytest -q -n 0 -m browser tests/docs/test_browser.py tests/docs/test_demo.py

demo: $(VENV)/.demo  ## Train the networks of the browser demo and write docs/demo/models (half an hour)
	$(BIN)/python -m website.demo

web: $(VENV)/.browser  ## Test the demo in headless Chromium, and the examples in JavaScript and C++
	npm install --prefix examples/onnx_runtime --ignore-scripts --no-audit --no-fund --silent
	$(BIN)/python -m pytest -q -n 0 tests/docs/test_demo.py tests/examples/test_onnx_runtime.py

kernels: $(VENV)/.test  ## Rebuild the native CPU kernels and list the backends
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/python -c 'import birnn_jax; print(birnn_jax.backends())'

selfcheck: $(VENV)/.test  ## Compare every backend with the equations in float64, on CASES layers of each cell
	$(BIN)/python -m birnn_jax.selfcheck --cases $(CASES)

sanitize: $(VENV)/.test  ## Run the native CPU kernels under the address, undefined-behaviour and thread sanitisers
	$(BIN)/python setup.py --quiet sanitize

fuzz: $(VENV)/.test  ## Compare 10,000 random stacks with float64 and read 1,000 broken files per reader (half an hour)
	$(BIN)/python tests/library fuzz
	seed=$$(date +%s); echo "files from --hypothesis-seed=$$seed"; FUZZ_FILES=1000 $(BIN)/python -m pytest -q tests/experiments/test_file_fuzz.py --hypothesis-seed=$$seed

modes: $(VENV)/.test  ## Run every function in every mode of JAX, on eight devices (half an hour)
	JAX_NUM_CPU_DEVICES=8 $(BIN)/python tests/library modes

races: $(VENV)/.test  ## Try the kernels for TPUs and GPUs on random layers in interpret mode, with race detection (10 minutes)
	$(BIN)/python tests/library races --kernel tpu --minutes 5
	$(BIN)/python tests/library races --kernel gpu --minutes 5

kills: $(VENV)/.test  ## Kill a training at 50 random moments and compare its final parameters bit for bit (8 minutes)
	$(BIN)/python -m tests.experiments._kills

include benchmarks/bench.mk

clean:  ## Remove the environments; trained models in runs/ stay
	rm -rf .venv* build *.egg-info .pytest_cache .ruff_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"birnn_jax needs Python 3.11 or newer, {sys.executable} is {v.major}.{v.minor}. Name another: PYTHON=python3.12 make ...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

# One stamp per extra: it is installed again when the dependencies or the native kernels change.
$(VENV)/.%: pyproject.toml setup.py $(wildcard birnn_jax/kernels/cpu/src/*) | $(VENV)/.python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@
