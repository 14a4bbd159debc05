"""Fusion of what is linear a channel (batch normalization, scales, biases) into the convolution or product before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Array, Module, Operation, Value
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.rewriting import Rewriter, Rules, rewrite

Linear = top.Conv | top.Deconv | top.MatMul


@dataclass(frozen=True)
class FuseLinear(Pass):
    """BatchNorm becomes Scale; Scale, per-channel Mul and Add, MulConst and AddConst go into the Conv, Deconv, MatMul or Scale before.

    Weights are rewritten in float64 and rounded once; their new names end in ``_fix``.
    """

    name: ClassVar[str] = "fuse-linear"

    def run(self, module: Module) -> bool:
        return rewrite(module, LINEAR_RULES)


def batch_norm(op: Operation, rewriter: Rewriter) -> bool:
    """BatchNorm with constant statistics is a Scale."""
    assert isinstance(op, top.BatchNorm)
    present = [v for v in op.operands[1:] if v is not None]
    if any(rewriter.constant(v) is None for v in present):
        return False
    mean, variance, gamma, beta = (rewriter.constant(v) for v in [*op.operands[1:], None, None][:4])
    assert mean is not None
    assert variance is not None
    scale = 1.0 / np.sqrt(variance.astype(np.float64) + op.epsilon)
    scale = scale if gamma is None else scale * gamma
    shift = -mean * scale if beta is None else beta - mean * scale
    return _scale(op, op.input, scale.reshape(-1), shift.reshape(-1), rewriter)


def _scale(op: Operation, source: Value, scale: Array, shift: Array, rewriter: Rewriter) -> bool:
    """Replace ``op`` by ``source`` times ``scale`` plus ``shift``, in one Scale, with the activation of ``op``."""
    weights = [rewriter.weight(f"{op.name}_scale", scale), rewriter.weight(f"{op.name}_bias", shift)]
    made = rewriter.insert(
        top.Scale, [source, *weights], op.name, do_relu=op.do_relu, relu_limit=op.relu_limit  # type: ignore[attr-defined]
    )
    rewriter.replace(op, made.output)
    return True


def _channels(op: Operation) -> int | None:
    """The extent of axis 1 if a result of this shape has channels, else None."""
    shape = op.output.shape
    return shape[1] if len(shape) >= 2 else None


def _per_channel(op: Operation, value: Value, rewriter: Rewriter) -> Array | None:
    """A weight that broadcasts along axis 1 only of the result of ``op``, flat; else None."""
    array, channels = rewriter.constant(value), _channels(op)
    rank = len(op.output.shape)
    if array is None or channels is None or channels == 1 or array.ndim > rank:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    wanted = tuple(channels if axis == 1 else 1 for axis in range(rank))
    return array.reshape(-1) if shape == wanted else None


def _factors(op: Operation, rewriter: Rewriter) -> tuple[Value, Array, Array] | None:
    """What ``op`` does a channel: (source, scale, shift), each [channels] in float64; None if that is not all it does."""
    channels = _channels(op)
    if channels is None:
        return None
    ones, zeros = np.ones(channels), np.zeros(channels)
    match op:
        case top.Scale():
            scale, shift = (rewriter.constant(v) for v in op.operands[1:3])
            if scale is None or shift is None:
                return None
            return op.input, scale.reshape(-1).astype(np.float64), shift.reshape(-1).astype(np.float64)
        case top.MulConst():
            return op.input, ones * op.const_val, zeros
        case top.AddConst():
            return op.input, ones, zeros + op.const_val
        case top.Mul() | top.Add() if len(op.operands) == 2 and getattr(op, "coeff", None) is None:
            for source, weight in (op.operands, op.operands[::-1]):
                assert source is not None
                assert weight is not None
                array = _per_channel(op, weight, rewriter) if source.shape == op.output.shape else None
                if array is not None and rewriter.constant(source) is None:
                    wide = array.astype(np.float64)
                    return (source, wide, zeros) if isinstance(op, top.Mul) else (source, ones, wide)
    return None


def into_linear(op: Operation, rewriter: Rewriter) -> bool:
    """Rewrite the weights of the operation before, whose result nothing else uses."""
    found = _factors(op, rewriter)
    if found is None or not rewriter.only_use(found[0]):
        return False
    source, scale, shift = found
    below = source.owner
    if getattr(below, "do_relu", True) or source.type.element is not op.output.type.element:
        return False
    match below:
        case top.Scale():
            inner = _factors(below, rewriter)
            return inner is not None and _scale(op, inner[0], inner[1] * scale, inner[2] * scale + shift, rewriter)
        case top.Conv() | top.Deconv():
            return _into_weights(op, below, scale, shift, rewriter)
        case top.MatMul():
            uniform = isinstance(op, top.MulConst | top.AddConst)
            outputs = below.output.shape[-1] if below.output.shape else 1
            if uniform:
                scale, shift = (np.full(outputs, factor[0]) for factor in (scale, shift))
            fits = (uniform or len(source.shape) == 2) and not below.hdim_is_batch and not below.output_transpose
            return fits and _into_weights(op, below, scale, shift, rewriter)
    return False


def _into_weights(op: Operation, below: Linear, scale: Array, shift: Array, rewriter: Rewriter) -> bool:
    """Replace ``op`` by ``below`` with its filter times ``scale`` and its bias times ``scale`` plus ``shift``, an output channel each."""
    filter_, bias_ = below.operands[1], below.operands[2] if len(below.operands) > 2 else None
    scaled = bool(np.any(scale != 1))
    weights, bias = rewriter.constant(filter_) if scaled else None, rewriter.constant(bias_)
    if (bias_ is not None and bias is None) or (scaled and (weights is None or weights.ndim < 2)):
        return False
    if bias is not None and (bias.size != scale.size or (isinstance(below, top.MatMul) and bias.shape[-1:] != scale.shape)):
        return False
    if scaled:
        assert weights is not None
        assert filter_ is not None
        filter_ = rewriter.weight(f"{filter_.name}_fix", _scaled(below, weights, scale))
    shifted = shift if bias is None else bias.reshape(-1) * scale + shift
    if bias_ is not None or np.any(shifted != 0):
        shape = (scale.size,) if bias is None else bias.shape
        bias_ = rewriter.weight(f"{op.name}_bias" if bias_ is None else f"{bias_.name}_fix", shifted.reshape(shape))
    made = rewriter.remake(
        below, [below.input, filter_, bias_], op.name, do_relu=op.do_relu, relu_limit=op.relu_limit  # type: ignore[attr-defined]
    )
    rewriter.replace(op, made.output)
    return True


def _scaled(below: Linear, weights: Array, scale: Array) -> Array:
    """The filter with every output channel times its factor."""
    if isinstance(below, top.MatMul):
        shape, factors = weights.shape, scale[:, None] if below.right_transpose else scale
    else:
        # A Deconv's data are [group, OC/group, C/group, kernel...], under the shape [OC/group, C, kernel...].
        groups = below.group if isinstance(below, top.Deconv) else 1
        shape, factors = (groups, scale.size // groups, -1), scale.reshape(groups, -1, 1)
    # Computed in float64 piece by piece: no copy of that size.
    view = weights.reshape(shape)
    return np.multiply(view, factors, out=np.empty(view.shape, np.float32), dtype=np.float64, casting="unsafe").reshape(weights.shape)


def product_bias(op: Operation, rewriter: Rewriter) -> bool:
    """The Add of a weight of one row after a MatMul is its bias."""
    assert isinstance(op, top.Add)
    if len(op.operands) != 2 or op.coeff is not None:
        return False
    for source, weight in (op.operands, op.operands[::-1]):
        below, row = (source.owner if source is not None else None), rewriter.constant(weight)
        if not isinstance(below, top.MatMul) or row is None or source is None or not rewriter.only_use(source):
            continue
        bias = below.operands[2] if len(below.operands) > 2 else None
        outputs = source.shape[-1] if source.shape else 0
        fits = source.shape == op.output.shape and row.size == outputs and row.shape[-1:] == (outputs,) and not below.do_relu
        if not fits or (bias is not None and rewriter.constant(bias) is None):
            continue
        return _into_weights(op, below, np.ones(outputs), row.reshape(-1).astype(np.float64), rewriter)
    return False


def before_reshape(op: Operation, rewriter: Rewriter) -> bool:
    """A scale of a convolution's channels, which it has reshaped since, comes before the reshape: there it goes into the convolution."""
    assert isinstance(op, top.Scale)
    below = op.input.owner
    if not isinstance(below, top.Reshape) or not rewriter.only_use(op.input):
        return False
    inner = below.input
    if inner.shape[:2] != op.output.shape[:2] or not isinstance(inner.owner, top.Conv | top.Deconv) or not rewriter.only_use(inner):
        return False
    scaled = rewriter.remake(op, [inner, *op.operands[1:]], rewriter.fresh(f"{op.name}_scaled"))
    rewriter.replace(op, rewriter.remake(below, [scaled.output], op.name).output)
    return True


def to_scale(op: Operation, rewriter: Rewriter) -> bool:
    """A product or sum with a weight a channel of a tensor with positions is a Scale."""
    found = _factors(op, rewriter)
    return found is not None and len(op.output.shape) > 2 and _scale(op, *found, rewriter)


_Rule = Callable[[Operation, Rewriter], bool]
_PER_CHANNEL: tuple[_Rule, ...] = (into_linear, to_scale)

LINEAR_RULES: Rules = {
    "top.BatchNorm": (batch_norm,),
    "top.Scale": (into_linear, before_reshape),
    "top.MulConst": (into_linear,),
    "top.AddConst": (into_linear,),
    "top.Mul": _PER_CHANNEL,
    "top.Add": (product_bias, *_PER_CHANNEL),
}
