"""Normalization over batches, layers, instances, groups and vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Ints, Tensor


def batch_norm(
    im: Importer, input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    training: bool, momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Tensor:
    if training and running_mean is None and running_var is None:
        return _by_batch(im, input, weight, bias, eps)
    if training or running_mean is None or running_var is None:
        raise im.refusal("training=True; call eval() before saving the model")
    return im.emit(top.BatchNorm, [input, running_mean, running_var, weight, bias], epsilon=eps)


def _by_batch(im: Importer, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """By the statistics of each channel over the batch itself: those of an instance where the batch is one's elements."""
    if x.rank < 2:
        raise InputError(f"a batch of shape {list(x.shape)} has no channels")
    count, channels, *spatial = x.shape
    scale, shift = _affine(im, channels, weight, bias)
    if count == 1 and spatial:
        return im.emit(top.InstanceNorm, [x, scale, shift], eps=eps)
    order = (1, 0, *range(2, x.rank))
    ahead = im.step("channels", top.Permute, [x], order=order)
    rows = im.step("rows", top.Reshape, [ahead], shape=(1, channels, count, math.prod(spatial)))
    normal = im.step("normal", top.InstanceNorm, [rows, scale, shift], eps=eps)
    apart = im.step("apart", top.Reshape, [normal], shape=(channels, count, *spatial))
    return im.emit(top.Permute, [apart], order=order)


def batch_norm_at_inference(
    im: Importer, input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor, running_var: Tensor, momentum: float,
    eps: float,
) -> tuple[Tensor | None, ...]:
    """``_native_batch_norm_legit_no_training``: its saved statistics have no elements at inference."""
    return batch_norm(im, input, weight, bias, running_mean, running_var, False, momentum, eps), None, None


def native_batch_norm(
    im: Importer, input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None = None,
    running_var: Tensor | None = None, training: bool = False, momentum: float = 0.0, eps: float = 1e-5,
) -> tuple[Tensor | None, ...]:
    """Also ``_native_batch_norm_legit``, whose overload without running statistics instance normalization is decomposed to."""
    return batch_norm(im, input, weight, bias, running_mean, running_var, training, momentum, eps), None, None


def functional_batch_norm(
    im: Importer, input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor, running_var: Tensor, training: bool,
    momentum: float, eps: float,
) -> tuple[Tensor | None, ...]:
    """``_native_batch_norm_legit_functional``: it gives the running statistics too, which inference does not change."""
    made = native_batch_norm(im, input, weight, bias, running_mean, running_var, training, momentum, eps)
    return *made, running_mean, running_var


def layer_norm(
    im: Importer, input: Tensor, normalized_shape: Ints, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,
    cudnn_enable: bool = False,
) -> Tensor:
    axis = input.rank - len(normalized_shape)
    if axis < 0 or input.shape[axis:] != tuple(normalized_shape):
        raise InputError(f"normalized_shape {list(normalized_shape)} is no end of shape {list(input.shape)}")
    direct = all(t is None or im.constant(t) is not None for t in (weight, bias)) and not (weight is None and bias is not None)
    if direct:
        return im.emit(top.LayerNorm, [input, weight, bias], normalized_shape=normalized_shape, axis=axis, eps=eps)
    result = im.step("normal", top.LayerNorm, [input], normalized_shape=normalized_shape, axis=axis, eps=eps)
    if weight is not None:
        result = im.emit(top.Mul, [result, weight])
    return result if bias is None else im.emit(top.Add, [result, bias])


def native_layer_norm(
    im: Importer, input: Tensor, normalized_shape: Ints, weight: Tensor | None, bias: Tensor | None, eps: float
) -> list[Tensor]:
    """The mean and the inverse deviation besides; unused ones are dropped."""
    result = layer_norm(im, input, normalized_shape, weight, bias, eps)
    axes = tuple(range(input.rank - len(normalized_shape), input.rank))
    mean = im.step("mean", top.Reduce, [input], axes=axes, keepdims=True, mode="ReduceMean")
    variance = im.step("variance", top.Variance, [input], reduce_list=axes, correction=0.0, keep_dims=True)
    return [result, mean, im.step("inverse", top.Rsqrt, [im.step("epsilon", top.AddConst, [variance], const_val=eps)])]


