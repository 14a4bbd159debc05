"""Convolution and transposed convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.importing import same_pads
from tpumlir_core.ir import top
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.parameters import each
from tpumlir_torch.tensor import Ints, Tensor


def convolution(
    im: Importer, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, dilation: Ints, transposed: bool,
    output_padding: Ints, groups: int, benchmark: bool = False, deterministic: bool = False, cudnn_enabled: bool = False,
    allow_tf32: bool = False,
) -> Tensor:
    """The general form, which traces and decomposed programs have."""
    if transposed:
        return conv_transpose(im, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv(im, input, weight, bias, stride, padding, dilation, groups)


def conv(
    im: Importer, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = (1,), padding: Ints | str = (0,),
    dilation: Ints = (1,), groups: int = 1,
) -> Tensor:
    count = weight.rank - 2
    _check(input, weight, count, groups)
    x = _batched(im, input, count)
    kernel = weight.shape[2:]
    strides, dilations = each(stride, count, "stride", 1), each(dilation, count, "dilation", 1)
    pads = _pads(padding, x.shape[2:], kernel, strides, dilations)
    operands = [x, weight, bias]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads, "group": groups,
        "weight_is_coeff": int(im.constant(weight) is not None),
    }
    if x is input:
        return im.emit(top.Conv, operands, **attributes)
    result = im.step("batch", top.Conv, operands, **attributes)
    return im.emit(top.Reshape, [result], shape=result.shape[1:])


def _check(x: Tensor, weight: Tensor, count: int, groups: int) -> None:
    if count < 1 or x.rank not in (count + 1, count + 2) or groups < 1:
        raise InputError(f"an input of shape {list(x.shape)} does not fit a filter of shape {list(weight.shape)} in {groups} groups")


def _batched(im: Importer, x: Tensor, count: int) -> Tensor:
    """An image without a batch axis gets one."""
    return x if x.rank == count + 2 else im.step("image", top.Unsqueeze, [x], axes=(0,))


def _pads(padding: Ints | str, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Ints:
    """Begins, then ends."""
    count = len(kernel)
    if padding == "valid":
        return (0,) * 2 * count
    if padding == "same":
        return same_pads(spatial, kernel, strides, dilations)
    if isinstance(padding, str):
        raise InputError(f"padding '{padding}' is neither valid nor same")
    return each(padding, count, "padding") * 2


def conv_transpose(
    im: Importer, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = (1,), padding: Ints = (0,),
    output_padding: Ints = (0,), groups: int = 1, dilation: Ints = (1,),
) -> Tensor:
    count = weight.rank - 2
    _check(input, weight, count, groups)
    x = _batched(im, input, count)
    if x.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise InputError(f"an input of shape {list(x.shape)} does not fit a filter of shape {list(weight.shape)} in {groups} groups")
    extra = each(output_padding, count, "output_padding")
    attributes: dict[str, Any] = {
        "kernel_shape": weight.shape[2:], "strides": each(stride, count, "stride", 1), "dilations": each(dilation, count, "dilation", 1),
        "pads": each(padding, count, "padding") * 2, "group": groups, "output_padding": extra if any(extra) else None,
    }
    operands = [x, _transposed_filter(im, weight, groups), bias]
    if x is input:
        return im.emit(top.Deconv, operands, **attributes)
    result = im.step("batch", top.Deconv, operands, **attributes)
    return im.emit(top.Reshape, [result], shape=result.shape[1:])


def _transposed_filter(im: Importer, weight: Tensor, groups: int) -> Tensor:
    """[C, OC/group, kernel] -> the data order [group, OC/group, C/group, kernel], shaped [OC/group, C, kernel]."""
    channels, outputs, *kernel = weight.shape
    split, swapped = (groups, channels // groups, outputs, *kernel), (outputs, channels, *kernel)
    constant = im.constant(weight)
    if constant is not None:
        data = np.ascontiguousarray(constant.reshape(split).swapaxes(1, 2)).reshape(swapped)
        return im.array(data, weight.dtype, "filter")
    grouped = im.step("filter_groups", top.Reshape, [weight], shape=split)
    ordered = im.step("filter_order", top.Permute, [grouped], order=(0, 2, 1, *range(3, 3 + len(kernel))))
    return im.step("filter", top.Reshape, [ordered], shape=swapped)


CONVERTERS: Mapping[str, Converter] = {
    "_convolution": convolution, "convolution": convolution, "_convolution_mode": conv, "conv1d": conv, "conv2d": conv, "conv3d": conv,
    "conv_transpose1d": conv_transpose, "conv_transpose2d": conv_transpose, "conv_transpose3d": conv_transpose,
}
