"""Equalization of channels: what one scale for a whole tensor loses on small channels, the weights around it can take over.

Channel ``j`` of a tensor is divided by ``s[j]`` in the weights of what makes it (a convolution, a matrix product, a layer
normalization; at most a ReLU between) and multiplied in the weights of all that take it, so that the network computes what it did:
cross-layer equalization (Nagel 2019) and SmoothQuant (Xiao 2022) in one, with s = max|x|^a / max|w|^(1 - a) a channel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, Module, Operation, Value
from tpumlir_core.ir.top import Weight
from tpumlir_core.plugins.extension_points import CalibratedRange, Interpreter
from tpumlir_core.precision import kind
from tpumlir_int8.tuning import Tensors, products_by_operand, result_errors, seen_and_held

Calibrate = Callable[[Sequence[Tensors]], Mapping[str, CalibratedRange]]
EXPONENTS = (0.25, 0.5, 0.75)
"""The ``a`` that are tried."""
DEPTHWISE = (1.0,)
"""The same where weights of each channel have a scale of their own anyway, so that they lose nothing."""
_GAIN = 0.99
"""Of the error before may be left, or nothing is changed."""
_LEAST = 1e-5
"""Of the largest: a smaller magnitude counts as this, so that no channel is blown up."""


@dataclass(frozen=True)
class Between:
    """A tensor whose channels, along ``axis``, can be scaled: weights to divide and to multiply, each with its axis of channels."""

    value: Value
    axis: int
    divided: tuple[tuple[Value, int], ...]
    multiplied: tuple[tuple[Value, int], ...]
    takers: tuple[Operation, ...]


def equalize(
    module: Module, ranges: Mapping[str, CalibratedRange], samples: Sequence[Tensors], interpreter: Interpreter, calibrate: Calibrate
) -> tuple[dict[str, CalibratedRange], list[Tensors]]:
    """Scale channels in the weights of ``module``, in place, where that lets products err less; its ranges and tensors then."""
    better, tensors = dict(ranges), list(samples)
    for place in list(equalizable(module)):
        if place.value.name in ranges:
            better, tensors = _equalize_one(place, module, better, tensors, interpreter, calibrate)
    return better, tensors


def _equalize_one(
    place: Between, module: Module, ranges: dict[str, CalibratedRange], samples: list[Tensors],
    interpreter: Interpreter, calibrate: Calibrate,
) -> tuple[dict[str, CalibratedRange], list[Tensors]]:
    """The best of the exponents, or what there was."""
    name = place.value.name
    seen = seen_and_held(samples)[0]
    before = {weight.name: module.weights[weight.name] for weight, _ in (*place.divided, *place.multiplied)}
    least = _GAIN * _error(place, module, ranges[name], seen_and_held(samples)[1], interpreter)
    best = ranges, samples, before
    for exponent in DEPTHWISE if all(map(_is_depthwise, place.takers)) else EXPONENTS:
        scales = _scales(place, before, seen, exponent)
        weights = _scaled_weights(place, before, scales)
        tensors: list[Tensors] = [{**sample, name: sample[name] / _along(scales, place.axis, sample[name].ndim)} for sample in samples]
        found = _scaled_range(name, ranges[name], samples, tensors, calibrate)
        found = dataclasses.replace(found, means=tuple(map(float, np.asarray(ranges[name].means) / scales)) if ranges[name].means else ())
        _write(module, weights)
        error = _error(place, module, found, seen_and_held(tensors)[1], interpreter)
        if error < least:
            least, best = error, ({**ranges, name: found}, tensors, weights)
    _write(module, best[2])
    return best[0], best[1]


def _error(place: Between, module: Module, known: CalibratedRange, samples: Sequence[Tensors], interpreter: Interpreter) -> float:
    return float(sum(result_errors(operation, [known], module, samples, interpreter)[0] for operation in place.takers))


def _scales(place: Between, weights: Mapping[str, Array], samples: Sequence[Tensors], exponent: float) -> Array:
    """What to divide each channel of the tensor by."""
    values = np.stack([_magnitudes(sample[place.value.name], place.axis) for sample in samples]).max(axis=0)
    taken = np.stack([_magnitudes(weights[weight.name], axis) for weight, axis in place.multiplied]).max(axis=0)
    scales: Array = _floored(values) ** exponent / _floored(taken) ** (1 - exponent)
    return scales


def _floored(magnitudes: Array) -> Array:
    least = max(float(magnitudes.max()) * _LEAST, float(np.finfo(np.float32).tiny))
    floored: Array = np.maximum(magnitudes.astype(np.float64), least)
    return floored


def _magnitudes(array: Array, axis: int) -> Array:
    """The largest magnitude of each channel."""
    magnitudes: Array = np.abs(array).max(axis=tuple(other for other in range(array.ndim) if other != axis))
    return magnitudes


def _along(scales: Array, axis: int, rank: int) -> Array:
    return scales.astype(np.float32).reshape([-1 if other == axis else 1 for other in range(rank)])


def _scaled_weights(place: Between, weights: Mapping[str, Array], scales: Array) -> dict[str, Array]:
    made = {w.name: weights[w.name] / _along(scales, axis, weights[w.name].ndim) for w, axis in place.divided}
    return made | {w.name: weights[w.name] * _along(scales, axis, weights[w.name].ndim) for w, axis in place.multiplied}


def _write(module: Module, weights: Mapping[str, Array]) -> None:
    for name, array in weights.items():
        module.weights[name] = array


def _scaled_range(
    name: str, known: CalibratedRange, before: Sequence[Tensors], after: Sequence[Tensors], calibrate: Calibrate
) -> CalibratedRange:
    """The range that the calibrator finds on the scaled tensors of these few samples, wider by as much as all samples made it before."""
    few, scaled = (calibrate([{name: sample[name]} for sample in samples])[name] for samples in (before, after))
    wider = max(known.threshold / few.threshold, 1.0)
    return dataclasses.replace(scaled, threshold=scaled.threshold * wider, low=scaled.low * wider, high=scaled.high * wider)


def equalizable(module: Module) -> Iterator[Between]:
    """The tensors whose channels can be scaled, in the network's order."""
    for value, takers in products_by_operand(module).items():
        made = _made_by(value)
        taken = [_taken_by(operation, made[0]) for operation in takers] if made else []
        if made and len(value.uses) == len(takers) and all(taken):
            yield Between(value, made[0], made[1], tuple(weight for weight in taken if weight), tuple(takers))