def rms_norm(im: Importer, input: Tensor, normalized_shape: Ints, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    epsilon = float(np.finfo(np.float32).eps) if eps is None else eps
    if len(normalized_shape) == 1 and (weight is None or im.constant(weight) is not None):
        return im.emit(top.RMSNorm, [input, weight], eps=epsilon)
    axes = tuple(range(input.rank - len(normalized_shape), input.rank))
    squared = im.step("squared", top.Mul, [input, input])
    power = im.step("power", top.Reduce, [squared], axes=axes, keepdims=True, mode="ReduceMean")
    inverse = im.step("inverse", top.Rsqrt, [im.step("epsilon", top.AddConst, [power], const_val=epsilon)])
    result = im.emit(top.Mul, [input, inverse])
    return result if weight is None else im.emit(top.Mul, [result, weight])


def group_norm(
    im: Importer, input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    if input.rank < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise InputError(f"{num_groups} groups of channels in shape {list(input.shape)}")
    scale, shift = _affine(im, input.shape[1], weight, bias)
    return im.emit(top.GroupNorm, [input, scale, shift], num_groups=num_groups, eps=eps)


def _affine(im: Importer, channels: int, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Both of weight and bias, or none of them."""
    if weight is None and bias is None:
        return None, None
    return (
        weight if weight is not None else im.array(np.ones(channels, np.float32), "float32", "ones"),
        bias if bias is not None else im.array(np.zeros(channels, np.float32), "float32", "zeros"),
    )


def native_group_norm(
    im: Importer, input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> list[Tensor]:
    result = group_norm(im, input, group, weight, bias, eps)
    rows = im.step("rows", top.Reshape, [input], shape=(N, group, math.prod(input.shape) // (N * group)))
    mean = im.step("mean", top.Reduce, [rows], axes=(2,), keepdims=False, mode="ReduceMean")
    variance = im.step("variance", top.Variance, [rows], reduce_list=(2,), correction=0.0, keep_dims=False)
    return [result, mean, im.step("inverse", top.Rsqrt, [im.step("epsilon", top.AddConst, [variance], const_val=eps)])]


def instance_norm(
    im: Importer, input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Tensor:
    if not use_input_stats:
        return batch_norm(im, input, weight, bias, running_mean, running_var, False, momentum, eps)
    scale, shift = _affine(im, input.shape[1], weight, bias)
    return im.emit(top.InstanceNorm, [input, scale, shift], eps=eps)


def cosine_similarity(im: Importer, x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x . y over the product of their lengths, each at least eps."""
    dot = _summed(im, im.step("product", top.Mul, [x1, x2]), dim, "dot")
    lengths = []
    for i, x in enumerate((x1, x2)):
        length = im.step(f"length{i}", top.Sqrt, [_summed(im, im.step(f"square{i}", top.Mul, [x, x]), dim, f"sum{i}")])
        lengths.append(im.step(f"limited{i}", top.MaxConst, [length], const_val=eps))
    return im.emit(top.Div, [dot, im.step("lengths", top.Mul, lengths)])


def _summed(im: Importer, x: Tensor, dim: int, name: str) -> Tensor:
    return im.step(name, top.Reduce, [x], axes=(dim % x.rank,), keepdims=False, mode="ReduceSum")


CONVERTERS: Mapping[str, Converter] = {
    "batch_norm": batch_norm, "_native_batch_norm_legit_no_training": batch_norm_at_inference, "native_batch_norm": native_batch_norm,
    "_native_batch_norm_legit": native_batch_norm, "_native_batch_norm_legit_functional": functional_batch_norm, "layer_norm": layer_norm,
    "native_layer_norm": native_layer_norm, "rms_norm": rms_norm, "group_norm": group_norm, "native_group_norm": native_group_norm,
    "instance_norm": instance_norm, "cosine_similarity": cosine_similarity,
}
