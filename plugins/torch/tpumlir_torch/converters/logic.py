"""Comparison, boolean logic and selection. Booleans are 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tpumlir_core.ir import top
from tpumlir_torch.converters.casting import cast_to
from tpumlir_torch.converters.elementwise import number_of, result_dtype
from tpumlir_torch.dtypes import is_float, promoted
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Operand, Tensor

_LARGEST = float(np.finfo(np.float32).max)


def _compare(mode: str) -> Converter:
    def convert(im: Importer, self: Operand, other: Operand) -> Tensor:
        for operand, tensor, inversed in ((other, self, False), (self, other, True)):
            number = number_of(im, operand, tensor)
            if number is not None and isinstance(tensor, Tensor):
                return im.emit(top.CompareConst, [tensor], "bool", mode=mode, const_val=number, inversed=inversed)
        return im.emit(top.Compare, [im.tensor(self, suffix="left"), im.tensor(other, suffix="right")], "bool", mode=mode)

    return convert


def _truth(im: Importer, x: Tensor, name: str) -> Tensor:
    return x if x.dtype == "bool" else im.step(name, top.CompareConst, [x], "bool", mode="NotEqual", const_val=0.0, inversed=False)


def logical_and(im: Importer, self: Tensor, other: Operand) -> Tensor:
    return im.emit(top.LogicalAnd, [self, im.tensor(other)], "bool")


def logical_or(im: Importer, self: Tensor, other: Operand) -> Tensor:
    return im.emit(top.Max, [_truth(im, self, "left"), _truth(im, im.tensor(other), "right")], "bool")


def logical_xor(im: Importer, self: Tensor, other: Operand) -> Tensor:
    return im.emit(top.Compare, [_truth(im, self, "left"), _truth(im, im.tensor(other), "right")], "bool", mode="NotEqual")


def logical_not(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.CompareConst, [self], "bool", mode="Equal", const_val=0.0, inversed=False)


def _on_booleans(converter: Converter) -> Converter:
    """A bitwise operator: on booleans it is the logical one, on integers there is none."""

    def convert(im: Importer, self: Tensor, other: Operand | None = None) -> Tensor:
        operands = [self] if other is None else [self, other]
        if any(isinstance(t, Tensor) and t.dtype != "bool" for t in operands):
            raise im.refusal("integers, bit by bit")
        result = converter(im, *operands)
        assert isinstance(result, Tensor)
        return result

    return convert


def isnan(im: Importer, self: Tensor) -> Tensor:
    return im.emit(top.Compare, [self, self], "bool", mode="NotEqual")


def isinf(im: Importer, self: Tensor) -> Tensor:
    size = im.step("abs", top.Abs, [self])
    return im.emit(top.CompareConst, [size], "bool", mode="Greater", const_val=_LARGEST, inversed=False)


def isfinite(im: Importer, self: Tensor) -> Tensor:
    size = im.step("abs", top.Abs, [self])
    return im.emit(top.CompareConst, [size], "bool", mode="LessOrEqual", const_val=_LARGEST, inversed=False)


def selected(im: Importer, condition: Tensor, chosen: Operand, other: Operand, dtype: str) -> Tensor:
    """``chosen`` where the condition holds, else ``other``; numbers become attributes where they do not shape the result."""
    tensors = [condition, *(t for t in (chosen, other) if isinstance(t, Tensor) and im.scalar(t) is None)]
    rank = max(t.rank for t in tensors)
    numbers = [_inner_number(im, operand, rank) for operand in (chosen, other)]
    if im.constant(condition) is not None and None not in numbers:
        numbers = [None, None]
    places = zip((chosen, other), numbers, ("chosen", "other"), strict=True)
    operands = [im.tensor(operand, suffix=place) if number is None else None for operand, number, place in places]
    return im.emit(
        top.Where, [condition, *operands], dtype, x_is_const=numbers[0] is not None, y_is_const=numbers[1] is not None,
        x_const_val=numbers[0] or 0.0, y_const_val=numbers[1] or 0.0,
    )


def _inner_number(im: Importer, operand: Operand, rank: int) -> float | None:
    """The number that an operand is, where it is finite and adds no axes; infinities become the largest numbers there are."""
    if isinstance(operand, Tensor) and operand.rank > rank:
        return None
    number = im.scalar(operand)
    if number is None or math.isnan(number):
        return None
    return min(max(number, -_LARGEST), _LARGEST)


def where(im: Importer, condition: Tensor, self: Operand | None = None, other: Operand | None = None) -> Tensor:
    if self is None or other is None:
        raise im.refusal("a result whose shape depends on the data")
    return selected(im, condition, self, other, result_dtype(self, other))


def masked_fill(im: Importer, self: Tensor, mask: Tensor, value: Operand) -> Tensor:
    return selected(im, mask, value, self, self.dtype)


def fill(im: Importer, self: Tensor, value: Operand) -> Tensor:
    from tpumlir_torch.converters.creation import filled
    from tpumlir_torch.converters.movement import expanded

    if isinstance(value, Tensor):
        return expanded(im, cast_to(im, value, self.dtype), self.shape)
    return filled(im, self.shape, float(value), self.dtype)


def zero(im: Importer, self: Tensor) -> Tensor:
    return fill(im, self, 0)


def heaviside(im: Importer, self: Tensor, values: Tensor) -> Tensor:
    above = im.step("above", top.CompareConst, [self], mode="Greater", const_val=0.0, inversed=False)
    at_zero = im.step("at_zero", top.CompareConst, [self], mode="Equal", const_val=0.0, inversed=False)
    return im.emit(top.Where, [at_zero, values, above], promoted([self.dtype, values.dtype]))


def one_hot(im: Importer, self: Tensor, num_classes: int = -1) -> Tensor:
    """The indices compared with 0 .. num_classes - 1 along a new last axis."""
    if num_classes < 1:
        raise im.refusal("a number of classes that depends on the data")
    im.check_size((*self.shape, num_classes))
    along = im.step("axis", top.Unsqueeze, [self], axes=(self.rank,))
    return im.emit(top.Compare, [along, im.array(np.arange(num_classes), "int64", "classes")], "int64", mode="Equal")


def isclose(im: Importer, self: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    if equal_nan:
        raise im.refusal("equal_nan")
    gap = im.step("gap", top.Abs, [im.step("difference", top.Sub, [self, other])])
    scaled = im.step("scaled", top.MulConst, [im.step("abs", top.Abs, [other])], const_val=rtol)
    return im.emit(top.Compare, [gap, im.step("limit", top.AddConst, [scaled], const_val=atol)], "bool", mode="LessOrEqual")


def bitwise_not(im: Importer, self: Tensor) -> Tensor:
    """On integers -x - 1."""
    if self.dtype == "bool":
        return logical_not(im, self)
    if is_float(self.dtype) or self.dtype == "uint8":
        raise im.refusal(f"{self.dtype} tensors")
    return im.emit(top.SubConst, [self], const_val=-1.0, is_reverse=True)


_LOGICAL: Mapping[str, Converter] = {
    "logical_and": logical_and, "logical_or": logical_or, "logical_xor": logical_xor, "logical_not": logical_not,
}
_BITWISE: Mapping[str, Converter] = {
    "bitwise_and": _on_booleans(logical_and), "bitwise_or": _on_booleans(logical_or), "bitwise_xor": _on_booleans(logical_xor),
    "bitwise_not": bitwise_not,
}
CONVERTERS: Mapping[str, Converter] = {
    **_LOGICAL, **_BITWISE, "__and__": _BITWISE["bitwise_and"], "__or__": _BITWISE["bitwise_or"], "__xor__": _BITWISE["bitwise_xor"],
    "eq": _compare("Equal"), "ne": _compare("NotEqual"), "not_equal": _compare("NotEqual"),
    "gt": _compare("Greater"), "greater": _compare("Greater"), "ge": _compare("GreaterOrEqual"),
    "greater_equal": _compare("GreaterOrEqual"),
    "lt": _compare("Less"), "less": _compare("Less"), "le": _compare("LessOrEqual"), "less_equal": _compare("LessOrEqual"),
    "fill": fill, "heaviside": heaviside, "isclose": isclose, "isfinite": isfinite, "isinf": isinf, "isnan": isnan,
    "masked_fill": masked_fill, "one_hot": one_hot, "where": where, "zero": zero,
}
