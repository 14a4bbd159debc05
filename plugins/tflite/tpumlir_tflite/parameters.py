"""What operators have in common: fused activations, padding, operands that broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.importing import same_pads
from tpumlir_core.ir import Array, Operation, Value, top
from tpumlir_tflite.importer import Importer
from tpumlir_tflite.layout import CHANNELS_FIRST, SOURCE, Laid, Layout

_NONE, RELU, _RELU_N1_TO_1, _RELU6, TANH = range(5)
"""Fused activations (schema: ActivationFunctionType); the fifth, SIGN_BIT, no kernel of TFLite's computes."""
SAME, VALID = 0, 1
"""Padding of windows (schema: Padding)."""


def activated(
    im: Importer, activation: int, kind: type[Operation], operands: Sequence[Value | None], layout: Layout = SOURCE, **attributes: Any
) -> Laid:
    """Append an operation that makes the output of the node at work, and after it the activation that the node has fused."""
    if activation == _NONE:
        return im.emit(kind, operands, layout, **attributes)
    return activation_of(im, activation, Laid(im.step("linear", kind, operands, **attributes), layout))


def activation_of(im: Importer, activation: int, x: Laid) -> Laid:
    """Append a fused activation, which makes the output of the node at work."""
    if activation in (RELU, _RELU6):
        return im.emit(top.Relu, [x.value], x.layout, relu_limit=6.0 if activation == _RELU6 else -1.0)
    if activation == _RELU_N1_TO_1:
        return im.emit(top.Clip, [x.value], x.layout, min=-1.0, max=1.0)
    if activation == TANH:
        return im.emit(top.Tanh, [x.value], x.layout)
    raise im.refusal(f"the fused activation {activation}")


def window_pads(
    padding: int, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    """Begins then ends of the padding of a convolution or pool. Raises InputError for windows that cannot be."""
    if min((*kernel, *strides, *dilations)) < 1:
        raise InputError(f"a window of {list(kernel)}, strides {list(strides)} and dilations {list(dilations)} must be positive")
    if padding == VALID:
        return (0,) * 2 * len(kernel)
    if padding != SAME:
        raise InputError(f"padding {padding} is neither SAME nor VALID")
    return same_pads(spatial, kernel, strides, dilations)


def normal_axis(axis: int, rank: int) -> int:
    """An axis counted from the front. Raises InputError for one that is not there."""
    if not -rank <= axis < rank:
        raise InputError(f"axis {axis} is outside a tensor of {rank} dimensions")
    return axis % rank


def layout_of(im: Importer, indices: Sequence[int], rank: int) -> Layout:
    """The layout in which tensors meet: channels first where one of full rank was made so."""
    made = [im.laid(index) for index in indices if index not in im.constants]
    first = any(laid.layout is CHANNELS_FIRST and len(laid.value.shape) == rank for laid in made)
    return CHANNELS_FIRST if first else SOURCE


def together(im: Importer, indices: Sequence[int]) -> tuple[list[Value], Layout]:
    """Tensors that broadcast as numpy has it, in one layout."""
    rank = max(len(im.shape(im.present(index))) for index in indices)
    layout = layout_of(im, indices, rank)
    return [_widened(im, index, rank, layout) for index in indices], layout


def _widened(im: Importer, index: int, rank: int, layout: Layout) -> Value:
    """A tensor in a layout, with leading axes of 1 where that moves its own."""
    shape = im.shape(index)
    if len(shape) == rank or layout is SOURCE:
        return im.form(index, layout)
    wide = (1,) * (rank - len(shape)) + shape
    constant = im.constant(index)
    if constant is not None:
        return im.constant_result(f"operand{index}", layout.of_source(constant.reshape(wide)))
    reshaped = im.step(f"wide{index}", top.Reshape, [im.value(index)], shape=wide)
    return im.relaid(Laid(reshaped), layout, f"{reshaped.name}_nchw")


def along(array: Array, axis: int, rank: int) -> Array:
    """A vector as a tensor of ``rank`` axes, its numbers along one of them."""
    shape = [1] * rank
    shape[axis] = array.size
    return np.reshape(array, shape)
