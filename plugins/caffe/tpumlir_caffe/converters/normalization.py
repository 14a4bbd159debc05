"""BatchNorm, Scale, Bias and the normalizations that need no trained statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Operation, Value, top

_INFERENCE = 1
_ACROSS_CHANNELS = 0


def batch_norm(im: Importer, layer: Layer) -> Value:
    """Blobs: sum of means, sum of variances, and the factor that both are to be divided by (0: both count as 0)."""
    x, p = im.only(), layer.parameters("batch_norm_param")
    channels = _channels(x)
    if p.HasField("use_global_stats") and not p.use_global_stats:
        raise im.refusal("use_global_stats false")
    factor = float(im.blob(2, (1,))[0])
    scale = 1 / factor if factor else 0.0
    mean, variance = (im.parameter(at, im.blob(at, (channels,)) * scale) for at in (0, 1))
    return im.emit(top.BatchNorm, [x, mean, variance], epsilon=p.eps)


def old_batch_norm(im: Importer, layer: Layer) -> Value:
    """Layer BN: slope, bias, mean, variance; or slope and bias alone in mode INFERENCE."""
    x, p = im.only(), layer.parameters("bn_param")
    channels = _channels(x)
    count = 2 if p.bn_mode == _INFERENCE else 4
    slope, bias, *statistics = (im.parameter(at, im.blob(at, (channels,))) for at in range(count))
    if not statistics:
        return im.emit(top.Scale, [x, slope, bias])
    return im.emit(top.BatchNorm, [x, *statistics, slope, bias], epsilon=p.eps)


def _channels(x: Value) -> int:
    if len(x.shape) < 2:
        raise InputError(f"its bottom has the shape {list(x.shape)}, without channels")
    return x.shape[1]


# --- factors and terms ----------------------------------------------------------------------------------------------------
def scale(im: Importer, layer: Layer) -> Value:
    """Times a blob, or the second bottom, that has some of the axes from ``axis`` on; with ``bias_term`` plus another blob."""
    x, p = im.bottom(), layer.parameters("scale_param")
    if len(layer.bottoms) == 1:
        start, shape = _span(im, x, p)
        factor = im.blob(0, shape)
        if start == 1 and len(shape) == 1 and len(x.shape) > 1:
            bias = im.blob(1, shape) if p.bias_term else 0 * factor
            return im.emit(top.Scale, [x, im.parameter(0, factor), im.parameter(1, bias)])
        return _with_bias(im, layer, x, im.parameter(0, _placed(x, start, factor)), start, shape, position=1)
    given = im.bottom(1)
    start, shape = _fitting(im, x, given, p.axis)
    return _with_bias(im, layer, x, _placed_value(im, x, start, given), start, shape, position=0)


def _with_bias(im: Importer, layer: Layer, x: Value, factor: Value, start: int, shape: Sequence[int], position: int) -> Value:
    """x times a factor, plus the blob at ``position`` if the layer has a bias."""
    if not layer.parameters("scale_param").bias_term:
        return im.emit(top.Mul, [x, factor])
    bias = im.parameter(position, _placed(x, start, im.blob(position, shape)))
    return im.emit(top.Add, [im.step("product", top.Mul, [x, factor]), bias])


def bias(im: Importer, layer: Layer) -> Value:
    """Plus a blob, or the second bottom, that has some of the axes from ``axis`` on."""
    x, p = im.bottom(), layer.parameters("bias_param")
    if len(layer.bottoms) == 1:
        start, shape = _span(im, x, p)
        return im.emit(top.Add, [x, im.parameter(0, _placed(x, start, im.blob(0, shape)))])
    given = im.bottom(1)
    start, _ = _fitting(im, x, given, p.axis)
    return im.emit(top.Add, [x, _placed_value(im, x, start, given)])


def _span(im: Importer, x: Value, p: Any) -> tuple[int, tuple[int, ...]]:
    """Where the blob of a Scale or Bias layer starts in the axes of x, and its shape; () for one number."""
    start = im.axis(p.axis, len(x.shape))
    end = len(x.shape) if p.num_axes == -1 else start + p.num_axes
    if p.num_axes < -1 or end > len(x.shape):
        raise InputError(f"axis {p.axis} and num_axes {p.num_axes} leave a bottom of {len(x.shape)} dimensions")
    return start, x.shape[start:end]


def _fitting(im: Importer, x: Value, given: Value, axis: int) -> tuple[int, tuple[int, ...]]:
    """The same for a second bottom."""
    start = im.axis(axis, len(x.shape))
    if x.shape[start : start + len(given.shape)] != given.shape:
        raise InputError(f"its bottoms have the shapes {list(x.shape)} and {list(given.shape)}, which do not fit at axis {axis}")
    return start, given.shape


def _placed(x: Value, start: int, array: Array) -> Array:
    """An array shaped to broadcast onto x from axis ``start`` on."""
    return array.reshape((1,) * start + array.shape + (1,) * (len(x.shape) - start - array.ndim))


def _placed_value(im: Importer, x: Value, start: int, value: Value) -> Value:
    shape = (1,) * start + value.shape + (1,) * (len(x.shape) - start - len(value.shape))
    return value if shape == value.shape else im.step("placed", top.Reshape, [value], shape=shape)


# --- by what a blob holds -----------------------------------------------------------------------------------------------
def normalize(im: Importer, layer: Layer) -> Value:
    """x over its L2 norm at every position, or over all but the batch, times one number, or one a channel."""
    x, p = im.only(), layer.parameters("norm_param")
    channels = _channels(x)
    factors = im.blob(0, (1,) if p.channel_shared else (channels,))
    if abs(p.eps - top.Normalize.EPSILON) <= top.Normalize.EPSILON:
        weight = im.parameter(0, factors.repeat(channels // factors.size).reshape(1, channels))
        return im.emit(top.Normalize, [x, weight], across_spatial=p.across_spatial, channel_shared=p.channel_shared)
    axes = tuple(range(1, len(x.shape))) if p.across_spatial else (1,)
    total = im.step("total", top.Reduce, [im.step("squared", top.Mul, [x, x])], axes=axes, keepdims=True, mode="ReduceSum")
    inverse = im.step("inverse", top.Rsqrt, [im.step("epsilon", top.AddConst, [total], const_val=p.eps)])
    normal = im.step("normal", top.Mul, [x, inverse])
    return im.emit(top.Mul, [normal, im.parameter(0, _placed(x, 1, factors))])


def lrn(im: Importer, layer: Layer) -> Value:
    x, p = im.only(), layer.parameters("lrn_param")
    if p.local_size % 2 == 0:
        raise InputError(f"local_size {p.local_size} must be odd")
    if p.norm_region == _ACROSS_CHANNELS:
        return im.emit(top.LRN, [x], size=p.local_size, alpha=p.alpha, beta=p.beta, bias=p.k)
    if len(x.shape) != 4:
        raise InputError(f"its bottom has the shape {list(x.shape)}; wanted is [N, C, H, W]")
    margin = (p.local_size - 1) // 2
    squared = im.step("squared", top.Mul, [x, x])
    mean = im.step(
        "mean", top.AvgPool, [squared], kernel_shape=(p.local_size,) * 2, strides=(1, 1), pads=(margin,) * 4, count_include_pad=True
    )
    # k takes no part here: lrn_layer.cpp of Caffe adds 1.
    base = im.step("base", top.AddConst, [im.step("scaled", top.MulConst, [mean], const_val=p.alpha)], const_val=1.0)
    return im.emit(top.Mul, [x, im.step("factor", top.Pow, [base], exponent=-p.beta)])


def mvn(im: Importer, layer: Layer) -> Value:
    """Minus the mean, and over the standard deviation plus eps, of every channel or, across channels, of every image."""
    x, p = im.only(), layer.parameters("mvn_param")
    _channels(x)
    axes = tuple(range(1 if p.across_channels else 2, len(x.shape)))
    if not axes:
        raise InputError(f"its bottom has the shape {list(x.shape)}, without spatial axes")
    mean = im.step("mean", top.Reduce, [x], axes=axes, keepdims=True, mode="ReduceMean")
    if not p.normalize_variance:
        return im.emit(top.Sub, [x, mean])
    centred = im.step("centred", top.Sub, [x, mean])
    squared = im.step("squared", top.Mul, [centred, centred])
    variance = im.step("variance", top.Reduce, [squared], axes=axes, keepdims=True, mode="ReduceMean")
    deviation = im.step("epsilon", top.AddConst, [im.step("deviation", top.Sqrt, [variance])], const_val=p.eps)
    return im.emit(top.Div, [centred, deviation])


def softmax(im: Importer, layer: Layer) -> Value:
    x = im.only()
    kind: type[Operation] = top.Softmax
    return im.emit(kind, [x], axis=im.axis(layer.parameters("softmax_param").axis, len(x.shape)))


CONVERTERS: Mapping[str, Converter] = {
    "BN": old_batch_norm, "BatchNorm": batch_norm, "Bias": bias, "LRN": lrn, "MVN": mvn, "Normalize": normalize, "Scale": scale,
    "Softmax": softmax,
}
