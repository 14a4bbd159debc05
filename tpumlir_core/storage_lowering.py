"""Lowering to mixed element types, for quantizers: operations in the types they are asked in, conversions where those meet.

A quantizer walks a Top module in order and says, operation by operation, what class of Tpu operation it becomes and how each
operand and result is stored; ``StorageLowering`` finds or makes the operands so stored. A conversion is a ``tpu.Cast`` named after
its operand (``x_f16``, ``x_si8``), made once for all users. Outputs of the network keep their names and types: what makes
one in another type gets the suffix instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tpumlir_core.ir import ElementType, Function, Module, Operation, Quantization, TensorType, Value
from tpumlir_core.ir.operation import operation_class
from tpumlir_core.ir.top import Weight
from tpumlir_core.passes import EliminateDead


@dataclass(frozen=True)
class Storage:
    """How a tensor is stored."""

    element: ElementType
    quantization: Quantization | None = None

    @classmethod
    def of(cls, value: Value) -> Storage:
        return cls(value.type.element, value.type.quantization)


class StorageLowering:
    """A Tpu module in the making. ``external``: how outputs are stored, by position; the others as the Top module has them."""

    def __init__(self, module: Module, external: dict[int, Storage] | None = None) -> None:
        self._module = module
        self._new: dict[Value, Value] = {}
        self._casts: dict[tuple[Value, Storage], Value] = {}
        self._operations: list[Operation] = []
        self._names = {value.name for value in module.function.values()}
        asked = external or {}
        self._outputs = {value: asked.get(i, Storage.of(value)) for i, value in enumerate(module.function.outputs)}

    def keep(self, operation: Operation, storage: Storage | None = None) -> None:
        """An input or a weight as it is, or an input that is fed as ``storage`` says."""
        self.add(operation, type(operation), [], [storage or Storage.of(value) for value in operation.results])

    def add(
        self, operation: Operation, kind: type[Operation], operands: Sequence[Storage | None], results: Sequence[Storage], **more: Any
    ) -> Operation:
        """Append what an operation becomes. ``operands``: how each is wanted (None: absent, or as it is)."""
        wanted = [*operands, *[None] * (len(operation.operands) - len(operands))]
        values = [v if v is None else self.operand(v, storage) for v, storage in zip(operation.operands, wanted, strict=True)]
        return self._add(operation, kind, values, results, {**operation.attributes(), **more})

    def replace(
        self, operation: Operation, kind: type[Operation], operands: Sequence[Storage], results: Sequence[Storage], rest: Sequence[Value],
        first: Sequence[Value] = (),
    ) -> Operation:
        """The same with the first operands only (or ``first`` in their place), followed by values of the new module (``weight``).

        Attributes that ``kind`` has not are left out.
        """
        first = first or [v for v in operation.operands[: len(operands)] if v is not None]
        values = [self.operand(v, storage) for v, storage in zip(first, operands, strict=True)]
        declared = {f.name for f in fields(kind)}  # type: ignore[arg-type]
        kept = {name: value for name, value in operation.attributes().items() if name in declared}
        return self._add(operation, kind, [*values, *rest], results, kept)

    def _add(
        self, operation: Operation, kind: type[Operation], values: Sequence[Value | None], results: Sequence[Storage],
        attributes: Mapping[str, Any],
    ) -> Operation:
        types = []
        for value, storage in zip(operation.results, results, strict=True):
            name = value.name
            if self._outputs.get(value, storage) != storage:
                name = self._unused(f"{name}_{storage.element.value}")
            types.append((name, value.type.with_storage(storage.element, storage.quantization)))
        made = kind.create(values, types, **attributes)
        self.append(made)
        self._new.update(zip(operation.results, made.results, strict=True))
        return made

    def append(self, operation: Operation) -> None:
        """Append a Tpu operation (a weight, ...) that stands for none of the Top module's."""
        self._operations.append(operation)

    def weight(self, name: str, array: Any, element: ElementType) -> Value:
        """A new weight of the module, named ``name`` where that is free."""
        name = self._unused(name)
        self._module.weights[name] = array
        made = Weight.create([], [(name, TensorType(tuple(array.shape), element))])
        self.append(made)
        return made.output

    def operand(self, value: Value, storage: Storage | None) -> Value:
        """What a value of the Top module became, stored as asked."""
        there = self._new[value]
        if storage is None or Storage.of(there) == storage:
            return there
        key = (value, storage)
        if key not in self._casts:
            self._casts[key] = self._cast(there, self._unused(f"{value.name}_{storage.element.value}"), storage)
        return self._casts[key]

    def finish(self, chip: str, mode: str) -> Module:
        """The module; conversions of outputs come last. The weights that others took the place of are gone."""
        outputs = []
        for value, storage in self._outputs.items():
            there = self._new[value]
            outputs.append(there if Storage.of(there) == storage else self._cast(there, value.name, storage))
        old = self._module.function
        found = dict(zip(self._outputs, outputs, strict=True))
        function = Function(old.name, self._operations, [found[value] for value in old.outputs])
        attributes = {**self._module.attributes, "module.state": "TPU_LOWERED", "module.chip": chip, "module.mode": mode}
        module = Module(self._module.name, function, self._module.weights, attributes)
        EliminateDead().run(module)
        return module

    def _cast(self, value: Value, name: str, storage: Storage) -> Value:
        kind = operation_class("tpu.Cast")
        assert kind is not None
        made = kind.create([value], [(name, value.type.with_storage(storage.element, storage.quantization))])
        self.append(made)
        return made.output

    def _unused(self, name: str) -> str:
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}_{count}"
        self._names.add(found)
        return found
