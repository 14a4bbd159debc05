"""A file for compiled networks, for targets that have no format of their own to obey.

It names its chip, so that ``tpumlir info``, ``disasm`` and ``profile`` find the target, and holds a network's inputs and
outputs, facts in JSON, and any number of named sections of bytes, which mean what the target says. Little endian:

    magic (8 bytes), chip (32), version (u32), CRC-32 of all that follows (u32), bytes of the header (u32)
    header: JSON; then the sections in the header's order, each at a multiple of 64 bytes
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.ir.types import ElementType

MAGIC = b"TPUMLIR\0"
VERSION = 1
ALIGNMENT = 64
"""Bytes that a section starts at a multiple of."""
CHIP_BYTES = 32
_PREFIX = struct.Struct(f"<8s{CHIP_BYTES}s")
_SUMS = struct.Struct("<III")
_HEAD_BYTES = _PREFIX.size + _SUMS.size


@dataclass(frozen=True)
class StoredTensor:
    """An input or output of the network: dense, row-major, at ``address`` of the chip's memory."""

    name: str
    element: ElementType
    shape: tuple[int, ...]
    address: int


@dataclass(frozen=True)
class Container:
    """A network compiled for a chip, as the target is called.

    ``facts``: JSON values by name. ``made_by``: the distributions that it is due to and their versions (``Module.made_by``).
    """

    chip: str
    network: str
    inputs: tuple[StoredTensor, ...]
    outputs: tuple[StoredTensor, ...]
    sections: Mapping[str, bytes | memoryview]
    facts: Mapping[str, Any] = field(default_factory=dict)
    made_by: Mapping[str, str] = field(default_factory=dict)


def container_chip(head: bytes) -> str | None:
    """The chip that a file of this format is for, from its first bytes; None for any other file."""
    if len(head) < _HEAD_BYTES or not head.startswith(MAGIC):
        return None
    chip: bytes = _PREFIX.unpack_from(head)[1]
    return chip.rstrip(b"\0").decode("ascii", "replace")


def write_container(container: Container) -> bytes:
    """The file. Equal containers give equal bytes. Raises InternalError for a chip whose name does not fit."""
    return b"".join(container_parts(container))


def container_parts(container: Container) -> list[bytes | memoryview]:
    """The same in parts that follow one another, of which the sections are some: nothing large is copied."""
    chip = container.chip.encode("ascii")
    if not 0 < len(chip) <= CHIP_BYTES:
        raise InternalError(f"a chip's name has 1 to {CHIP_BYTES} characters, not {container.chip!r}")
    header = json.dumps(_header(container), separators=(",", ":"), sort_keys=True).encode()
    end = _HEAD_BYTES + len(header)
    chunks: list[bytes | memoryview] = [header]
    for data in container.sections.values():
        padding = -end % ALIGNMENT
        chunks += [bytes(padding), data]
        end += padding + len(data)
    checksum = 0
    for chunk in chunks:
        checksum = zlib.crc32(chunk, checksum)
    return [_PREFIX.pack(MAGIC, chip), _SUMS.pack(VERSION, checksum, len(header)), *chunks]


def read_container(data: bytes) -> Container:
    """The container in a file. Raises InputError where it is none, of a later version, or damaged."""
    chip = container_chip(data)
    if chip is None:
        raise InputError(f"not a compiled file: it does not start with {MAGIC!r}")
    version, checksum, header_bytes = _SUMS.unpack_from(data, _PREFIX.size)
    if version != VERSION:
        raise InputError(f"the file has version {version}, this tpumlir reads {VERSION}; use the one that wrote it")
    if zlib.crc32(memoryview(data)[_HEAD_BYTES:]) != checksum:
        raise InputError("the file is cut off or damaged: its checksum differs; compile the network again")
    try:
        return _read(chip, data, json.loads(data[_HEAD_BYTES : _HEAD_BYTES + header_bytes]), _HEAD_BYTES + header_bytes)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"the file's header makes no sense: {type(error).__name__}: {error}") from error


def _header(container: Container) -> dict[str, Any]:
    return {
        "network": container.network,
        "inputs": [_plain(tensor) for tensor in container.inputs],
        "outputs": [_plain(tensor) for tensor in container.outputs],
        "sections": [[name, len(data)] for name, data in container.sections.items()],
        "facts": container.facts,
        "made_by": container.made_by,
    }


def _plain(tensor: StoredTensor) -> list[Any]:
    return [tensor.name, tensor.element.value, list(tensor.shape), tensor.address]


def _read(chip: str, data: bytes, header: Any, end: int) -> Container:
    sections: dict[str, bytes | memoryview] = {}
    for name, size in header["sections"]:
        start = end + -end % ALIGNMENT
        end = start + _count(size)
        if end > len(data):
            raise ValueError(f"section {name} ends at byte {end} of {len(data)}")
        sections[str(name)] = memoryview(data)[start:end]
    inputs, outputs = (tuple(_tensor(*entry) for entry in header[role]) for role in ("inputs", "outputs"))
    made_by = {str(name): str(version) for name, version in header["made_by"].items()}
    return Container(chip, str(header["network"]), inputs, outputs, sections, dict(header["facts"]), made_by)


def _tensor(name: Any, element: Any, shape: Any, address: Any) -> StoredTensor:
    return StoredTensor(str(name), ElementType(element), tuple(_count(size) for size in shape), _count(address))


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
