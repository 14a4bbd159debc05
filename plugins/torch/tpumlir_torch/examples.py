"""Small models in both formats for the conformance kit and for trying things out, written without PyTorch; the same bytes every time."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import Example

SHAPE = (1, 3, 9, 7)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FLOAT32 = 7
"""The number of float32 in exported programs."""


def write_exported(path: Path) -> Example:
    """A convolution, an activation and a residual addition as ``torch.export.save`` writes them."""
    weight, x = _arrays()
    model = {"graph_module": _graph_module(), "schema_version": {"major": 8, "minor": 0}, "range_constraints": {}}
    entry = {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": _meta(weight.shape)}
    _write(path, {
        "archive_format": b"pt2", "models/model.json": json.dumps(model).encode(), "data/weights/weight_0": weight.tobytes(),
        "data/weights/model_weights_config.json": json.dumps({"config": {"conv.weight": entry}}).encode(),
    })
    return Example(path, {"x": x})


def write_script(path: Path) -> Example:
    """The same network as ``torch.jit.save`` writes it; like all scripted ones without the shape of its input but for a trace's."""
    weight, x = _arrays()
    state = _pickled({"training": False, "weight": _Tensor("0", weight.shape)})
    module = b"\x80\x02c__torch__\nNet\n)\x81" + state + b"b."
    traced = b"\x80\x02" + _pickled({"forward": [_Tensor("0", SHAPE)]}) + b"."
    _write(path, {
        "data.pkl": module, "data/0": weight.tobytes(), "code/__torch__.py": _PROGRAM.encode(), "constants.pkl": b"\x80\x02).",
        "traced_inputs.pkl": traced, "version": b"3\n",
    })
    return Example(path, {"x": x})


_PROGRAM = """\
class Net(Module):
  __parameters__ = ["weight", ]
  weight : Tensor
  training : bool
  def forward(self: __torch__.Net,
    x: Tensor) -> Tensor:
    weight = self.weight
    _0 = torch.conv2d(x, weight, None, [1, 1], [1, 1], [1, 1], 1)
    return torch.add(torch.relu_(_0), x)
"""


def _arrays() -> tuple[Array, Array]:
    random = np.random.default_rng(3)
    return random.normal(size=(3, 3, 3, 3)).astype(np.float32), random.normal(size=SHAPE).astype(np.float32)


def _write(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"example/{name}", _EPOCH), data)


# --- the exported program -----------------------------------------------------------------------------------------
def _graph_module() -> dict[str, Any]:
    tensors = dict.fromkeys(("x", "conv2d", "relu", "add"), SHAPE) | {"p_conv_weight": (3, 3, 3, 3)}
    nodes = [
        _node("conv2d", "conv2d.default", {"input": _tensor("x"), "weight": _tensor("p_conv_weight"), "padding": {"as_ints": [1, 1]}}),
        _node("relu", "relu.default", {"self": _tensor("conv2d")}),
        _node("add", "add.Tensor", {"self": _tensor("relu"), "other": _tensor("x")}),
    ]
    graph = {
        "inputs": [_tensor("p_conv_weight"), _tensor("x")], "outputs": [_tensor("add")], "nodes": nodes,
        "tensor_values": {name: _meta(shape) for name, shape in tensors.items()},
    }
    inputs = [
        {"parameter": {"arg": {"name": "p_conv_weight"}, "parameter_name": "conv.weight"}}, {"user_input": {"arg": _tensor("x")}},
    ]
    return {"graph": graph, "signature": {"input_specs": inputs, "output_specs": [{"user_output": {"arg": _tensor("add")}}]}}


def _tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def _node(name: str, target: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    arguments = [{"name": key, "arg": value, "kind": 1} for key, value in inputs.items()]
    return {"target": f"torch.ops.aten.{target}", "name": name, "inputs": arguments, "outputs": [_tensor(name)], "metadata": {}}


def _meta(shape: Sequence[int]) -> dict[str, Any]:
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    return {
        "dtype": _FLOAT32, "sizes": [{"as_int": n} for n in shape], "strides": [{"as_int": n} for n in strides],
        "storage_offset": {"as_int": 0}, "requires_grad": False, "layout": 7, "device": {"type": "cpu", "index": None},
    }


# --- pickles ------------------------------------------------------------------------------------------------------
class _Tensor:
    """A tensor of float32 in the storage ``key``, row by row."""

    def __init__(self, key: str, shape: Sequence[int]) -> None:
        self.key = key
        self.shape = tuple(shape)


def _pickled(value: Any) -> bytes:
    """The opcodes of protocol 2 that put a value on the stack."""
    match value:
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + value.to_bytes(4, "little")
        case str():
            return b"X" + len(value).to_bytes(4, "little") + value.encode()
        case tuple():
            return b"(" + b"".join(map(_pickled, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_pickled, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_pickled(key) + _pickled(item) for key, item in value.items()) + b"u"
        case _Tensor(key=key, shape=shape):
            count = int(np.prod(shape))
            strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
            storage = b"(" + _pickled("storage") + b"ctorch\nFloatStorage\n" + _pickled(key) + _pickled("cpu") + _pickled(count) + b"tQ"
            arguments = storage + _pickled(0) + _pickled(shape) + _pickled(strides) + _pickled(False)
            return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"ccollections\nOrderedDict\n)RtR"
    raise TypeError(type(value).__name__)
