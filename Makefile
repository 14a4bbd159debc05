# Everything a fresh machine needs: `make test`, `make lint`, `make demo`.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := sophgo bm1684x onnx torch tflite caffe tensorflow paddle float int8 bmrt compat example-target
# Frameworks that are too heavy for `make test`: each has an environment of its own, `make test-torch`.
FRAMEWORKS := torch tensorflow paddle
PROJECTS := pyproject.toml $(PLUGINS:%=plugins/%/pyproject.toml) plugins/umbrella/pyproject.toml
STAMP := $(VENV)/.installed
WORKERS ?= 2
PIP := --quiet --disable-pip-version-check
# Installed in place as plain paths: with a finder for each package every Python starts 30 ms later.
EDITABLE := --no-build-isolation --config-settings editable_mode=compat

.PHONY: venv test lint demo sweep bench clean

venv: $(STAMP)

$(STAMP): $(PROJECTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP) 'setuptools>=77'
	$(BIN)/python -m pip install $(PIP) $(EDITABLE) -e '.[dev,demo]' $(PLUGINS:%=-e plugins/%)
	$(BIN)/python -m pip install $(PIP) --no-build-isolation --no-deps plugins/umbrella
	$(BIN)/python -m compileall -q tpumlir_core plugins $(VENV)/lib/python*/site-packages/__editable__*
	touch $@

# The emulator that tests, demo and figures run on, in the user's cache; nothing is fetched when it is there.
.PHONY: cmodel
cmodel: $(STAMP)
	$(BIN)/tpumlir bmrt fetch-cmodel

test: cmodel
	$(BIN)/python -m pytest -n $(WORKERS)

# Tests that need a framework itself, tests/<framework>, in .venv-<framework>; they skip in `make test`.
.PHONY: test-frameworks $(FRAMEWORKS:%=test-%)
test-frameworks: $(FRAMEWORKS:%=test-%)

$(FRAMEWORKS:%=test-%): test-%: .venv-%/.installed cmodel
	.venv-$*/bin/python -m pytest -n $(WORKERS) tests/$*

$(FRAMEWORKS:%=.venv-%/.installed): .venv-%/.installed: $(PROJECTS)
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install $(PIP) 'setuptools>=77'
	.venv-$*/bin/python -m pip install $(PIP) $(EDITABLE) -e '.[dev,demo]' $(PLUGINS:%=-e plugins/%)
	.venv-$*/bin/python -m pip install $(PIP) $(EDITABLE) -e 'plugins/$*[framework]'
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy tpumlir_core $(foreach plugin,$(PLUGINS),plugins/$(plugin)/tpumlir_$(subst -,_,$(plugin))) $(wildcard demo sweeps bench)

demo: cmodel
	$(BIN)/python -m demo.centerface

# Long measurements of correctness; each prints a summary and writes its findings to results/.
sweep: cmodel
	$(BIN)/python -m sweeps.conformance
	$(BIN)/python -m sweeps.networks
	$(BIN)/python -m sweeps.mutants
	$(BIN)/python -m sweeps.caffe
	$(BIN)/python -m sweeps.tflite
	$(BIN)/python -m sweeps.torch_mutants
	$(BIN)/python -m sweeps.packages
	$(BIN)/python -m sweeps.wheels
	$(BIN)/python -m sweeps.shapes
	$(BIN)/python -m sweeps.accuracy
	$(BIN)/python -m sweeps.shapes --mode F16 --each 8
	$(BIN)/python -m sweeps.shapes --mode BF16 --each 8
	$(BIN)/python -m sweeps.shapes --mode INT8 --each 12
	$(BIN)/python -m sweeps.shapes --mode 'INT8 asymmetric' --each 12
	for mode in F32 F16 BF16 INT8 'INT8 asymmetric'; do $(BIN)/python -m sweeps.random_networks --mode "$$mode" || exit 1; done
	$(BIN)/python -m sweeps.random_networks --mode INT8 --large --count 60

# What takes a framework: PyTorch in .venv-torch, TensorFlow and Paddle in environments that their plugins make.
.PHONY: sweep-frameworks
sweep-frameworks: cmodel .venv-torch/.installed
	.venv-torch/bin/python -m sweeps.torch
	.venv-torch/bin/python -m sweeps.torch_models
	for plugin in tensorflow paddle; do $(BIN)/tpumlir plugins install tpumlir-$$plugin --isolated || exit 1; done
	for sweep in tensorflow tensorflow_operators paddle paddle_operators framework_mutants formats; do $(BIN)/python -m sweeps.$$sweep || exit 1; done

# Cycles, seconds and memory of every network, and the speed of calibration; REFERENCE names an environment in which tpu-mlir is installed.
bench: $(STAMP)
	for mode in F32 F16 INT8; do $(BIN)/python -m bench --mode $$mode $(if $(REFERENCE),--reference $(REFERENCE)) || exit 1; done
	$(BIN)/python -m bench.summary
	$(BIN)/python -m bench.calibration $(if $(REFERENCE),--reference $(REFERENCE))

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -o -name '*.egg-info' | xargs rm -rf
