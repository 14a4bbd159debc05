"""Top operations as ONNX nodes (opset 20), for the interpreter. What ONNX has no equal for is left to its numpy semantics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.ir import ElementType, Operation, top
from tpumlir_onnx.builder import Builder

Exporter = Callable[[Builder, Any], str | None]
"""Appends nodes for an operation; the name of its float32 result before a fused activation, or None if ONNX cannot say it."""


def export(builder: Builder, operation: Operation) -> bool:
    """Append an operation's nodes to ``builder``; False (and nothing appended) if it has to be evaluated in numpy."""
    if isinstance(operation, top.Split):
        _split(builder, operation)
        return True
    # a Tpu operation is a subclass of its Top operation, with the same meaning
    exporter = next((_EXPORTERS[kind] for kind in type(operation).__mro__ if kind in _EXPORTERS), None)
    if exporter is None or len(operation.results) != 1 or not _plain_types(operation):
        return False
    mark = builder.mark()
    result = exporter(builder, operation)
    if result is None:
        builder.undo(mark)
        return False
    if getattr(operation, "do_relu", False):
        limit = operation.attributes()["relu_limit"]
        high = builder.constant(limit) if limit > 0 else ""
        result = builder.node("Clip", [result, builder.constant(0.0), high])
    builder.result(result, operation.output, mark)
    return True


def _plain_types(operation: Operation) -> bool:
    """Whether results are float32, and so is every operand or it is an integer."""
    known = (ElementType.F32, ElementType.SI32)
    return operation.output.type.element is ElementType.F32 and all(
        v is None or v.type.element in known for v in operation.operands
    )


def _simple(op_type: str, **renamed: str) -> Exporter:
    """One node over all operands; ``renamed`` says which ONNX attribute takes which attribute of ours."""

    def build(b: Builder, op: Operation) -> str:
        values = op.attributes()
        return b.node(op_type, b.reals(op), **{theirs: values[ours] for theirs, ours in renamed.items()})

    return build


def _with_constant(op_type: str) -> Exporter:
    """A binary node whose other operand is ``const_val``, first with ``is_reverse``."""

    def build(b: Builder, op: Operation) -> str:
        values = op.attributes()
        pair = [b.real(op), b.constant(values["const_val"])]
        return b.node(op_type, pair[::-1] if values.get("is_reverse", False) else pair)

    return build


def _chain(op_type: str) -> Exporter:
    """A binary node, repeated over all operands."""

    def build(b: Builder, op: Operation) -> str | None:
        values = op.attributes()
        if values.get("coeff") is not None and any(c != 1.0 for c in values["coeff"]):
            return None
        operands = b.reals(op)
        if values.get("is_reverse", False):
            operands.reverse()
        result = operands[0]
        for other in operands[1:]:
            result = b.node(op_type, [result, other])
        return result

    return build


def _conv(b: Builder, op: top.Conv) -> str | None:
    if op.inserts and any(op.inserts):
        return None
    bias = b.real(op, 2)
    flat = b.node("Reshape", [bias, b.integers([-1])]) if bias else ""
    dilations = op.dilations or (1,) * len(op.kernel_shape)
    return b.node(
        "Conv", [b.real(op), b.real(op, 1), flat], kernel_shape=op.kernel_shape, strides=op.strides, group=op.group,
        dilations=dilations, **_padding(op.pads, op.auto_pad),
    )


