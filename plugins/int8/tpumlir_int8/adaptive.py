"""Adaptive rounding of weights: each rounding error is made up for by the weights that are still to be rounded.

A product errs by the sum of its weights' errors times what the operand holds. With H the second moments of the operand's numbers that
meet one weight each (a patch, a row), the squared error of an output channel is e H e^T, e its weights' errors. Weights are rounded one
by one to the nearest; those to come take over as much of the error as H allows, which is a row of the Cholesky factor of its inverse
(optimal brain quantization, Frantar 2022, in the order of GPTQ; what AdaRound, Nagel 2020, learns by gradients).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, Module, Operation
from tpumlir_core.ir.top import Conv, Weight
from tpumlir_core.plugins.extension_points import CalibratedRange, Interpreter
from tpumlir_int8.products import LEAST_MAGNITUDE, can_be_lowered, mean_shift
from tpumlir_int8.tuning import Tensors, own_bias, products_by_operand, result_errors, seen_and_held, stored_values, stored_weights

POSITIONS = 4096
"""Patches or rows of each sample that are looked at, evenly spread over them."""
TOGETHER = 1024
"""Weights of an output channel that share their errors, at most: time grows with the square of it, the inverse's with the cube."""
_DAMPING = 0.01
"""Of the mean second moment is added to each: few samples do not tell them all."""


def round_weights(module: Module, ranges: Mapping[str, CalibratedRange], samples: Sequence[Tensors], interpreter: Interpreter) -> None:
    """Give products of ``module``, in place, weights that are whole multiples of the step that INT8 will use, and biases that make up
    for what that adds to the mean; those products that err less so on samples that the rounding has not seen."""
    seen, held = seen_and_held(samples)
    for value, takers in products_by_operand(module).items():
        known = ranges.get(value.name)
        for operation in takers if known is not None and known.means else ():
            assert known is not None
            if _roundable(operation):
                _round_if_better(operation, known, module, seen, held, interpreter)


def _roundable(operation: Operation) -> bool:
    """Whether weights and a bias are its own, and not stored in 8 bits already."""
    weight = operation.operands[1]
    assert weight is not None
    own = isinstance(weight.owner, Weight) and len(weight.uses) == 1 and not weight.owner.scale
    return own and own_bias(operation) is not None and can_be_lowered(operation)


def _round_if_better(
    operation: Operation, known: CalibratedRange, module: Module, seen: Sequence[Tensors], held: Sequence[Tensors], interpreter: Interpreter
) -> None:
    source, weight, bias = operation.operands[0], operation.operands[1], own_bias(operation)
    assert source is not None
    assert weight is not None
    assert bias is not None
    names, before = (weight.name, bias.name), (module.weights[weight.name].reshape(weight.shape), module.weights[bias.name])
    adaptive = _rounded(operation, before[0], [stored_values(sample[source.name], known) for sample in seen])
    tried, taps = [], math.prod(weight.shape[2:])
    for weights in (stored_weights(before[0], operation), adaptive):
        errors = _rows(operation, weights).astype(np.float64) - _rows(operation, before[0])
        lost = mean_shift(errors, taps, np.asarray(known.means), range(len(errors)), len(errors)).reshape(bias.shape)
        tried.append((weights, (before[1] - lost).astype(np.float32)))
    found = []
    for arrays in tried:
        _write(module, names, arrays)
        found.append(float(result_errors(operation, [known], module, held, interpreter)[0]))
    _write(module, names, tried[1] if found[1] < found[0] else before)


def _write(module: Module, names: Sequence[str], arrays: Sequence[Array]) -> None:
    for name, array in zip(names, arrays, strict=True):
        module.weights[name] = array


def _rows(operation: Any, weights: Array) -> Array:
    """Weights as [output channels, n]."""
    if isinstance(operation, Conv):
        return weights.reshape(weights.shape[0], -1)
    rows: Array = weights if operation.right_transpose else weights.T
    return rows


