"""Threshold tuning: each product with weights is tried by itself, on the tensors that a few samples made.

A calibrator judges a tensor by its own values. What counts is what the products that take it make of it, with weights that are
quantized as well: that is computed here, in floats that are rounded as stored numbers are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, ElementType, Function, Module, Operation, Quantization, Value, WeightStore
from tpumlir_core.ir.top import Input, Weight
from tpumlir_core.plugins.extension_points import CalibratedRange, Interpreter
from tpumlir_core.precision import kind
from tpumlir_core.storage_lowering import Storage
from tpumlir_int8.policy import PRODUCTS, may_be_quantized
from tpumlir_int8.products import quantize
from tpumlir_int8.ranges import storage_of

Tensors = Mapping[str, Array]

GAIN = 0.9
"""Of the error that the calibrator's threshold leaves may be left, or it stays: a few samples do not tell small differences."""
_HELD = 1 / 3
"""Of the samples judge, and are not chosen by."""
TRIALS = 21
"""Thresholds that are tried, evenly spaced (tpu-mlir 1.30.2 tries as many)."""
_LEAST_SHARE = 0.7
"""Of the calibrator's threshold is the least one that is tried; the greatest is the largest magnitude seen."""


def tuned(
    module: Module, ranges: Mapping[str, CalibratedRange], samples: Sequence[Tensors], interpreter: Interpreter
) -> dict[str, CalibratedRange]:
    """The ranges with those thresholds at which the products that take a tensor err least, relative to what they should give."""
    better = dict(ranges)
    for value, takers in products_by_operand(module).items():
        if value.name in ranges:
            better[value.name] = _tuned_range(ranges[value.name], takers, module, samples, interpreter)
    return better


def seen_and_held(samples: Sequence[Tensors]) -> tuple[Sequence[Tensors], Sequence[Tensors]]:
    """The samples that weights may be chosen by, and those that judge: the same where there is but one."""
    held = math.ceil(len(samples) * _HELD) if len(samples) > 1 else 0
    return (samples[held:], samples[:held]) if held else (samples, samples)


def products_by_operand(module: Module) -> dict[Value, list[Operation]]:
    """The tensors that products with weights take, in the network's order, each with these products."""
    takers: dict[Value, list[Operation]] = {}
    for operation in module.function.operations:
        if kind(operation) in PRODUCTS and may_be_quantized(operation) and operation.operands[0] is not None:
            takers.setdefault(operation.operands[0], []).append(operation)
    return takers


def _tuned_range(
    known: CalibratedRange, takers: Sequence[Operation], module: Module, samples: Sequence[Tensors], interpreter: Interpreter
) -> CalibratedRange:
    largest = max(-known.low, known.high, known.threshold)
    trials = [dataclasses.replace(known, threshold=float(t)) for t in np.linspace(known.threshold * _LEAST_SHARE, largest, TRIALS)]
    errors = np.sum([result_errors(operation, [*trials, known], module, samples, interpreter) for operation in takers], axis=0)
    return known if GAIN * errors[-1] <= errors.min() else trials[int(errors.argmin())]


def result_errors(
    operation: Operation, trials: Sequence[CalibratedRange], module: Module, samples: Sequence[Tensors], interpreter: Interpreter
) -> Array:
    """For each range of the operand how far the result is off, in the euclidean norm, relative to itself; the sum over the samples."""
    operand, result = _operand(operation), operation.output.name
    inputs = ({operand: stored_values(sample[operand], trial)} for trial in trials for sample in samples)
    runs = interpreter.run_each(alone(operation, module, quantized=True), inputs)
    errors = np.zeros(len(trials))
    for place in range(len(trials)):
        for sample in samples:
            exact = sample[result]
            errors[place] += np.linalg.norm(next(runs)[result] - exact) / max(float(np.linalg.norm(exact)), 1e-12)
    return errors


def stored_values(array: Array, known: CalibratedRange) -> Array:
    """Numbers as they come back from storage in 8 bits, symmetric."""
    quantization = storage_of(known, asymmetric=False).quantization
    assert quantization is not None
    scale = np.float32(quantization.scale)
    low, high = (0, 255) if known.low >= 0 else (-128, 127)
    rounded: Array = np.rint(array / scale)
    np.clip(rounded, low, high, out=rounded)
    rounded *= scale
    return rounded


def alone(operation: Operation, module: Module, quantized: bool) -> Module:
    """A product as a network of which its operand is the input, with its weights as they come back from 8 bits if they are to be
    ``quantized``."""
    store = WeightStore()
    sources: list[Operation] = []
    operands: list[Value | None] = []
    for place, value in enumerate(operation.operands):
        if value is None:
            operands.append(None)
            continue
        sources.append((Weight if place else Input).create([], [(value.name, value.type)]))
        operands.append(sources[-1].results[0])
        if place:
            array = module.weights[value.name]
            store[value.name] = stored_weights(array, operation) if quantized and place == 1 else array
    copied = type(operation).create(operands, [(r.name, r.type) for r in operation.results], **operation.attributes())
    return Module(operation.name, Function("main", [*sources, copied], list(copied.results)), store)


def stored_weights(weights: Array, operation: Any) -> Array:
    """Weights as they come back from 8 bits, each output channel with its own scale."""
    channel = 0 if kind(operation) == "Conv" else weights.ndim - (2 if operation.right_transpose else 1)
    whole = Storage(ElementType.SI8, Quantization(1.0))
    found = quantize(weights, channel, None, whole, whole)
    shape = tuple(-1 if axis == channel else 1 for axis in range(weights.ndim))
    return found.weights * found.scale.reshape(shape)


def _operand(operation: Operation) -> str:
    value = operation.operands[0]
    assert value is not None
    return value.name


def own_bias(operation: Operation) -> Value | None:
    """The bias of a product, where it is a weight that nothing else takes."""
    value = operation.operands[2] if len(operation.operands) > 2 else None
    return value if value is not None and isinstance(value.owner, Weight) and len(value.uses) == 1 else None
