"""Tensors that depend on shapes and numbers alone: constants at import."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, top
from tpumlir_torch.converters.casting import dtype_of
from tpumlir_torch.dtypes import is_float, is_integer, promoted, scalar_dtype
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Ints, Number, Tensor

_LARGEST_CONSTANT = 1 << 24


def filled(im: Importer, shape: Sequence[int], value: float, dtype: str) -> Tensor:
    """A constant full of one number; a large one is one number, expanded by the network."""
    im.check_size(shape)
    if min(shape, default=1) < 0:
        raise InputError(f"a shape {list(shape)}")
    if 0 in shape:
        raise im.refusal("an empty result")
    number = float(int(value)) if is_integer(dtype) and math.isfinite(value) else float(bool(value)) if dtype == "bool" else value
    if math.prod(shape) <= _LARGEST_CONSTANT:
        return im.array(np.full(tuple(shape), number, np.float32), dtype)
    one = im.array(np.full((1,) * len(shape), number, np.float32), dtype, "number")
    return im.emit(top.Expand, [one], shape=tuple(shape))


def _full(value: float) -> Converter:
    def convert(im: Importer, size: Ints, dtype: Any = None, **ignored: Any) -> Tensor:
        return filled(im, size, value, dtype_of(im, dtype, "float32"))

    return convert


def full(im: Importer, size: Ints, fill_value: Number, dtype: Any = None, **ignored: Any) -> Tensor:
    return filled(im, size, float(fill_value), dtype_of(im, dtype, scalar_dtype(fill_value)))


def _like(value: float) -> Converter:
    def convert(im: Importer, self: Tensor, dtype: Any = None, **ignored: Any) -> Tensor:
        return filled(im, self.shape, value, dtype_of(im, dtype, self.dtype))

    return convert


def full_like(im: Importer, self: Tensor, fill_value: Number, dtype: Any = None, **ignored: Any) -> Tensor:
    return filled(im, self.shape, float(fill_value), dtype_of(im, dtype, self.dtype))


def _new(value: float) -> Converter:
    def convert(im: Importer, self: Tensor, size: Ints, dtype: Any = None, **ignored: Any) -> Tensor:
        return filled(im, size, value, dtype_of(im, dtype, self.dtype))

    return convert


def new_full(im: Importer, self: Tensor, size: Ints, fill_value: Number, dtype: Any = None, **ignored: Any) -> Tensor:
    return filled(im, size, float(fill_value), dtype_of(im, dtype, self.dtype))


def arange(im: Importer, *limits: Number, dtype: Any = None, **named: Any) -> Tensor:
    """``arange(end)``, ``arange(start, end)`` or ``arange(start, end, step)``; traces also give the layout by position."""
    given = _limits(limits, named)
    start, end, step = given
    if step == 0 or not all(math.isfinite(v) for v in given):
        raise InputError(f"a range of {list(given)}")
    count = max(0, math.ceil((end - start) / step))
    if count > _LARGEST_CONSTANT or count == 0:
        raise InputError(f"a range of {count} elements")
    kind = dtype_of(im, dtype, promoted([], [], [scalar_dtype(v) for v in given]))
    values = start + step * np.arange(count, dtype=np.float64)
    return im.array(values if is_float(kind) else np.trunc(values).astype(np.int64), kind)


def _limits(limits: Sequence[Number], named: Mapping[str, Any]) -> tuple[Number, Number, Number]:
    numbers = [v for v in limits if isinstance(v, (bool, int, float))]
    start, end, step = named.get("start", 0), named.get("end"), named.get("step", 1)
    match len(numbers):
        case 1 if end is None:
            end = numbers[0]
        case 1:
            start = numbers[0]
        case 2 if end is None:
            start, end = numbers
        case 3:
            start, end, step = numbers
    if not all(isinstance(v, (int, float)) for v in (start, end, step)) or end is None:
        raise InputError("a range whose limits are no numbers")
    return start, end, step


def linspace(im: Importer, start: float, end: float, steps: int, dtype: Any = None, **ignored: Any) -> Tensor:
    if not 1 <= steps <= _LARGEST_CONSTANT:
        raise InputError(f"a range of {steps} elements")
    return im.array(np.linspace(start, end, steps), dtype_of(im, dtype, "float32"))


def eye(im: Importer, n: int, m: int | None = None, dtype: Any = None, **ignored: Any) -> Tensor:
    rows, columns = n, n if m is None else m
    if min(rows, columns) < 1 or rows * columns > _LARGEST_CONSTANT:
        raise InputError(f"a matrix of {rows} by {columns}")
    return im.array(np.eye(rows, columns), dtype_of(im, dtype, "float32"))


def tensor(im: Importer, data: Any, dtype: Any = None, **ignored: Any) -> Tensor:
    """A constant of nested lists of numbers."""
    if isinstance(data, Tensor):
        return data
    array: Array = np.asarray(data)
    if array.dtype.kind not in "biuf" or not array.size:
        raise im.refusal("a constant of what are no numbers")
    default = {"b": "bool", "f": "float32"}.get(array.dtype.kind, "int64")
    return im.array(array, dtype_of(im, dtype, default))


def scalar_tensor(im: Importer, s: Number, dtype: Any = None, **ignored: Any) -> Tensor:
    return filled(im, (), float(s), dtype_of(im, dtype, "float32"))


CONVERTERS: Mapping[str, Converter] = {
    "arange": arange, "empty": _full(0.0), "empty_like": _like(0.0), "eye": eye, "full": full, "full_like": full_like,
    "linspace": linspace, "new_empty": _new(0.0), "new_full": new_full, "new_ones": _new(1.0), "new_zeros": _new(0.0), "ones": _full(1.0),
    "ones_like": _like(1.0), "scalar_tensor": scalar_tensor, "tensor": tensor, "zeros": _full(0.0), "zeros_like": _like(0.0),
}
