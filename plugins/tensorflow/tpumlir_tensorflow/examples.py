"""A small model for the conformance kit and for trying things out, written without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tpumlir_core.conversion.wire import encoded
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import Example

SHAPE = (1, 9, 7, 3)
_FLOAT = 1
_PRODUCER = 26
"""Version of the graph: TensorFlow 1.8, which every newer one reads."""


def write_example(path: Path) -> Example:
    """A frozen graph of a convolution, an activation and a residual addition; the same bytes every time."""
    random = np.random.default_rng(3)
    weight = random.normal(size=(3, 3, 3, 3)).astype(np.float32)
    convolution = {"T": _type(), "strides": _list((1, 1, 1, 1)), "padding": encoded((2, "SAME")), "data_format": encoded((2, "NHWC"))}
    nodes = [
        _node("x", "Placeholder", (), {"dtype": _type(), "shape": encoded((7, _shape(SHAPE)))}),
        _node("w", "Const", (), {"dtype": _type(), "value": encoded((8, _tensor(weight)))}),
        _node("net/conv", "Conv2D", ("x", "w"), convolution),
        _node("net/relu", "Relu", ("net/conv",), {"T": _type()}),
        _node("y", "AddV2", ("net/relu", "x"), {"T": _type()}),
    ]
    path.write_bytes(encoded(*((1, node) for node in nodes), (4, encoded((1, _PRODUCER)))))
    given = random.normal(size=SHAPE).astype(np.float32)
    return Example(path, {"x": given}, {"y": np.maximum(_convolved(given, weight), 0) + given})


def _node(name: str, operation: str, inputs: Sequence[str], attributes: Mapping[str, bytes]) -> bytes:
    """NodeDef: name 1, op 2, input 3, attr 5 (node_def.proto)."""
    entries = [(5, encoded((1, key), (2, value))) for key, value in sorted(attributes.items())]
    return encoded((1, name), (2, operation), *((3, one) for one in inputs), *entries)


def _type() -> bytes:
    return encoded((6, _FLOAT))


def _list(values: Sequence[int]) -> bytes:
    return encoded((1, encoded(*((3, value) for value in values))))


def _shape(extents: Sequence[int]) -> bytes:
    return encoded(*((2, encoded((1, extent))) for extent in extents))


def _tensor(array: Array) -> bytes:
    """TensorProto: dtype 1, tensor_shape 2, tensor_content 4."""
    return encoded((1, _FLOAT), (2, _shape(array.shape)), (4, array.tobytes()))


def _convolved(given: Array, weight: Array) -> Array:
    """A convolution of 3x3 with stride 1 and padding 1, tap by tap, channels last."""
    padded = np.pad(given, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = given.shape[1:3]
    taps = ((row, column) for row in range(3) for column in range(3))
    return np.asarray(np.sum([padded[:, r : r + height, c : c + width] @ weight[r, c] for r, c in taps], 0))
