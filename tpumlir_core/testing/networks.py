"""Small Top networks, and what a module computes by the core's reference."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, Function, Module, Operation, Value
from tpumlir_core.ir.tpu import lowered_class
from tpumlir_core.testing.cases import Batch, Case, Operand, batch

KEPT = ("top.Input", "top.Weight")
"""Operations that stay Top operations after lowering."""


def small_networks() -> dict[str, Batch]:
    """Networks that most plugins can do, by name, with inputs."""
    image, filters = Operand((1, 3, 6, 5)), Operand((4, 3, 3, 3), -1, 1, weight=True)
    window = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
    return {
        "a ReLU": batch([Case("Relu", (Operand((2, 5)),))]),
        "a convolution": batch([Case("Conv", (image, filters, Operand((4,), weight=True)), window)]),
        "a sum and a product": batch([Case("Add", (image, image)), Case("MatMul", (Operand((3, 5)), Operand((5, 4), weight=True), None))]),
    }


def reference(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The network's outputs by the core's reference."""
    arrays = NumpyInterpreter().run(module, inputs)
    return {value.name: arrays[value.name] for value in module.function.outputs}


def mirrored(module: Module, chip: str, mode: str) -> Module:
    """Every Top operation as the Tpu operation of the same name, types kept: lowering to F32 in its plainest form."""
    new: dict[Value, Value] = {}
    operations: list[Operation] = []
    for operation in module.function.operations:
        kind = type(operation) if operation.opcode in KEPT else lowered_class(operation)
        operands = [None if value is None else new[value] for value in operation.operands]
        operations.append(kind.create(operands, [(r.name, r.type) for r in operation.results], **operation.attributes()))
        new.update(zip(operation.results, operations[-1].results, strict=True))
    function = Function(module.function.name, operations, [new[value] for value in module.function.outputs])
    attributes = {**module.attributes, "module.state": "TPU_LOWERED", "module.chip": chip, "module.mode": mode}
    return Module(module.name, function, module.weights, attributes)
