"""A small model for the conformance kit and for trying things out, written without Paddle."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tpumlir_core.conversion.wire import encoded
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import Example

SHAPE = (1, 3, 9, 7)
_FLOAT, _TENSOR, _FEED, _FETCH = 5, 7, 9, 10
_VERSION = 2_000_186
"""Of the program: Paddle 2.0, which every newer one reads."""
_TENSOR_HEAD = struct.Struct("<IQII")
Value = int | float | str | Sequence[int]


def write_example(path: Path) -> Example:
    """A convolution, an activation and a residual addition, with the weights beside it; the same bytes every time."""
    random = np.random.default_rng(3)
    weight = random.normal(size=(3, 3, 3, 3)).astype(np.float32)
    path.write_bytes(_program())
    path.with_suffix(".pdiparams").write_bytes(_stored(weight))
    given = random.normal(size=SHAPE).astype(np.float32)
    return Example(path, {"x": given}, {"y": np.maximum(_convolved(given, weight), 0) + given})


def _program() -> bytes:
    """ProgramDesc, with one block of variables 3 and operations 4 (framework.proto)."""
    convolution: dict[str, Value] = {
        "strides": (1, 1), "paddings": (1, 1), "dilations": (1, 1), "groups": 1, "data_format": "NCHW", "padding_algorithm": "EXPLICIT",
    }  # fmt: skip
    variables = [
        _variable("feed", encoded((1, _FEED)), True),
        _variable("fetch", encoded((1, _FETCH)), True),
        _variable("w", _dense((3, 3, 3, 3)), True),
        *(_variable(name, _dense(SHAPE), False) for name in ("x", "c", "r", "y")),
    ]
    operations = [
        _operation("feed", {"X": "feed"}, {"Out": "x"}, {"col": 0}),
        _operation("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "c"}, convolution),
        _operation("relu", {"X": "c"}, {"Out": "r"}, {}),
        _operation("elementwise_add", {"X": "r", "Y": "x"}, {"Out": "y"}, {"axis": -1}),
        _operation("fetch", {"X": "y"}, {"Out": "fetch"}, {"col": 0}),
    ]
    block = encoded((1, 0), (2, -1), *((3, one) for one in variables), *((4, one) for one in operations))
    return encoded((1, block), (4, encoded((1, _VERSION))))


def _dense(shape: Sequence[int]) -> bytes:
    tensor = encoded((1, _FLOAT), *((2, extent) for extent in shape))
    return encoded((1, _TENSOR), (3, encoded((1, tensor))))


def _variable(name: str, kind: bytes, persistable: bool) -> bytes:
    return encoded((1, name), (2, kind), (3, int(persistable)))


def _operation(kind: str, inputs: Mapping[str, str], outputs: Mapping[str, str], attributes: Mapping[str, Value]) -> bytes:
    bound = [(number, encoded((1, slot), (2, name))) for number, slots in ((1, inputs), (2, outputs)) for slot, name in slots.items()]
    return encoded(*bound, (3, kind), *((4, _attribute(name, value)) for name, value in attributes.items()))


def _attribute(name: str, value: Value) -> bytes:
    """AttrType: INT 0 in field 3, STRING 2 in 5, INTS 3 in 6."""
    if isinstance(value, str):
        return encoded((1, name), (2, 2), (5, value))
    if isinstance(value, int):
        return encoded((1, name), (2, 0), (3, value))
    assert isinstance(value, Sequence)
    return encoded((1, name), (2, 3), *((6, one) for one in value))


def _stored(array: Array) -> bytes:
    """One tensor of a file of weights; see weights.py."""
    description = encoded((1, _FLOAT), *((2, extent) for extent in array.shape))
    return _TENSOR_HEAD.pack(0, 0, 0, len(description)) + description + array.tobytes()


def _convolved(given: Array, weight: Array) -> Array:
    """A convolution of 3x3 with stride 1 and padding 1, tap by tap."""
    padded = np.pad(given, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = given.shape[2:]
    taps = ((row, column) for row in range(3) for column in range(3))
    parts = [np.einsum("oi,nihw->nohw", weight[:, :, r, c], padded[:, :, r : r + height, c : c + width]) for r, c in taps]
    return np.asarray(np.sum(parts, 0))
