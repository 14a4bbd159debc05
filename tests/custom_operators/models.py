"""Small ONNX models with custom operators, plugin files made up on the spot, sessions that use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tpumlir_core.ir import Array
from tpumlir_core.plugins import PluginManager
from tpumlir_core.stages import Session

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "plugins/example-op/tpumlir_example_op"
SWAP, ABS_ADD = EXAMPLES / "swap.py", EXAMPLES / "abs_add.py"
HEAD = "from tpumlir_core.custom import Operator, Source, operator, top\n"
IDENTITY = """
    def infer(self, types):
        return [types[0]]

    def reference(self, x):
        return x

    def decompose(self, builder):
        return builder(top.Relu, self.input)
"""


def save(path: Path, nodes: Sequence[onnx.NodeProto], inputs: dict[str, Array], outputs: Sequence[str], weights: dict[str, Array]) -> Path:
    """A model that imports the domain ``acme``."""
    declared = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs.items()]
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "net", declared, [onnx.ValueInfoProto(name=name) for name in outputs], stored)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    return path


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def save_swap(folder: Path) -> dict[str, Array]:
    """A convolution, a SwapChannel and a residual addition as net.onnx; its inputs, which are also x.npz."""
    inputs = {"x": normal(1, 3, 9, 7)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("SwapChannel", ["c"], ["s"], "second", domain="acme", order=[2, 0, 1]),
        helper.make_node("Add", ["s", "x"], ["y"], "third"),
    ]
    save(folder / "net.onnx", nodes, inputs, ["y"], {"w": normal(3, 3, 3, 3)})
    np.savez(folder / "x.npz", **inputs)
    return inputs


def session_of(*files: Path) -> Session:
    plugins = PluginManager.discover()
    for file in files:
        plugins.add_file(file)
    return Session(plugins)


def operator_in(folder: Path, body: str, declaration: str = '@operator("acme.Op")', head: str = HEAD) -> Path:
    """A plugin file with one operator, acme::Op."""
    path = folder / "op.py"
    path.write_text(f'{head}\n{declaration}\nclass Op(Operator):\n    sources = {{"onnx": "acme::Op"}}\n{body}')
    return path


def save_op(folder: Path, inputs: dict[str, Array], outputs: Sequence[str] = ("y",), weights: dict[str, Array] | None = None,
            names: Sequence[str] | None = None, **attributes: Any) -> Path:
    """A model of one acme::Op."""
    node = helper.make_node("Op", list(inputs) if names is None else names, list(outputs), "node", domain="acme", **attributes)
    return save(folder / "op.onnx", [node], inputs, [o for o in outputs if o], weights or {})
