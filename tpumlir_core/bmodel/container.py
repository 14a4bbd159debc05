"""The bmodel file: a 64-byte header, the flatbuffer, then the binaries.

Header, little-endian u32: magic 0xFF55AAEE, header bytes, flatbuffer bytes, bytes of the binaries; the rest 0 (tpu-mlir
1.30.2, seen). Every binary that a runtime reads starts at a multiple of 4096 in the file, as the reference writes it: a runtime
may map it.
"""

from __future__ import annotations

import struct

from tpumlir_core.bmodel.flatbuffer import Decoder, Encoder
from tpumlir_core.bmodel.schema import Model
from tpumlir_core.errors import InputError

MAGIC = 0xFF55AAEE
HEADER_BYTES = 64
ALIGNMENT = 4096
"""Alignment of the binaries in the file, bytes."""
_HEADER = struct.Struct("<4I")
_UNMAPPED = frozenset({"tensor_loc"})
"""Binaries that no runtime reads: they fill the space up to the next aligned one."""
_HEAD_BYTES = 64
"""Binaries of one size that begin with equal bytes are compared whole."""


def is_bmodel(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a bmodel."""
    return head[:4] == MAGIC.to_bytes(4, "little")


def split_file(data: bytes | memoryview) -> tuple[memoryview, memoryview]:
    """The tables, as a flatbuffer, and the binaries that they point into. Raises InputError where the file is damaged."""
    view = memoryview(data).toreadonly().cast("B")
    if len(view) < HEADER_BYTES:
        raise InputError(f"not a bmodel: {len(view)} bytes are less than its {HEADER_BYTES}-byte header")
    magic, header, tables, binaries = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise InputError(f"not a bmodel: it starts with {magic:#010x} in place of {MAGIC:#010x}")
    if header < _HEADER.size or header + tables + binaries > len(view):
        raise InputError(f"bmodel header: {header} + {tables} + {binaries} bytes are more than the file's {len(view)}; it is cut off")
    return view[header : header + tables], view[header + tables : header + tables + binaries]


def read_model(data: bytes | memoryview) -> Model:
    """The tables of a bmodel; binaries are views of ``data``. Raises InputError where the file is damaged."""
    tables, blobs = split_file(data)

    def fetch(start: int, size: int) -> memoryview:
        if start + size > len(blobs) and size:
            raise InputError(f"{size} bytes at {start} lie outside the file's {len(blobs)} bytes of binaries; the file is damaged")
        return blobs[start : start + size]

    model = Decoder(tables, fetch).root(Model)
    assert isinstance(model, Model)
    return model


def write_model(model: Model) -> bytes:
    """The file of a model. Binaries with equal bytes are stored once. The same model gives the same bytes."""
    return b"".join(model_parts(model))


def model_parts(model: Model) -> list[bytes | memoryview]:
    """The same in parts that follow one another, of which the model's binaries are some: nothing large is copied."""
    stored: dict[tuple[bool, int, bytes], list[tuple[bytes | memoryview, int]]] = {}
    chunks: list[bytes | memoryview] = []
    end = 0

    def place(data: bytes | memoryview, field: str) -> tuple[int, int]:
        nonlocal end
        if not len(data):
            return 0, 0
        unmapped = field in _UNMAPPED
        alike = stored.setdefault((unmapped, len(data), bytes(data[:_HEAD_BYTES])), [])
        for known, start in alike:
            if known == data:
                return start, len(data)
        padding = 0 if unmapped else -end % ALIGNMENT
        start = end + padding
        alike.append((data, start))
        chunks.extend((bytes(padding), data))
        end = start + len(data)
        return start, len(data)

    tables = Encoder(place).finish(model)
    tables += bytes(-(HEADER_BYTES + len(tables)) % ALIGNMENT)
    chunks.append(bytes(-end % ALIGNMENT))
    end += -end % ALIGNMENT
    if max(len(tables), end) >= 1 << 32:
        raise InputError(f"the bmodel's binaries are {end} bytes; its header counts up to 4 GiB: compile the network in parts")
    header = _HEADER.pack(MAGIC, HEADER_BYTES, len(tables), end).ljust(HEADER_BYTES, b"\0")
    return [header, tables, *chunks]