def _made_by(value: Value) -> tuple[int, tuple[tuple[Value, int], ...]] | None:
    """The axis of channels of a tensor and the weights that scale them, with their axes; None where there are none to be scaled."""
    owner: Any = value.owner
    name = kind(owner) if owner is not None else ""
    if name not in ("Conv", "MatMul", "LayerNorm") or (getattr(owner, "do_relu", False) and owner.relu_limit > 0):
        return None
    last = len(value.shape) - 1
    if name == "LayerNorm" and (owner.axis % len(value.shape) != last or owner.operands[1] is None):
        return None
    if name == "MatMul" and not _plain_matmul(owner):
        return None
    axis = 1 if name == "Conv" else last
    factor = 0 if name != "MatMul" or owner.right_transpose else 1
    weights = [(owner.operands[1], factor), *((bias, _channel_axis(bias)) for bias in owner.operands[2:3] if bias is not None)]
    return (axis, tuple(weights)) if all(_own(weight) for weight, _ in weights) else None


def _taken_by(operation: Any, axis: int) -> tuple[Value, int] | None:
    """The weight of a product that takes channels along ``axis``, and its axis of them; None where it cannot be scaled."""
    weight: Value = operation.operands[1]
    if not _own(weight):
        return None
    if kind(operation) == "Conv" and _is_depthwise(operation):
        return (weight, 0) if axis == 1 else None
    if kind(operation) == "Conv":
        return (weight, 1) if axis == 1 and operation.group == 1 else None
    fits = _plain_matmul(operation) and axis == len(operation.input.shape) - 1
    return (weight, 1 if operation.right_transpose else 0) if fits else None


def _is_depthwise(operation: Any) -> bool:
    """Whether each channel of the operand has a filter of its own, and one result."""
    return kind(operation) == "Conv" and 1 < operation.group == operation.input.shape[1] == operation.output.shape[1]


def _plain_matmul(operation: Any) -> bool:
    """Rows times a matrix."""
    swapped = operation.left_transpose or operation.output_transpose or operation.hdim_is_batch
    return not swapped and operation.operands[1] is not None and len(operation.operands[1].shape) == 2


def _channel_axis(weight: Value) -> int:
    """The axis of a bias or factor that has more than one place."""
    return next((axis for axis, size in enumerate(weight.shape) if size > 1), 0)


def _own(weight: Value) -> bool:
    """Whether it is a weight that one operation takes, once."""
    return isinstance(weight.owner, Weight) and len(weight.uses) == 1