def _rounded(operation: Any, weights: Array, samples: Sequence[Array]) -> Array:
    """The weights of a product, rounded, in their own shape."""
    rows, is_conv = _rows(operation, weights), isinstance(operation, Conv)
    groups = operation.group if is_conv else 1
    patches = [_patches(operation, s) if is_conv else _spread(s.reshape(1, -1, s.shape[-1]), 1) for s in samples]
    steps = np.maximum(np.abs(rows).max(1, keepdims=True).astype(np.float64), LEAST_MAGNITUDE) / 127
    units = (rows / steps).reshape(groups, len(rows) // groups, -1)
    for start in range(0, units.shape[2], TOGETHER):
        part = slice(start, start + TOGETHER)
        units[:, :, part] = round_for(units[:, :, part], *_moments([patch[:, :, part] for patch in patches]))
    found = (units.reshape(rows.shape) * steps).astype(np.float32)
    made: Array = np.ascontiguousarray(found if is_conv or operation.right_transpose else found.T)
    return made.reshape(weights.shape)


def round_for(units: Array, moments: Array, seen: int) -> Array:
    """Weights in units of their steps, [groups, channels, n], as whole numbers from -127 to 127, for operands with these second
    moments, [groups, n, n]. The largest of 127 stay what they are: they tell the step. The fewer places were ``seen``, the less
    is believed of what goes together."""
    count = units.shape[2]
    mean = np.trace(moments, axis1=1, axis2=2) / count
    share = count / (count + seen)
    diag = np.einsum("gii->gi", moments)[:, :, None] * np.eye(count)
    damped = (1 - share) * moments + share * diag + (_DAMPING * mean + LEAST_MAGNITUDE)[:, None, None] * np.eye(count)
    factors = np.swapaxes(np.linalg.cholesky(np.linalg.inv(damped)), 1, 2)  # upper
    left, rounded = units.astype(np.float64), np.empty(units.shape)
    ends = np.abs(units) > 127 - 1e-4
    for place in range(count):
        now = left[:, :, place]
        rounded[:, :, place] = np.where(ends[:, :, place], np.rint(units[:, :, place]), np.clip(np.rint(now), -127, 127))
        error = (now - rounded[:, :, place]) / factors[:, None, place, place]
        left[:, :, place:] -= error[:, :, None] * factors[:, None, place, place:]
    return rounded


def _moments(samples: Sequence[Array]) -> tuple[Array, int]:
    """Second moments about the mean, [groups, n, n], of patches, [groups, places, n], and how many places they are of."""
    count = sum(sample.shape[1] for sample in samples)
    mean = np.sum([sample.sum(1, dtype=np.float64) for sample in samples], axis=0)[:, None] / count
    centered = [sample - mean for sample in samples]
    moments: Array = np.sum([np.swapaxes(wide, 1, 2) @ wide for wide in centered], axis=0)
    return moments, count


def _spread(rows: Array, axis: int) -> Array:
    """At most POSITIONS of the places along an axis."""
    count = rows.shape[axis]
    chosen: Array = rows if count <= POSITIONS else np.take(rows, np.linspace(0, count - 1, POSITIONS).astype(np.intp), axis)
    return chosen


def _patches(operation: Conv, sample: Array) -> Array:
    """What meets the filters of a convolution, [groups, places, n], at most POSITIONS of the places."""
    spatial = sample.shape[2:]
    padded = np.pad(sample, [(0, 0), (0, 0), *operation.padding(spatial)])
    kernel, dilations = operation.kernel_shape, operation.steps()
    extents = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True))
    axes = tuple(range(2, sample.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(padded, extents, axes)
    every: list[Any] = [slice(None), slice(None)]
    windows = windows[(*every, *(slice(None, None, step) for step in (*operation.strides, *dilations)))]
    places = windows.shape[2 : 2 + len(kernel)]
    total = math.prod(places)
    chosen = np.unravel_index(np.linspace(0, total - 1, min(total, POSITIONS)).astype(np.intp), places)
    picked = windows[(*every, *chosen)]  # [batch, channels, places, kernel...]
    batch, channels = sample.shape[:2]
    grouped = picked.reshape(batch, operation.group, channels // operation.group, -1, math.prod(kernel))
    moved: Array = grouped.transpose(1, 0, 3, 2, 4)
    return moved.reshape(operation.group, -1, channels // operation.group * math.prod(kernel))
