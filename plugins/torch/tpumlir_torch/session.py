"""Runs the source model in PyTorch, call by call, every intermediate tensor kept under the names of the Top module.

The program is the one that was read here: PyTorch's own loaders, which may unpickle what an archive holds, never see the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import AbsentFrameworkError, InputError
from tpumlir_core.importing import one_line
from tpumlir_core.ir import Array, ElementType, TensorType, Value
from tpumlir_core.ir.operator_lookup import source_attributes
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_torch.custom import split_arguments
from tpumlir_torch.dtypes import SCRIPT_DTYPES
from tpumlir_torch.frontend import import_program
from tpumlir_torch.importer import FRONTEND
from tpumlir_torch.model import open_program
from tpumlir_torch.program import Program
from tpumlir_torch.storages import Stored
from tpumlir_torch.tensor import Call, Device

INSTALL = "pip install 'tpumlir-torch[framework]'"


def framework() -> Any:
    """The module torch. Raises AbsentFrameworkError where it is not installed."""
    try:
        import torch
    except ImportError:
        raise AbsentFrameworkError(f"running it needs PyTorch, which is not installed: {INSTALL}") from None
    return torch


def run_source(path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
    """Name in the Top module -> array, as PyTorch computes it; floats and booleans as float32."""
    return next(run_source_each(path, [inputs], options, everything=True))


def run_source_each(
    path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions, everything: bool = False
) -> Iterator[dict[str, Array]]:
    """The outputs in the Top module, by name, for each sample, or ``everything``; the model is read once."""
    torch = framework()
    program = open_program(path)
    module, importer = import_program(program, options, "network")
    kept = {value.name for operation in module.function.operations for value in operation.results}
    outputs = [value.name for value in module.function.outputs]
    for inputs in samples:
        feeds = _feeds(program, module.function.operations, inputs)
        machine = TorchMachine(torch, importer.made, kept if everything else set(outputs), options)
        with torch.no_grad():
            results = program.run(machine, [machine.given(array, i.dtype) for array, i in zip(feeds, program.inputs, strict=True)])
        found = dict(machine.tensors)
        if not options.output_names:
            tensors = [tensor for _, tensor in results if tensor is not None]
            found |= {name: plain(tensor) for name, tensor in zip(outputs, tensors, strict=True)}
        found |= {name: np.asarray(inputs[name], np.float32) for name in outputs if name in inputs and name not in found}
        yield found


def _feeds(program: Program, operations: Sequence[Any], inputs: Mapping[str, Array]) -> list[Array]:
    """The arrays of all inputs, in their order."""
    declared = [operation.output for operation in operations if operation.opcode == "top.Input"]
    missing = [value.name for value in declared if value.name not in inputs]
    if missing:
        raise InputError(f"inputs {', '.join(missing)} are missing; the model takes {', '.join(value.name for value in declared)}")
    return [np.asarray(inputs[value.name]).reshape(value.shape) for value in declared]


class TorchMachine:
    """Carries out a program in PyTorch. ``names`` are those that each call's results have in the Top module, ``kept`` the wanted ones."""

    def __init__(self, torch: Any, names: Sequence[Sequence[str]], kept: set[str], options: ImportOptions) -> None:
        self.tensors: dict[str, Array] = {}
        self._torch = torch
        self._names = names
        self._kept = kept
        self._operators = options.operators
        self._count = 0

    def given(self, array: Array, dtype: str) -> Any:
        """An input of the network."""
        return self._torch.from_numpy(np.array(array)).to(getattr(self._torch, dtype))

    def stored(self, name: str, stored: Stored) -> Any:
        """A tensor of the model file."""
        return self._torch.from_numpy(np.array(stored.array)).to(getattr(self._torch, stored.dtype))

    def shape(self, tensor: Any) -> tuple[int, ...]:
        """The extents of a tensor."""
        return tuple(tensor.shape)

    def dtype(self, tensor: Any) -> str:
        """The element type of a tensor."""
        return str(tensor.dtype).removeprefix("torch.")

    def number(self, tensor: Any) -> bool | int | float:
        """The only element of a tensor."""
        found: bool | int | float = tensor.item()
        return found

    def is_tensor(self, value: Any) -> bool:
        """Whether a value is one of PyTorch's tensors."""
        return isinstance(value, self._torch.Tensor)

    def call(self, call: Call) -> Any:
        """The results of an operator, those that are wanted copied at once, since what follows may change them."""
        results = self._computed(call)
        flat = [t for t in _flat(results) if self.is_tensor(t)]
        names = self._names[self._count] if self._count < len(self._names) else ()
        self._count += 1
        for name, tensor in zip(names, flat, strict=False):
            if name in self._kept and name not in self.tensors:
                self.tensors[name] = plain(tensor)
        return results

    def _computed(self, call: Call) -> Any:
        kind = self._operators.by_source(FRONTEND, call.operator)
        if kind is not None:
            return self._custom(kind, call)
        domain, _, name = call.operator.partition("::")
        if name == "NumToTensor":
            return self._torch.tensor(*call.arguments)
        if call.operator == "aten::tensor":
            return self._torch.tensor(call.arguments[0], dtype=self._argument(call.named.get("dtype"), "dtype"))
        try:
            packet = getattr(getattr(self._torch.ops, domain), name)
            return packet(*(self._argument(v) for v in call.arguments), **{k: self._argument(v, k) for k, v in call.named.items()})
        except (RuntimeError, AttributeError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"node {call.label} ({call.operator}): {one_line(str(error))[:200]}") from None

    def _argument(self, value: Any, name: str = "") -> Any:
        """An argument as PyTorch's Python side takes it."""
        if isinstance(value, Device):
            return self._torch.device("cpu")
        if name == "dtype" and value is not None:
            return getattr(self._torch, SCRIPT_DTYPES.get(value, "float32") if isinstance(value, int) else value)
        return value

    def _custom(self, kind: Any, call: Call) -> Any:
        """A custom operator by its reference."""
        operands, attributes = split_arguments(kind, call)
        arrays = [None if t is None else plain(t) for t in operands]
        values = [None if array is None else Value(f"operand{i}", _type_of(array)) for i, array in enumerate(arrays)]
        given = source_attributes(kind, FRONTEND, attributes)
        types = kind(**given).infer([None if value is None else value.type for value in values])
        operation = kind.create(values, [(f"result{i}", type_) for i, type_ in enumerate(types)], **given)
        arrays = operation.evaluate(arrays)
        results = [self._torch.from_numpy(np.array(array)) for array in arrays]
        return results[0] if len(results) == 1 else results


def _type_of(array: Array) -> TensorType:
    return TensorType(array.shape, ElementType.F32 if array.dtype.kind == "f" else ElementType.SI32)


def _flat(value: Any) -> list[Any]:
    return [item for part in value for item in _flat(part)] if isinstance(value, (list, tuple)) else [value]


def plain(tensor: Any) -> Array:
    """A tensor as an array of float32, or of integers as they are."""
    array: Array = tensor.detach().to("cpu").float().numpy() if tensor.dtype.is_floating_point else tensor.detach().cpu().numpy()
    return array.astype(np.float32) if array.dtype.kind in "fb" else np.array(array)

