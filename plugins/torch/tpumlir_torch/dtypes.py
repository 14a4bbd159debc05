"""PyTorch's element types by name, their numbers in files, and how they combine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Array, ElementType, TensorType
from tpumlir_core.ir.storage import to_real

SCRIPT_DTYPES: Mapping[int, str] = {
    0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64", 8: "complex32", 9: "complex64",
    10: "complex128", 11: "bool", 12: "qint8", 13: "quint8", 14: "qint32", 15: "bfloat16",
}
"""Numbers of element types in TorchScript (c10/core/ScalarType.h)."""
EXPORT_DTYPES: Mapping[int, str] = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 9: "complex32", 10: "complex64",
    11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16",
}
"""Numbers of element types in exported programs (torch/_export/serde/schema.py)."""
STORAGES: Mapping[str, str] = {
    "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64",
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64", "BoolStorage": "bool", "BFloat16Storage": "bfloat16",
}
"""Classes of typed storages in pickles."""

_SIZES: Mapping[str, int] = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "int64": 8, "float16": 2, "bfloat16": 2, "float32": 4,
    "float64": 8,
}
_ORDER = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
_CATEGORY_DEFAULTS = ("bool", "int64", "float32")
NARROW = frozenset(("uint8", "int8", "int16", "uint16"))
"""Integers that wrap around within what float32 holds."""


def item_size(dtype: str) -> int:
    """Bytes of one element. Raises UnsupportedError for types that no tensor may have here, as complex ones."""
    if dtype not in _SIZES:
        raise UnsupportedError(f"tensors of {dtype}")
    return _SIZES[dtype]


def decoded(data: bytes, dtype: str) -> Array:
    """The elements that little-endian bytes hold; bfloat16 as float32."""
    item_size(dtype)
    if dtype == "bfloat16":
        bits = np.frombuffer(data, "<u2")
        return to_real(bits, TensorType(bits.shape, ElementType.BF16))
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))


def is_float(dtype: str) -> bool:
    """Whether it is a type of floating-point numbers."""
    return dtype.startswith(("float", "bfloat"))


def is_integer(dtype: str) -> bool:
    """Whether it is a type of integers; booleans are none."""
    return dtype.startswith(("int", "uint"))


def category(dtype: str) -> int:
    """0 for booleans, 1 for integers, 2 for floats."""
    return 2 if is_float(dtype) else 1 if is_integer(dtype) else 0


def scalar_dtype(number: bool | int | float) -> str:
    """What a Python number counts as."""
    return "bool" if isinstance(number, bool) else "int64" if isinstance(number, int) else "float32"


def wider(left: str, right: str) -> str:
    """The smallest type that holds both."""
    if {left, right} == {"float16", "bfloat16"}:
        return "float32"
    if "uint8" in (left, right) and "int8" in (left, right):
        return "int16"
    return max(left, right, key=_ORDER.index)


def promoted(tensors: Sequence[str], zero_dimensional: Sequence[str] = (), numbers: Sequence[str] = ()) -> str:
    """The type that operands compute in: numbers, and tensors without axes, count only by a higher category (PyTorch's rule)."""
    result: str | None = None
    for group, plain in ((tensors, False), (zero_dimensional, False), (numbers, True)):
        for dtype in group:
            if result is None:
                result = dtype
            elif category(dtype) > category(result):
                result = _CATEGORY_DEFAULTS[category(dtype)] if plain else dtype
            elif group is tensors or (not tensors and not plain):
                result = wider(result, dtype)
    return result or "float32"
