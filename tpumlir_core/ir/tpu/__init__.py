"""The Tpu dialect: operations after lowering.

Every Top operation has a Tpu operation of the same name, operands, attributes and reference semantics; what lowering
adds lies in the value types (storage element, quantization). Operations that exist only after lowering are declared in the
modules of this package.
"""

from __future__ import annotations

from tpumlir_core.ir import top as _top  # noqa: F401  (declares the Top operations)
from tpumlir_core.ir.operation import Operation, op, operation_class, registered_operations
from tpumlir_core.ir.tpu.quantized import Lookup, QuantizedConv, QuantizedMatMul, QuantizedScale, requantize

_SHARED = {"top.Input", "top.Weight"}  # stay Top operations after lowering


def _mirror(source: type[Operation]) -> type[Operation]:
    mirrored = type(source.__name__, (source,), {"__doc__": source.__doc__, "__annotations__": {}, "__module__": __name__})
    operands = ",".join(s.name + "?" * s.optional + "*" * s.variadic for s in source.operand_specs)
    return op(source.opcode.replace("top.", "tpu."), operands, ",".join(source.result_names))(mirrored)


for _name, _source in registered_operations().items():
    if _name.startswith("top.") and _name not in _SHARED:
        _mirror(_source)


def lowered_class(source: Operation) -> type[Operation]:
    """The Tpu class that a Top operation becomes when nothing but its dialect changes; a custom operator stays what it is."""
    if not source.opcode.startswith("top."):
        return type(source)
    found = operation_class(source.opcode.replace("top.", "tpu."))
    assert found is not None, source.opcode
    return found

__all__ = ["Lookup", "QuantizedConv", "QuantizedMatMul", "QuantizedScale", "lowered_class", "requantize"]
