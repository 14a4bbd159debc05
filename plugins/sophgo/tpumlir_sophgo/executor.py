"""Running a Tpu module on the host with the chips' arithmetic, operation by operation.

Quantized products are exact in integers. Everything else is done as the chips do it: operands converted to F32, the operation in
F32, results converted to what is stored; in 16 bits more than results is rounded (``narrow``). What depends on how a chip calculates
(approximated functions, orders of sums) its plugin may bring; else it is calculated exactly, and may differ in the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tpumlir_core.interpreter import matched_inputs, network_inputs
from tpumlir_core.ir import Array, ElementType, Module, Operation, Value
from tpumlir_core.ir.storage import to_real, to_stored
from tpumlir_core.ir.top import Input, Weight
from tpumlir_core.plugins.extension_points import Executor
from tpumlir_sophgo.narrow import evaluate_narrow


class SophgoExecutor(Executor):
    """The arithmetic that the chips of the family share."""

    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        fed = matched_inputs(module, _stored(module, inputs))
        last = _last_uses(module)
        arrays: dict[Value, Array] = {}
        kept: dict[str, Array] = {}
        for index, operation in enumerate(module.function.operations):
            found = self._execute(module, operation, arrays, fed)
            for value, array in zip(operation.results, found, strict=True):
                arrays[value] = array
                if not isinstance(operation, Weight):
                    kept[value.name] = array
            for value in last.get(index, ()):
                arrays.pop(value, None)
        return kept

    def depending(self, module: Module, operation: Operation, operands: Sequence[Array | None]) -> list[Array] | None:
        """The results as F32, before they are stored, where they depend on how the chip calculates; None for any other operation."""
        return None

    def _execute(self, module: Module, operation: Operation, arrays: Mapping[Value, Array], fed: Mapping[str, Array]) -> Sequence[Array]:
        """The results as stored."""
        if isinstance(operation, Input):
            return [fed[operation.name]]
        if isinstance(operation, Weight):
            return [module.weights[operation.name].reshape(operation.output.shape)]
        operands = [None if value is None else arrays[value] for value in operation.operands]
        if operation.stored:
            return operation.evaluate(operands)
        real = [None if v is None or a is None else to_real(a, v.type) for v, a in zip(operation.operands, operands, strict=True)]
        found = self.depending(module, operation, real) or evaluate_narrow(operation, real) or operation.evaluate(real)
        return [to_stored(array, value.type) for value, array in zip(operation.results, found, strict=True)]


def _stored(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Real numbers for an input that is quantized, or BF16, as results are stored; what is no float is stored so already."""
    types = {value.name: value.type for value in network_inputs(module)}
    narrowed = {name for name, type in types.items() if type.quantization is not None or type.element is ElementType.BF16}
    real = {name for name, array in inputs.items() if name in narrowed and array.dtype.kind == "f"}
    return {name: to_stored(array, types[name]) if name in real else array for name, array in inputs.items()}


def _last_uses(module: Module) -> dict[int, list[Value]]:
    """Values by the position of the operation after which nobody needs them."""
    last: dict[Value, int] = {}
    for index, operation in enumerate(module.function.operations):
        last.update((value, index) for value in operation.operands if value is not None)
    found: dict[int, list[Value]] = {}
    for value, index in last.items():
        found.setdefault(index, []).append(value)
    return found
