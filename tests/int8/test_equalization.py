"""Equalization: the network computes what it did, and what 8 bits lose of small channels is not lost any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, Function, Module, Operation, TensorType, Value, WeightStore, top
from tpumlir_int8.calibrators import MaxCalibrator
from tpumlir_int8.equalization import equalizable, equalize
from tpumlir_int8.tuning import result_errors

random = np.random.default_rng(2)
SIZES = np.array([1.0, 0.01, 3.0, 0.002, 1.0, 0.05], np.float32)
"""Magnitudes of the channels between: some are lost in 8 bits."""
CONV = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}


class Network:
    """A module as it grows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.store = WeightStore()
        self.operations: list[Operation] = [top.Input.create([], [("x", TensorType(shape))])]
        self.x = self.operations[0].results[0]

    def weight(self, name: str, array: Array) -> Value:
        self.store[name] = array.astype(np.float32)
        return self.add(top.Weight.create([], [(name, TensorType(array.shape))]))

    def add(self, operation: Operation) -> Value:
        self.operations.append(operation)
        return operation.results[0]

    def module(self, *outputs: Value) -> Module:
        return Module("net", Function("main", self.operations, outputs), self.store)


def convolutions(**first: Any) -> Module:
    """conv(relu(conv(x))), the channels between of very different sizes, which the second weighs equally."""
    net = Network((1, 4, 5, 5))
    filters = random.standard_normal((6, 4, 1, 1)) * SIZES.reshape(-1, 1, 1, 1)
    operands = [net.x, net.weight("f1", filters), net.weight("b1", 0.1 * SIZES.reshape(1, -1, 1, 1))]
    between = net.add(top.Conv.create(operands, ["t"], **CONV, **{"do_relu": True, **first}))
    spread = random.standard_normal((3, 6, 1, 1)) / SIZES.reshape(1, -1, 1, 1)
    operands = [between, net.weight("f2", spread), net.weight("b2", random.standard_normal((1, 3, 1, 1)))]
    return net.module(net.add(top.Conv.create(operands, ["y"], **CONV)))


def depthwise(multiplier: int = 1) -> Module:
    """relu(conv(x)), of which each channel has a filter of its own."""
    net = Network((1, 4, 5, 5))
    filters = random.standard_normal((6, 4, 1, 1)) * SIZES.reshape(-1, 1, 1, 1)
    operands = [net.x, net.weight("f1", filters), net.weight("b1", 0.1 * SIZES.reshape(1, -1, 1, 1))]
    between = net.add(top.Conv.create(operands, ["t"], **CONV, do_relu=True))
    own = random.standard_normal((6 * multiplier, 1, 3, 3)) / np.repeat(SIZES, multiplier).reshape(-1, 1, 1, 1)
    operands = [between, net.weight("f2", own), net.weight("b2", random.standard_normal((1, 6 * multiplier, 1, 1)))]
    window = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
    return net.module(net.add(top.Conv.create(operands, ["y"], **window, group=6)))


def transformer() -> Module:
    """Two matrix products of one normalized tensor, as queries and keys are."""
    net = Network((2, 3, 6))
    factors = [net.weight("g", SIZES), net.weight("b", 0.1 * SIZES)]
    between = net.add(top.LayerNorm.create([net.x, *factors], ["t"], normalized_shape=(6,), axis=2, eps=1e-5))
    plain, turned = random.standard_normal((6, 4)) / SIZES.reshape(-1, 1), random.standard_normal((5, 6)) / SIZES
    queries = net.add(top.MatMul.create([between, net.weight("q", plain), None], ["y"]))
    keys = net.add(top.MatMul.create([between, net.weight("k", turned), None], ["z"], right_transpose=True))
    return net.module(queries, keys)


def products() -> Module:
    """Two matrix products with biases, one after the other."""
    net = Network((3, 4))
    operands = [net.x, net.weight("w1", random.standard_normal((4, 6)) * SIZES), net.weight("b1", 0.1 * SIZES)]
    between = net.add(top.MatMul.create(operands, ["t"], do_relu=True))
    operands = [between, net.weight("w2", random.standard_normal((6, 2)) / SIZES.reshape(-1, 1)), net.weight("b2", np.ones(2))]
    return net.module(net.add(top.MatMul.create(operands, ["y"])))


def run(module: Module, inputs: Sequence[Array]) -> list[dict[str, Array]]:
    return [NumpyInterpreter().run(module, {"x": array}) for array in inputs]


@pytest.mark.parametrize("make", [convolutions, depthwise, transformer, products])
def test_it_computes_the_same_and_errs_less(make: Any) -> None:
    module = make()
    inputs = [random.standard_normal(module.function.operations[0].output.shape).astype(np.float32) for _ in range(3)]
    tensors, calibrator = run(module, inputs), MaxCalibrator()
    ranges = dict(calibrator.calibrate(tensors))
    takers = [op for op in module.function.operations if op.operands and op.operands[0] is not None and op.operands[0].name == "t"]
    before = sum(result_errors(op, [ranges["t"]], module, tensors, NumpyInterpreter())[0] for op in takers)

    better, scaled = equalize(module, ranges, tensors, NumpyInterpreter(), calibrator.calibrate)

    after = sum(result_errors(op, [better["t"]], module, scaled, NumpyInterpreter())[0] for op in takers)
    assert after < before / 3
    for old, new, told in zip(tensors, run(module, inputs), scaled, strict=True):
        np.testing.assert_allclose(new["t"], told["t"], rtol=1e-4, atol=1e-6)
        for value in module.function.outputs:
            np.testing.assert_allclose(new[value.name], old[value.name], rtol=1e-3, atol=1e-3)
    assert {name: better[name] for name in ranges if name != "t"} == {name: ranges[name] for name in ranges if name != "t"}


def test_what_is_in_balance_stays() -> None:
    module = convolutions()
    for name in ("f1", "f2"):
        module.weights[name] = np.ones_like(module.weights[name])
    kept = {name: module.weights[name].copy() for name in module.weights}
    inputs = [random.standard_normal((1, 4, 5, 5)).astype(np.float32)]
    module.weights["b1"] = kept["b1"] = np.zeros_like(kept["b1"])
    tensors, calibrator = run(module, inputs), MaxCalibrator()
    ranges = dict(calibrator.calibrate(tensors))
    better, _ = equalize(module, ranges, tensors, NumpyInterpreter(), calibrator.calibrate)
    assert better == ranges
    for name, array in kept.items():
        np.testing.assert_array_equal(module.weights[name], array)


def names(module: Module) -> list[str]:
    return [place.value.name for place in equalizable(module)]


def test_where_channels_can_be_scaled() -> None:
    assert [names(make()) for make in (convolutions, depthwise, transformer, products)] == [["t"]] * 4


def test_not_where_channels_have_several_filters() -> None:
    assert names(depthwise(2)) == []


def test_not_through_a_bounded_activation() -> None:
    assert names(convolutions(relu_limit=6.0)) == []


def test_not_what_others_take_too() -> None:
    module = convolutions()
    between = module.function.operations[3].results[0]
    module.function.outputs = [*module.function.outputs, between]
    assert names(module) == []


def test_not_with_weights_of_others() -> None:
    module = convolutions()
    operation = module.function.operations[3]
    module.function.operations.append(top.AddConst.create([operation.operands[1]], ["other"], const_val=0.0))
    assert names(module) == []
