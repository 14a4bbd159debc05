"""Small modules of one operation, run through the scheduler on the bare emulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.bm1684x.bare import narrow, wide
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.ir import Array, ElementType, Function, Module, Operation, TensorType, Value, WeightStore, operation_class, tpu
from tpumlir_core.ir.top import Input, Weight
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.programs import run_module


class Builder:
    """Builds a Tpu module operation by operation, with random inputs and weights; tensors but weights are of type ``element``."""

    def __init__(self, seed: int = 0, element: ElementType = ElementType.F32) -> None:
        self.random = np.random.default_rng(seed)
        self.element = element
        self.weights = WeightStore()
        self.operations: list[Operation] = []
        self.inputs: dict[str, Array] = {}

    def input(self, *shape: int) -> Value:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = narrow(self.random.standard_normal(shape).astype(np.float32), self.element)
        return self._add(Input.create([None], [(name, TensorType(shape, self.element))]))

    def weight(self, array: Array) -> Value:
        name = f"w{len(self.weights)}"
        self.weights[name] = wide(narrow(array.astype(np.float32), self.element), self.element)
        return self._add(Weight.create([], [(name, TensorType(array.shape))]))

    def op(self, opcode: str, *operands: Value | None, **attributes: Any) -> Value:
        kind = operation_class(f"tpu.{opcode}")
        assert kind is not None, f"{opcode} is not declared in {tpu.__name__}"
        op = kind.create(operands, [f"v{len(self.operations)}"], **attributes)
        op.output.type = op.output.type.with_element(self.element)
        return self._add(op)

    def _add(self, op: Operation) -> Value:
        self.operations.append(op)
        return op.output

    def module(self, *outputs: Value) -> Module:
        return Module("net", Function("main", self.operations, outputs), self.weights)

    def run(self, machine: Machine, *outputs: Value) -> Mapping[str, Array]:
        """The outputs as the scheduled program gives them on the emulator."""
        target = Bm1684xTarget()
        found = run_module(machine, target.chip(), target.kernels(), self.module(*outputs), self.inputs)
        return {name: wide(array, self.element) for name, array in found.items()}

    def expected(self, *outputs: Value) -> dict[str, Array]:
        """The outputs by the operations' numpy reference."""
        values: dict[Value, Array] = {}
        for op in self.operations:
            if op.opcode == "top.Input":
                values[op.output] = wide(self.inputs[op.name], self.element)
            elif op.opcode == "top.Weight":
                values[op.output] = self.weights[op.name]
            else:
                values.update(zip(op.results, op.evaluate([None if v is None else values[v] for v in op.operands]), strict=True))
        return {v.name: values[v] for v in outputs}

    def check(self, machine: Machine, *outputs: Value, tolerance: float = 1e-5) -> None:
        """The emulator's outputs equal the reference's, relative to the largest magnitude."""
        for op in self.operations:
            if op.opcode.startswith("tpu."):
                assert Bm1684xTarget().supports(op, "F32") is None
        ours = self.run(machine, *outputs)
        for name, want in self.expected(*outputs).items():
            np.testing.assert_allclose(ours[name], want, rtol=0, atol=tolerance * max(1.0, float(np.abs(want).max(initial=0))))


def conv(b: Builder, x: Value, channels: int, kernel: int, stride: int = 1, relu: bool = True, group: int = 1) -> Value:
    """A convolution with random weights and half-kernel pads."""
    inner = x.shape[1] // group
    filters = b.random.standard_normal((channels, inner, kernel, kernel)) / np.sqrt(inner * kernel * kernel)
    return b.op(
        "Conv", x, b.weight(filters), b.weight(b.random.standard_normal(channels)), kernel_shape=(kernel, kernel),
        strides=(stride, stride), pads=(kernel // 2,) * 4, group=group, do_relu=relu,
    )


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    return " ".join("x".join(map(str, s)) for s in shapes)
