"""The blobs of a .caffemodel (or of a .prototxt that holds some) as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_caffe.schema import message_class
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array

_RAW_TYPES: Mapping[int, str] = {0: "<f8", 1: "<f4", 2: "<f2"}
"""``raw_data_type`` of blobs as OpenCV's shrinkCaffeModel writes them (its caffe.proto)."""
_LEGACY = ("num", "channels", "height", "width")


def read_caffemodel(data: bytes) -> dict[str, list[Array]]:
    """Layer name -> its blobs; layers without blobs are left out. Of several layers of one name the last counts, as in Caffe.

    Raises InputError for what is no such file, or a blob whose numbers do not fill its shape.
    """
    from google.protobuf.message import DecodeError

    stored = message_class("StoredNet")()
    try:
        stored.ParseFromString(data)
    except (DecodeError, RecursionError):
        raise InputError("no .caffemodel: it is cut off, damaged or something else") from None
    layers = [*stored.layers, *stored.layer]
    if not layers:
        raise InputError("no .caffemodel: it holds no layer")
    named = ((layer.name.decode("utf-8", "replace"), layer.blobs) for layer in layers if layer.blobs)
    return {name: [_stored(name, blob) for blob in blobs] for name, blobs in named}


def blobs_of_text(name: str, blobs: Iterable[Any]) -> list[Array]:
    """The BlobProto messages of a layer in a .prototxt as arrays."""
    return [_shaped(name, blob, np.asarray(blob.data or blob.double_data, np.float32)) for blob in blobs]


def _stored(name: str, blob: Any) -> Array:
    """The numbers of a StoredBlob, as float32 and where that can be without a copy."""
    chunks, kind = (blob.data, "<f4") if blob.data else (blob.double_data, "<f8")
    if not chunks and blob.raw_data:
        if blob.raw_data_type not in _RAW_TYPES:
            raise InputError(f"layer {name}: a blob has raw numbers of an unknown type {blob.raw_data_type}")
        chunks, kind = [blob.raw_data], _RAW_TYPES[blob.raw_data_type]
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if len(data) % np.dtype(kind).itemsize:
        raise InputError(f"layer {name}: {len(data)} bytes of a blob are no whole numbers")
    return _shaped(name, blob, np.frombuffer(data, kind).astype(np.float32, copy=False))


def _shaped(name: str, blob: Any, numbers: Array) -> Array:
    shape = _shape(blob)
    if min(shape, default=1) < 0 or math.prod(shape) != numbers.size:
        raise InputError(f"layer {name}: {numbers.size} numbers of a blob do not fill its shape {list(shape)}")
    return numbers.reshape(shape)


def _shape(blob: Any) -> Sequence[int]:
    """The shape of a blob: ``shape``, or the four extents of older files."""
    return tuple(blob.shape.dim) if blob.HasField("shape") else tuple(getattr(blob, extent) for extent in _LEGACY)
