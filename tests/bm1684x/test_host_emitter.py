"""What depends on how kernels calculate, done on the host: every bit as the emulator has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.conftest import Graph
from tpumlir_bm1684x import executor, host_emitter
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.executor import Bm1684xExecutor, as_kernels_do, in_steps
from tpumlir_bm1684x.host_emitter import HostEmitter, Unmodelled
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.kernels import registry
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core import api
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType, Operation, TensorType, Value, operation_class, top
from tpumlir_core.ir.top import Input
from tpumlir_core.stages import Session
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.kernels import run_kernel
from tpumlir_sophgo.testing.programs import run_module

FUNCTIONS: dict[str, dict[str, Any]] = {
    **{name: {} for name in (
        "Sigmoid", "SiLU", "Tanh", "Exp", "Softplus", "Mish", "Erf", "GELU", "Softsign", "Sin", "Cos", "Tan", "Sinh", "Cosh",
        "Log", "Sqrt", "Rsqrt", "Arccos", "Arctanh",
    )},
    "Swish": {"beta": 1.3}, "Elu": {"alpha": 1.2}, "Reciprocal": {"const_val": 0.7}, "Softmax": {"axis": 1, "beta": 1.5},
}
DOMAINS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("Log", "Sqrt", "Rsqrt"), (0.0, np.inf)), **dict.fromkeys(("Arccos", "Arctanh"), (-0.99, 0.99)),
}
SPECIAL = np.float32([0, -0.0, 1e-39, -1e-39, 1.2e-38, 3e38, -3e38, np.inf, -np.inf, 1e-30, 88.8, -88.8])


def operation(name: str, shape: tuple[int, ...], **attributes: Any) -> Operation:
    kind = operation_class(f"tpu.{name}")
    assert kind is not None
    source: Value = Input.create([None], [("x", TensorType(shape))]).output
    return kind.create([source], ["y"], **attributes)


def by_emulator(machine: Any, op: Operation, *inputs: Array) -> Array:
    kernel: Any = registry().local[op.opcode]
    return run_kernel(machine, Bm1684xEmitter.new, kernel, op, inputs)[0]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(FUNCTIONS)), st.sampled_from([(2, 70, 3, 9), (3, 5), (1, 1000), (1, 3, 33, 31), (4, 64, 7)]),
    st.sampled_from([1.0, 20.0, 1e-3, 1e4, 1e-39]), st.integers(0, 2**32 - 1),
)
def test_functions(machine: Any, name: str, shape: tuple[int, ...], scale: float, seed: int) -> None:
    x = np.clip(np.random.default_rng(seed).standard_normal(shape) * scale, *DOMAINS.get(name, (-np.inf, np.inf))).astype(np.float32)
    op = operation(name, shape, **FUNCTIONS[name])
    wanted = by_emulator(machine, op, x)
    found = as_kernels_do(op, [x])
    assert found is not None
    np.testing.assert_array_equal(found[0].view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"Softmax"} - DOMAINS.keys()))
def test_zeros_and_numbers_at_the_ends(machine: Any, name: str) -> None:
    op = operation(name, (1, 12), **FUNCTIONS[name])
    x = SPECIAL.reshape(1, 12)
    wanted = by_emulator(machine, op, x)
    found = as_kernels_do(op, [x])
    assert found is not None
    np.testing.assert_array_equal(found[0], wanted)


def test_division(machine: Any) -> None:
    x, y = (grid.astype(np.float32).reshape(1, 144) for grid in np.meshgrid(SPECIAL, SPECIAL))
    kind = operation_class("tpu.Div")
    assert kind is not None
    op = kind.create([Input.create([None], [(n, TensorType(x.shape))]).output for n in ("a", "b")], ["y"])
    wanted = by_emulator(machine, op, x, y)
    found = as_kernels_do(op, [x, y])
    assert found is not None
    np.testing.assert_array_equal(found[0], wanted)


def test_large_tensors_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((3, 70, 11)).astype(np.float32)
    op = operation("Sigmoid", x.shape)
    whole = as_kernels_do(op, [x])
    monkeypatch.setattr(executor, "BLOCK", 1000)
    parts = as_kernels_do(op, [x])
    assert whole is not None
    assert parts is not None
    np.testing.assert_array_equal(parts[0], whole[0])


def test_what_is_not_done_here() -> None:
    emitter = HostEmitter(1024)
    x = LocalTensor.aligned(arch(), 0, (1, 64, 1, 4), ElementType.F32)
    with pytest.raises(Unmodelled, match="lookup"):
        emitter.lookup(x, x, x)
    bytes_ = LocalTensor.aligned(arch(), 0, (1, 64, 1, 4), ElementType.SI8)
    for instruction in (emitter.convolve, emitter.depthwise):
        with pytest.raises(Unmodelled, match=instruction.__name__):
            instruction(bytes_, bytes_, 0, None, Sweep((1, 1)))
    with pytest.raises(Unmodelled, match="between elements"):
        emitter.depthwise(x, x, 0, None, Sweep((1, 1), expansion=(1, 2)))
    with pytest.raises(Unmodelled, match="xor"):
        emitter.binary("xor", x, x, x)
    with pytest.raises(InternalError, match="beyond the 1024 bytes"):
        emitter.read(LocalTensor.aligned(arch(), 1024, (1, 64, 1, 4), ElementType.F32))
    assert as_kernels_do(operation("Floor", (3,)), [np.ones(3, np.float32)]) is None
    assert as_kernels_do(operation("Exp", (0,)), [np.ones(0, np.float32)]) is None


def agrees(machine: Any, build: Callable[[Graph], Value], mode: str, every_product: bool = False) -> None:
    """The emulator's outputs of a network in a mode are the executor's."""
    graph, target = Graph(), Bm1684xTarget()
    lowered = api.lower(graph.module(build(graph)), chip="bm1684x", quantize=mode, session=Session())
    found = run_module(machine, target.chip(), target.kernels(), lowered, graph.inputs)
    expected = Bm1684xExecutor(every_product).run(lowered, graph.inputs)
    for output, array in found.items():
        np.testing.assert_array_equal(array, expected[output])


WINDOW = {"kernel_shape": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1)}
SUMS: dict[str, Callable[[Graph], Value]] = {
    "convolution": lambda g: g.op(top.Conv, g.input(2, 70, 9, 7), g.random(20, 70, 3, 2), g.random(20), do_relu=True, **WINDOW),
    "groups": lambda g: g.op(top.Conv, g.input(1, 30, 9, 7), g.random(66, 10, 3, 2), None, group=3, dilations=(2, 1), **WINDOW),
    "transposed": lambda g: g.op(top.Deconv, g.input(2, 40, 9, 7), g.random(20, 40, 3, 2), g.random(20), **WINDOW),
    "not every result has a tap": lambda g: g.op(
        top.Deconv, g.input(1, 8, 5, 4), g.random(3, 8, 1, 1), g.random(3), kernel_shape=(1, 1), strides=(3, 2), pads=(0, 0, 0, 0)),
    "product": lambda g: g.op(top.MatMul, g.input(2, 9, 130), g.input(2, 130, 20), None),
    "a weight": lambda g: g.op(top.MatMul, g.input(2, 130), g.random(130, 20), g.random(20), do_relu=True),
    "depthwise": lambda g: g.op(top.Conv, g.input(2, 70, 9, 7), g.random(70, 1, 3, 2), g.random(70), group=70, **WINDOW),
    "transposed depthwise": lambda g: g.op(top.Deconv, g.input(2, 70, 9, 7), g.random(1, 70, 3, 2), g.random(70), group=70, **WINDOW),
}


@pytest.mark.parametrize("mode", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("name", SUMS)
def test_sums_of_products(machine: Any, name: str, mode: str) -> None:
    """Bit for bit as the instructions add them up; of 16 bits as they align and cut them off."""
    agrees(machine, SUMS[name], mode, every_product=True)


def test_what_has_too_many_products_is_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph()
    lowered = api.lower(graph.module(SUMS["product"](graph)), chip="bm1684x", quantize="F16", session=Session())
    op = next(op for op in lowered.function.operations if op.opcode == "tpu.MatMul")
    arrays = [np.ones(v.shape, np.float32) for v in op.operands if v is not None] + [None]
    assert in_steps(op, arrays, each=True) is not None
    assert in_steps(op, arrays, each=False) is None
    monkeypatch.setattr(host_emitter, "MOST_PRODUCTS", 100)
    assert in_steps(op, arrays, each=True) is None


NORMAL = {"eps": 1e-5}
NETWORKS: dict[str, Callable[[Graph], Value]] = {
    "layer": lambda g: g.op(top.LayerNorm, g.input(3, 7, 40), g.random(40), g.random(40), axis=2, normalized_shape=(40,), **NORMAL),
    "group": lambda g: g.op(top.GroupNorm, g.input(2, 12, 5, 7), g.random(1, 12, 1, 1), g.random(1, 12, 1, 1), num_groups=3, **NORMAL),
    "neighbours": lambda g: g.op(top.LRN, g.input(2, 12, 5, 7), size=5, alpha=0.7, beta=0.75, bias=1.0),
    "sum": lambda g: g.op(top.Reduce, g.input(3, 5, 70), axes=(2,), keepdims=True, mode="ReduceSum"),
    "quotient": lambda g: g.op(top.Div, g.input(3, 5, 70), g.input(3, 1, 70, low=0.5, high=3.0)),
    "averages": lambda g: g.op(top.AvgPool, g.input(2, 70, 9, 7), count_include_pad=False, **WINDOW),
    "rows, then columns": lambda g: g.op(top.AvgPool, g.input(1, 5, 40, 40), kernel_shape=(9, 9), strides=(2, 2), pads=(4, 4, 4, 4)),
    "average of all": lambda g: g.op(top.AvgPool, g.input(2, 70, 9, 7), kernel_shape=(9, 7), strides=(1, 1), pads=(0, 0, 0, 0)),
    "between pixels": lambda g: g.op(
        top.Interp, g.input(2, 5, 9, 7), None, mode="linear", coord_mode="half_pixel", scale_h=2.5, scale_w=1.5),
    "hard": lambda g: g.op(top.HardSwish, g.input(2, 70, 9, 7)),
    "softmax": lambda g: g.op(top.Softmax, g.input(4, 2000), axis=1),
    "scores": lambda g: g.op(top.Softmax, g.op(top.Sigmoid, g.op(top.MulConst, g.input(2, 8, 40), const_val=3.0)), axis=1),
}


@pytest.mark.parametrize("mode", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_executor_in_floats(machine: Any, name: str, mode: str) -> None:
    """Also where results are rounded to 16 bits."""
    agrees(machine, NETWORKS[name], mode)
