"""Tensors stored in an ONNX model: decoding, and external data read only from inside the model's own folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.importing import LARGEST_TENSOR
from tpumlir_core.ir import Array

WIDENED = ("float16", "bfloat16")
"""Element types that become float32."""
PLAIN = frozenset(
    ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
)
"""Element types that stay as they are."""


def decode(tensor: Any, folder: Path | None, raw: bytes | None = None) -> Array:
    """The array of a ``TensorProto``; 16-bit floats are widened to float32.

    ``folder`` is where external data may lie; None refuses external data. ``raw``: its bytes, where they were taken out. Raises
    InputError for a tensor whose size, type or data is wrong.
    """
    from onnx import TensorProto, numpy_helper

    name = tensor.name or "(unnamed)"
    shape = tuple(tensor.dims)
    if any(d < 0 for d in shape) or math.prod(shape) > LARGEST_TENSOR:
        raise InputError(f"initializer {name}: shape {list(shape)} is impossible")
    if tensor.data_type not in TensorProto.DataType.values() or tensor.data_type in (TensorProto.UNDEFINED, TensorProto.STRING):
        raise InputError(f"initializer {name}: element type {tensor.data_type} is not supported")
    if tensor.data_location == TensorProto.EXTERNAL:
        return _plain(_external(tensor, name, shape, folder), name)
    try:
        array = numpy_helper.to_array(tensor) if raw is None else np.frombuffer(raw, _dtype(tensor)).reshape(shape)
    except (ValueError, TypeError, KeyError, MemoryError, AttributeError) as error:
        raise InputError(f"initializer {name}: its data does not fill shape {list(shape)} ({error})") from None
    if array.shape != shape:
        raise InputError(f"initializer {name}: its data does not fill shape {list(shape)}")
    return _plain(array, name)


def _plain(array: Array, name: str) -> Array:
    if array.dtype.name in WIDENED:
        return array.astype(np.float32)
    if array.dtype.name not in PLAIN:
        raise InputError(f"initializer {name}: element type {array.dtype.name} is not supported")
    return array


def _dtype(tensor: Any) -> np.dtype[Any]:
    from onnx import helper

    return np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))


def _external(tensor: Any, name: str, shape: tuple[int, ...], folder: Path | None) -> Array:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise InputError(f"tensor {name}: only initializers of the main graph may have external data; save the model with its data inside")
    if not location:
        raise InputError(f"initializer {name}: its external data names no file")
    path = (folder / location).resolve()
    if Path(location).is_absolute() or not path.is_relative_to(folder.resolve()):
        raise InputError(f"initializer {name}: external data '{location}' lies outside the model's folder; move it there")
    if not path.is_file():
        raise InputError(f"initializer {name}: external data file '{location}' does not exist beside the model")
    dtype = _dtype(tensor)
    needed = math.prod(shape) * dtype.itemsize
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(needed)))
    except ValueError:
        raise InputError(f"initializer {name}: offset or length of its external data is no number") from None
    if offset < 0 or length != needed or offset + needed > path.stat().st_size:
        raise InputError(f"initializer {name}: external data '{location}' does not hold {needed} bytes at offset {offset}")
    return np.fromfile(path, dtype=dtype, count=math.prod(shape), offset=offset).reshape(shape)