def _deconv(b: Builder, op: top.Deconv) -> str | None:
    count = len(op.kernel_shape)
    steps, extra = op.dilations or (1,) * count, op.output_padding or (0,) * count
    # onnxruntime wants what is added at the end to be smaller than a stride or a dilation.
    if min(op.pads) < 0 or any(more >= max(stride, step) for more, stride, step in zip(extra, op.strides, steps, strict=True)):
        return None
    bias = b.real(op, 2)
    flat = b.node("Reshape", [bias, b.integers([-1])]) if bias else ""
    channels = op.input.shape[1]
    filters = op.output.shape[1] // op.group
    groups = b.node("Reshape", [b.real(op, 1), b.integers([op.group, filters, channels // op.group, *op.kernel_shape])])
    swapped = b.node("Transpose", [groups], perm=[0, 2, 1, *range(3, 3 + count)])
    weight = b.node("Reshape", [swapped, b.integers([channels, filters, *op.kernel_shape])])
    return b.node(
        "ConvTranspose", [b.real(op), weight, flat], kernel_shape=op.kernel_shape, strides=op.strides, pads=op.pads, group=op.group,
        dilations=steps, output_padding=extra,
    )


def _padding(pads: Sequence[int], auto_pad: str | None) -> dict[str, Any]:
    return {"pads": pads} if auto_pad in (None, "NOTSET") else {"auto_pad": auto_pad}


def _matmul(b: Builder, op: top.MatMul) -> str | None:
    left, right = op.operands[:2]
    assert left is not None
    assert right is not None
    if op.hdim_is_batch or op.output_transpose or op.dq_type != "NONE" or not op.keep_dims or min(len(left.shape), len(right.shape)) < 2:
        return None
    names = [b.real(op), b.real(op, 1)]
    for index, (value, flag) in enumerate(((left, op.left_transpose), (right, op.right_transpose))):
        if flag:
            rank = len(value.shape)
            names[index] = b.node("Transpose", [names[index]], perm=[*range(rank - 2), rank - 1, rank - 2])
    product = b.node("MatMul", names)
    bias = b.real(op, 2)
    return b.node("Add", [product, bias]) if bias else product


def _pool(op_type: str) -> Exporter:
    def build(b: Builder, op: top.MaxPool | top.AvgPool) -> str | None:
        if op.ceil_mode or op.is_adaptive or not op.keepdims or not op.kernel_shape:
            return None
        count = len(op.kernel_shape)
        # onnxruntime wants pads smaller than the kernel.
        if any(p >= op.kernel_shape[i % count] for i, p in enumerate(op.pads)):
            return None
        counted: dict[str, Any] = {"count_include_pad": int(op.count_include_pad)} if op_type == "AveragePool" else {}
        return b.node(
            op_type, [b.real(op)], kernel_shape=op.kernel_shape, strides=op.strides, **_padding(op.pads, op.auto_pad), **counted
        )

    return build


def _batch_norm(b: Builder, op: top.BatchNorm) -> str | None:
    channels = op.input.shape[1] if len(op.input.shape) > 1 else 1
    factors = [b.node("Reshape", [b.real(op, i), b.integers([-1])]) if b.real(op, i) else "" for i in range(1, 5)]
    mean, variance = factors[:2]
    gamma, beta = factors[2] or b.constant(np.ones(channels)), factors[3] or b.constant(np.zeros(channels))
    return b.node("BatchNormalization", [b.real(op), gamma, beta, mean, variance], epsilon=op.epsilon)


def _scale(b: Builder, op: top.Scale) -> str | None:
    shape = b.integers([-1, *(1,) * (len(op.input.shape) - 2)])
    scale, bias = (b.node("Reshape", [b.real(op, i), shape]) if b.real(op, i) else "" for i in (1, 2))
    result = b.node("Mul", [b.real(op), scale]) if scale else b.real(op)
    return b.node("Add", [result, bias]) if bias else result


def _layer_norm(b: Builder, op: top.LayerNorm) -> str | None:
    axis = op.axis % len(op.input.shape)
    inner = op.input.shape[axis:]
    scale = b.node("Reshape", [b.real(op, 1), b.integers(inner)]) if b.real(op, 1) else b.constant(np.ones(inner))
    bias = b.node("Reshape", [b.real(op, 2), b.integers(inner)]) if b.real(op, 2) else ""
    return b.node("LayerNormalization", [b.real(op), scale, bias], axis=axis, epsilon=op.eps)


def _softmax(b: Builder, op: top.Softmax) -> str | None:
    if op.beta != 1.0 or not op.input.shape:
        return None
    return b.node("LogSoftmax" if op.log else "Softmax", [b.real(op)], axis=op.axis)


def _sigmoid(b: Builder, op: top.Sigmoid) -> str | None:
    if op.log or op.scale != 1.0 or op.bias != 0.0:
        return None
    return b.node("Sigmoid", [b.real(op)])


def _relu(b: Builder, op: top.Relu) -> str:
    high = b.constant(op.relu_limit) if op.relu_limit > 0 else ""
    return b.node("Clip", [b.real(op), b.constant(0.0), high])


def _clip(b: Builder, op: top.Clip) -> str:
    return b.node("Clip", [b.real(op), b.constant(op.min), b.constant(op.max)])


def _silu(b: Builder, op: top.SiLU) -> str:
    x = b.real(op)
    return b.node("Mul", [x, b.node("Sigmoid", [x])])


def _swish(b: Builder, op: top.Swish) -> str:
    x = b.real(op)
    return b.node("Mul", [x, b.node("Sigmoid", [b.node("Mul", [x, b.constant(op.beta)])])])


def _gelu(b: Builder, op: top.GELU) -> str | None:
    if op.approx_mode == "sigm":
        return None
    return b.node("Gelu", [b.real(op)], approximate="tanh" if op.approx_mode == "tanh" else "none")


def _reciprocal(b: Builder, op: top.Reciprocal) -> str:
    return b.node("Div", [b.constant(op.const_val), b.real(op)])


def _rsqrt(b: Builder, op: top.Rsqrt) -> str:
    return b.node("Reciprocal", [b.node("Sqrt", [b.real(op)])])


def _pow(b: Builder, op: top.Pow) -> str:
    return b.node("Pow", [b.real(op), b.constant(op.exponent)])


def _reduce(b: Builder, op: top.Reduce) -> str:
    return b.node(op.mode, [b.real(op), b.integers(op.axes)], keepdims=int(op.keepdims))


def _concat(b: Builder, op: top.Concat) -> str:
    return b.node("Concat", b.reals(op), axis=op.axis)


def _to_shape(b: Builder, op: Operation) -> str | None:
    """Any change of shape: the result's own shape says all."""
    return b.node("Reshape", [b.real(op), b.integers(op.output.shape)])


def _permute(b: Builder, op: top.Permute) -> str:
    return b.node("Transpose", [b.real(op)], perm=op.order)


def _slice(b: Builder, op: top.Slice) -> str | None:
    whole = len(op.offset) == len(op.input.shape) and not op.axes
    if not whole or min(op.steps, default=1) < 1 or min(op.offset, default=0) < 0 or min(op.ends, default=0) < 0 or len(op.operands) > 1:
        return None
    axes = b.integers(range(len(op.offset)))
    return b.node("Slice", [b.real(op), b.integers(op.offset), b.integers(op.ends), axes, b.integers(op.steps)])


def _split(b: Builder, op: top.Split) -> None:
    sizes = b.integers([value.shape[op.axis] for value in op.results])
    b.many("Split", [b.real(op), sizes], [b.name(value) for value in op.results], axis=op.axis)


def _expand(b: Builder, op: top.Expand) -> str:
    return b.node("Expand", [b.real(op), b.integers(op.output.shape)])


def _pad(b: Builder, op: top.Pad) -> str | None:
    if op.mode == "symmetric" or min(op.paddings) < 0:
        return None
    return b.node("Pad", [b.real(op), b.integers(op.paddings), b.constant(op.val)], mode=op.mode)


def _upsample(b: Builder, op: top.Upsample) -> str | None:
    if len(op.input.shape) != 4:
        return None
    scales = b.constant([1.0, 1.0, float(op.scale_h), float(op.scale_w)])
    return b.node(
        "Resize", [b.real(op), "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


def _interp(b: Builder, op: top.Interp) -> str | None:
    if op.mode != "linear" or len(op.input.shape) != 4:
        return None
    sizes = b.integers(op.output.shape)
    return b.node("Resize", [b.real(op), "", "", sizes], mode="linear", coordinate_transformation_mode=op.coord_mode)


def _gather(b: Builder, op: top.Gather) -> str | None:
    indices = op.operands[1]
    if indices is None or len(op.output.shape) != len(op.input.shape) - 1 + len(indices.shape):
        return None
    return b.node("Gather", [b.real(op), b.node("Cast", [b.name(indices)], to=7)], axis=op.axis)


def _depth_to_space(b: Builder, op: top.Depth2Space) -> str | None:
    plain = op.in_is_NCHW and op.out_is_NCHW and not op.swap_cr and op.block_h == op.block_w
    if not plain or op.is_inversed:
        return None
    return b.node("DepthToSpace", [b.real(op)], blocksize=op.block_h, mode="CRD" if op.is_CRD else "DCR")


def _lrn(b: Builder, op: top.LRN) -> str:
    return b.node("LRN", [b.real(op)], size=op.size, alpha=op.alpha, beta=op.beta, bias=op.bias)


_UNARY: Mapping[type[Operation], str] = {
    top.Abs: "Abs", top.Ceil: "Ceil", top.Cos: "Cos", top.Cosh: "Cosh", top.Erf: "Erf", top.Exp: "Exp", top.Floor: "Floor",
    top.HardSwish: "HardSwish", top.Log: "Log", top.Mish: "Mish", top.Sign: "Sign", top.Sin: "Sin", top.Sinh: "Sinh",
    top.Softplus: "Softplus", top.Softsign: "Softsign", top.Sqrt: "Sqrt", top.Tan: "Tan", top.Tanh: "Tanh",
}
_BINARY: Mapping[type[Operation], str] = {top.Add: "Add", top.Div: "Div", top.Max: "Max", top.Min: "Min", top.Mul: "Mul", top.Sub: "Sub"}
_CONSTANT: Mapping[type[Operation], str] = {
    top.AddConst: "Add", top.DivConst: "Div", top.MaxConst: "Max", top.MinConst: "Min", top.MulConst: "Mul", top.SubConst: "Sub",
}
_EXPORTERS: Mapping[type[Operation], Exporter] = {
    **{kind: _simple(name) for kind, name in _UNARY.items()},
    **{kind: _chain(name) for kind, name in _BINARY.items()},
    **{kind: _with_constant(name) for kind, name in _CONSTANT.items()},
    top.AvgPool: _pool("AveragePool"), top.BatchNorm: _batch_norm, top.Clip: _clip, top.Concat: _concat, top.Conv: _conv,
    top.Deconv: _deconv, top.Depth2Space: _depth_to_space, top.Elu: _simple("Elu", alpha="alpha"), top.Expand: _expand,
    top.Flatten: _to_shape, top.GELU: _gelu, top.Gather: _gather, top.HardSigmoid: _simple("HardSigmoid", alpha="alpha", beta="beta"),
    top.Interp: _interp, top.LRN: _lrn, top.LayerNorm: _layer_norm, top.LeakyRelu: _simple("LeakyRelu", alpha="alpha"),
    top.MatMul: _matmul, top.MaxPool: _pool("MaxPool"), top.PRelu: _simple("PRelu"), top.Pad: _pad, top.Permute: _permute,
    top.Pow: _pow, top.Reciprocal: _reciprocal, top.Reduce: _reduce, top.Relu: _relu, top.Reshape: _to_shape,
    top.Rsqrt: _rsqrt, top.Scale: _scale, top.SiLU: _silu, top.Sigmoid: _sigmoid, top.Slice: _slice, top.Softmax: _softmax,
    top.Squeeze: _to_shape, top.Swish: _swish, top.Unsqueeze: _to_shape, top.Upsample: _upsample,
}
