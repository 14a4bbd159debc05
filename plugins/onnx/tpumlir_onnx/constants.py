"""Constant evaluation in numpy (exact int64) of the operators that exporters use to compute shapes and indices."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.importing import LARGEST_TENSOR
from tpumlir_core.ir import Array
from tpumlir_onnx.graph import Node
from tpumlir_onnx.parameters import axes_of, normal_axis, reshape_target, slice_parameters, split_sizes
from tpumlir_onnx.tensors import PLAIN, WIDENED

Inputs = Sequence[Array | None]
Evaluator = Callable[[Node, Inputs], list[Array]]

_LARGEST_COMPUTED = 1 << 27
"""Elements of the largest constant that is computed here, not only viewed."""
_VIEWS = frozenset(
    ("CastLike", "ConstantOfShape", "Expand", "Identity", "Reshape", "Shape", "Size", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
)


def evaluate_constant(node: Node, inputs: Inputs) -> list[Array] | None:
    """The results of a node whose inputs are all known, or None if it is not one of the operators known here.

    Large constants only take part in operators that make views of them: a repeated number needs no memory.
    """
    evaluator = _EVALUATORS.get(node.op_type) if node.domain == "" else None
    large = any(array is not None and array.size > _LARGEST_COMPUTED for array in inputs)
    if evaluator is None or (large and node.op_type not in _VIEWS):
        return None
    return [np.asarray(result) for result in evaluator(node, inputs)]


def foldable_operators() -> frozenset[str]:
    """The ONNX operators that are evaluated when all their inputs are known."""
    return frozenset(_EVALUATORS)


def element_dtype(node: Node, code: int) -> np.dtype[Any]:
    """The numpy type of an ONNX element type code; the 16-bit floats count as float32."""
    from onnx import helper

    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(code))
    except (KeyError, TypeError):
        raise InputError(f"{node}: element type {code} is unknown") from None
    if dtype.name in WIDENED:
        return np.dtype(np.float32)
    if dtype.name not in PLAIN:
        raise InputError(f"{node}: element type {dtype.name} is not supported")
    return dtype


def constant_of(node: Node) -> Array:
    """The value of a Constant node."""
    if node.has("value"):
        return node.tensor("value")
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64), ("value_ints", np.int64)):
        if node.has(name):
            return np.asarray(node.attributes[name], dtype)
    raise InputError(f"{node}: a constant of strings or a sparse one is not supported")


def _check_size(node: Node, shape: Sequence[int], limit: int = _LARGEST_COMPUTED) -> tuple[int, ...]:
    """The shape, if a constant may have it: no negative extent, at most ``limit`` elements."""
    elements = 1
    for extent in shape:
        if extent < 0:
            raise InputError(f"{node}: shape {list(shape)} has a negative extent")
        elements *= int(extent)
    if elements > limit:
        raise InputError(f"{node}: a constant of shape {list(shape)} is too large")
    return tuple(int(e) for e in shape)


def _need(node: Node, inputs: Inputs, index: int) -> Array:
    value = inputs[index] if index < len(inputs) else None
    if value is None:
        raise InputError(f"{node}: input {index} is missing")
    return value


def _elementwise(function: Callable[..., Any]) -> Evaluator:
    def evaluate(node: Node, inputs: Inputs) -> list[Array]:
        arrays = [a for a in inputs if a is not None]
        if len(arrays) > 1:
            _check_size(node, np.broadcast_shapes(*(a.shape for a in arrays)))
        result = np.asarray(function(*arrays))
        keep = result.dtype != np.bool_ and result.dtype != arrays[0].dtype
        return [result.astype(arrays[0].dtype) if keep else result]

    return evaluate


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    quotient = np.abs(a) // np.abs(b)
    return np.asarray(np.where((a < 0) != (b < 0), -quotient, quotient))


def _mod(node: Node, inputs: Inputs) -> list[Array]:
    function = np.fmod if node.flag("fmod") else np.mod
    return _elementwise(function)(node, inputs)


def _variadic(function: Callable[[Array, Array], Any]) -> Evaluator:
    def evaluate(node: Node, inputs: Inputs) -> list[Array]:
        result = _need(node, inputs, 0)
        for index in range(1, len(inputs)):
            result = function(result, _need(node, inputs, index))
        return [result]

    return evaluate


def _constant(node: Node, inputs: Inputs) -> list[Array]:
    return [constant_of(node)]


def _constant_of_shape(node: Node, inputs: Inputs) -> list[Array]:
    shape = _check_size(node, [int(d) for d in _need(node, inputs, 0).reshape(-1)], LARGEST_TENSOR // 4)
    value = node.tensor("value").reshape(-1) if node.has("value") else np.zeros(1, np.float32)
    if value.size != 1:
        raise InputError(f"{node}: its value must have one element")
    return [np.broadcast_to(value[0], shape)]


def _cast(node: Node, inputs: Inputs) -> list[Array]:
    return [_need(node, inputs, 0).astype(element_dtype(node, node.integer("to")))]


def _identity(node: Node, inputs: Inputs) -> list[Array]:
    return [_need(node, inputs, 0)]


def _shape(node: Node, inputs: Inputs) -> list[Array]:
    return [shape_result(node, _need(node, inputs, 0).shape)]


def shape_result(node: Node, shape: Sequence[int]) -> Array:
    """The result of a Shape node for a tensor of ``shape``."""
    end = node.integer("end", len(shape))
    return np.asarray(shape, np.int64)[node.integer("start", 0) : end]


def _size(node: Node, inputs: Inputs) -> list[Array]:
    return [np.asarray(_need(node, inputs, 0).size, np.int64)]


def _gather(node: Node, inputs: Inputs) -> list[Array]:
    data, indices = _need(node, inputs, 0), _need(node, inputs, 1).astype(np.int64)
    axis = normal_axis(node, node.integer("axis", 0), data.ndim)
    _check_size(node, (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]))
    return [np.take(data, indices, axis=axis)]


def _gather_elements(node: Node, inputs: Inputs) -> list[Array]:
    data, indices = _need(node, inputs, 0), _need(node, inputs, 1).astype(np.int64)
    axis = node.integer("axis", 0)
    return [np.take_along_axis(data, np.where(indices < 0, indices + data.shape[axis], indices), axis)]


def _concat(node: Node, inputs: Inputs) -> list[Array]:
    parts = [_need(node, inputs, i) for i in range(len(inputs))]
    _check_size(node, [sum(part.size for part in parts)])
    return [np.concatenate(parts, axis=node.integer("axis", 1))]


def _slice(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    starts, ends, steps = slice_parameters(node, data.shape, inputs[1:])
    parts = tuple(
        slice(b, e if e >= 0 else None, s) for b, e, s in zip(starts, ends, steps, strict=True)
    )
    return [data[parts]]


def _squeeze(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    axes = axes_of(node, data.ndim, inputs[1] if len(inputs) > 1 else None)
    return [np.squeeze(data, axis=axes if axes is not None else None)]


def _unsqueeze(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    given = inputs[1] if len(inputs) > 1 else None
    count = given.size if given is not None else len(node.integers("axes"))
    axes = axes_of(node, data.ndim + count, given)
    return [np.expand_dims(data, axes or ())]


def _reshape(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    shape = reshape_target(node, data.shape, inputs[1] if len(inputs) > 1 else None)
    if data.size and not any(data.strides):
        return [np.broadcast_to(data[(0,) * data.ndim], shape)]
    return [data.reshape(shape)]


def _transpose(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    return [np.transpose(data, node.integers("perm", tuple(range(data.ndim))[::-1]))]


def _expand(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    target = [int(d) for d in _need(node, inputs, 1).reshape(-1)]
    return [np.broadcast_to(data, _check_size(node, np.broadcast_shapes(data.shape, tuple(target)), LARGEST_TENSOR // 4))]


def _tile(node: Node, inputs: Inputs) -> list[Array]:
    data, repeats = _need(node, inputs, 0), _need(node, inputs, 1).reshape(-1)
    if len(repeats) != data.ndim:
        raise InputError(f"{node}: {len(repeats)} repeats for {data.ndim} axes")
    _check_size(node, [int(r) * d for r, d in zip(repeats, data.shape, strict=True)])
    return [np.tile(data, [int(r) for r in repeats])]


def _range(node: Node, inputs: Inputs) -> list[Array]:
    start, limit, delta = (_need(node, inputs, i).reshape(-1)[0] for i in range(3))
    if delta == 0:
        raise InputError(f"{node}: delta is 0")
    _check_size(node, [max(0, int(np.ceil((float(limit) - float(start)) / float(delta))))])
    return [np.arange(start, limit, delta, dtype=_need(node, inputs, 0).dtype)]


def _where(node: Node, inputs: Inputs) -> list[Array]:
    condition, x, y = (_need(node, inputs, i) for i in range(3))
    _check_size(node, np.broadcast_shapes(condition.shape, x.shape, y.shape))
    return [np.where(condition, x, y).astype(x.dtype)]


def _nonzero(node: Node, inputs: Inputs) -> list[Array]:
    return [np.asarray(np.nonzero(_need(node, inputs, 0)), np.int64)]


def _split(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    axis = node.integer("axis", 0)
    sizes = split_sizes(node, data.shape[axis], inputs[1] if len(inputs) > 1 else None)
    return np.split(data, np.cumsum(sizes)[:-1].tolist(), axis=axis)


def _eye_like(node: Node, inputs: Inputs) -> list[Array]:
    data = _need(node, inputs, 0)
    rows, columns = data.shape
    dtype = element_dtype(node, node.integer("dtype")) if node.has("dtype") else data.dtype
    return [np.eye(rows, columns, node.integer("k", 0), dtype=dtype)]


def _reduce(function: Callable[..., Any]) -> Evaluator:
    def evaluate(node: Node, inputs: Inputs) -> list[Array]:
        data = _need(node, inputs, 0)
        axes = axes_of(node, data.ndim, inputs[1] if len(inputs) > 1 else None)
        if not axes and node.flag("noop_with_empty_axes"):
            return [data]
        result = function(data, axis=axes or None, keepdims=node.flag("keepdims", default=True))
        return [np.asarray(result, data.dtype)]

    return evaluate


_EVALUATORS: Mapping[str, Evaluator] = {
    "Abs": _elementwise(np.abs), "Add": _elementwise(operator.add), "And": _elementwise(np.logical_and),
    "Cast": _cast, "Ceil": _elementwise(np.ceil), "Concat": _concat, "Constant": _constant,
    "ConstantOfShape": _constant_of_shape, "Div": _elementwise(_divide), "Equal": _elementwise(np.equal), "Expand": _expand,
    "EyeLike": _eye_like, "Floor": _elementwise(np.floor), "Gather": _gather, "GatherElements": _gather_elements,
    "Greater": _elementwise(np.greater), "GreaterOrEqual": _elementwise(np.greater_equal), "Identity": _identity,
    "Less": _elementwise(np.less), "LessOrEqual": _elementwise(np.less_equal), "Max": _variadic(np.maximum),
    "Min": _variadic(np.minimum), "Mod": _mod, "Mul": _elementwise(operator.mul), "Neg": _elementwise(operator.neg), "NonZero": _nonzero,
    "Not": _elementwise(np.logical_not), "Or": _elementwise(np.logical_or), "Pow": _elementwise(np.power), "Range": _range,
    "ReduceMax": _reduce(np.max), "ReduceMin": _reduce(np.min), "ReduceProd": _reduce(np.prod), "ReduceSum": _reduce(np.sum),
    "Reshape": _reshape, "Round": _elementwise(np.round), "Shape": _shape, "Sign": _elementwise(np.sign), "Size": _size,
    "Slice": _slice, "Split": _split, "Sqrt": _elementwise(np.sqrt), "Squeeze": _squeeze, "Sub": _elementwise(operator.sub),
    "Tile": _tile, "Transpose": _transpose, "Unsqueeze": _unsqueeze, "Where": _where, "Xor": _elementwise(np.logical_xor),
}
