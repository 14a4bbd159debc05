"""The file of weights: tensors one after the other, in the order of their names, as ``save_combine`` writes them.

Each is: a version (4 bytes, 0), the number of its levels of detail (8 bytes, 0 of a weight), another version (4 bytes, 0), the
size of its TensorDesc (4 bytes), that message, and the numbers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.conversion.wire import Message
from tpumlir_core.errors import InputError

_HEAD = struct.Struct("<IQII")
_LARGEST_DESCRIPTION = 1 << 12
BYTES_OF: Mapping[int, int] = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16}
"""Bytes of an element by its type in VarType (framework.proto)."""


@dataclass(frozen=True)
class Tensor:
    """A weight as a program declares it or a file describes it: element type as in VarType, None where nobody tells, and shape."""

    element: int | None
    shape: tuple[int, ...]


def check_weights(path: Path, declared: Mapping[str, Tensor]) -> None:
    """Raises InputError unless a file holds exactly the declared weights."""
    stored = list(_stored(path))
    if len(stored) != len(declared):
        raise InputError(f"the weights {path} are of another model: {len(stored)} tensors, the model declares {len(declared)}")
    for name, there in zip(sorted(declared), stored, strict=True):
        wanted = declared[name]
        if wanted.shape != there.shape or wanted.element not in (None, there.element):
            shapes = f"{list(there.shape)} in place of {list(wanted.shape)}"
            raise InputError(f"the weights {path} are of another model: {name} is of shape {shapes}, or another type")


def _stored(path: Path) -> Iterator[Tensor]:
    """What the tensors of a file are, in its order."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                raise InputError(f"the weights {path} are cut off")
            version, levels, tensor_version, length = _HEAD.unpack(head)
            if version or levels or tensor_version or length > _LARGEST_DESCRIPTION:
                raise InputError(f"the weights {path} are damaged at byte {file.tell() - _HEAD.size}")
            description = Message(file.read(length), f"the weights {path}")
            tensor = Tensor(description.integer(1, -1), tuple(description.integers(2)))
            width = BYTES_OF.get(description.integer(1, -1))
            if width is None or min(tensor.shape, default=0) < 0:
                raise InputError(f"the weights {path} are damaged at byte {file.tell()}")
            end = file.tell() + math.prod(tensor.shape) * width
            if end > size:
                raise InputError(f"the weights {path} are cut off")
            file.seek(end)
            yield tensor
