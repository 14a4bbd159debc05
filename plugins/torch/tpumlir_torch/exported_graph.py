"""The graph of an exported program, walked node by node."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_torch import scalars
from tpumlir_torch.archive import Archive
from tpumlir_torch.exported import TensorFile, dtype_name, extents, get, items, read_model, text
from tpumlir_torch.program import Machine, Program, ProgramInput
from tpumlir_torch.tensor import Call, Device

_NUMBERS: Mapping[str, float] = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_INLINED = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
"""Regions that change nothing at inference: their graph is part of the whole."""
_DEEPEST = 32


@dataclass(frozen=True)
class _Graph:
    """A graph as an argument of a node: its name and its JSON."""

    name: str
    graph: Any


class ExportedProgram(Program):
    """A program that ``torch.export.save`` wrote."""

    fixed = True

    def __init__(self, archive: Archive) -> None:
        name, model = read_model(archive)
        self._tensors = TensorFile(archive, name)
        self._graph = get(model, "graph_module", "graph")
        signature = get(model, "graph_module", "signature")
        self._specs = items(signature, "input_specs")
        self._outputs = [_output(spec) for spec in items(signature, "output_specs")]
        self._ranges = model.get("range_constraints") or {}
        self.inputs = [self._input(text(spec, "user_input", "arg", "as_tensor", "name")) for spec in self._specs if _is_tensor_input(spec)]

    def _input(self, name: str) -> ProgramInput:
        meta = get(self._graph, "tensor_values", name)
        shape, symbols = extents(get(meta, "sizes"))
        return ProgramInput(name, shape, dtype_name(get(meta, "dtype")), symbols)

    def operators(self) -> Mapping[str, int]:
        return Counter(_operator(text(node, "target"))[0] for node in items(self._graph, "nodes"))

    def run(self, machine: Machine, tensors: Sequence[Any]) -> list[tuple[str, Any]]:
        given = iter(tensors)
        values: dict[str, Any] = {}
        for spec in self._specs:
            name, value = self._bound_input(machine, spec, given)
            values[name] = value
        _Walk(machine, self._graph, values).run(self._graph)
        return [(_output_name(argument), _Walk(machine, self._graph, values).argument(argument)) for argument in self._outputs]

    def _bound_input(self, machine: Machine, spec: Any, given: Any) -> tuple[str, Any]:
        """(name, value) of a graph input: a tensor of the user or of the file, or a number that was fixed at export."""
        kind, entry = _single(spec)
        if kind == "user_input":
            argument = get(entry, "arg")
            if not _is_tensor_input(spec):
                _check_fixed(argument)
                return "", None
            return text(argument, "as_tensor", "name"), next(given)
        if kind == "constant_input":
            return text(entry, "name"), None
        names = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}
        if kind not in names:
            raise UnsupportedError(f"an input of the kind {kind}")
        stored = text(entry, names[kind])
        return text(entry, "arg", "name"), machine.stored(stored, self._tensors.tensor(stored))


def _single(union: Any) -> tuple[str, Any]:
    """The one entry of a JSON union."""
    if not isinstance(union, dict) or len(union) != 1:
        raise InputError("a field of the program holds not exactly one thing; export the model again")
    return next(iter(union.items()))


def _is_tensor_input(spec: Any) -> bool:
    kind, entry = _single(spec)
    return kind == "user_input" and _single(get(entry, "arg"))[0] == "as_tensor"


def _check_fixed(argument: Any) -> None:
    """Raise UnsupportedError for an input that is a number to be given at run time."""
    if _single(argument)[0].startswith("as_sym"):
        raise UnsupportedError("an input that is a number; export the model with it fixed")


def _output(spec: Any) -> Any:
    """The argument of a user's output. Raises UnsupportedError for programs that change their own state."""
    kind, entry = _single(spec)
    if kind in ("buffer_mutation", "parameter_mutation"):
        raise UnsupportedError(f"a change of the model's own state ({next((v for v in entry.values() if isinstance(v, str)), kind)})")
    if kind == "user_input_mutation":
        return {"as_none": True}
    if kind != "user_output":
        raise UnsupportedError(f"an output of the kind {kind}")
    return get(entry, "arg")


def _output_name(argument: Any) -> str:
    kind, value = _single(argument)
    return text(value, "name") if kind == "as_tensor" else ""


def _operator(target: str) -> tuple[str, str]:
    """(``aten::add``, overload) of ``torch.ops.aten.add.Tensor``."""
    parts = target.split(".")
    if target.startswith("torch.ops.") and len(parts) >= 4:
        return f"{parts[2]}::{parts[3]}", ".".join(parts[4:])
    return f"{parts[0].removeprefix('_')}::{parts[-1]}", ""


class _Walk:
    """One walk over a graph: what each name stands for so far."""

    def __init__(self, machine: Machine, whole: Any, values: dict[str, Any], depth: int = 0) -> None:
        self._machine = machine
        self._values = values
        self._depth = depth

    def run(self, graph: Any) -> list[Any]:
        """The outputs of a graph, all its nodes carried out."""
        for node in items(graph, "nodes"):
            self._node(node, graph)
        return [self.argument(argument) for argument in items(graph, "outputs")]

    def argument(self, argument: Any) -> Any:
        """The value of a JSON argument."""
        kind, value = _single(argument)
        match kind:
            case "as_none":
                return None
            case "as_tensor":
                return self._value(text(value, "name"))
            case "as_tensors":
                return [self._value(text(item, "name")) for item in items(argument, kind)]
            case "as_optional_tensor":
                return self.argument(value)
            case "as_sym_ints" | "as_sym_floats" | "as_sym_bools" | "as_optional_tensors":
                return [self.argument(item) for item in items(argument, kind)]
            case "as_sym_int" | "as_sym_float" | "as_sym_bool":
                return self.argument(value)
            case "as_name":
                return self._value(text(argument, "as_name"))
            case "as_float":
                return _NUMBERS.get(value, value) if isinstance(value, str) else value
            case "as_graph":
                return _Graph(text(value, "name"), get(value, "graph"))
        return _plain(kind, value)

    def _value(self, name: str) -> Any:
        if name not in self._values:
            raise InputError(f"tensor '{name}' is made by no node or input")
        return self._values[name]

    def _node(self, node: Any, graph: Any) -> None:
        target = text(node, "target")
        operator, overload = _operator(target)
        outputs = [name for output in items(node, "outputs") for name in _names(output)]
        label = str(node.get("name") or (outputs[0] if outputs else target))
        arguments = [(text(argument, "name"), self.argument(get(argument, "arg"))) for argument in items(node, "inputs")]
        results = self._results(operator, label, outputs, arguments)
        for name, value in zip(outputs, _flat(results, len(outputs)), strict=False):
            self._values[name] = value
            self._check(name, value, graph, label)

    def _results(self, operator: str, label: str, outputs: Sequence[str], arguments: Sequence[tuple[str, Any]]) -> Any:
        """The results of a node: a number, those of a region, or those of an operator on tensors."""
        values = [value for _, value in arguments]
        domain, _, name = operator.partition("::")
        if domain == "higher_order":
            return self._region(name, label, values)
        with suppress(scalars.NoScalarCall):
            if domain in ("operator", "math", "torch"):
                return scalars.computed(self._machine, name, values)
            if domain == "aten" and name in scalars.SHAPES:
                return scalars.shape_of(self._machine, name, values)
        return self._machine.call(Call(operator, (), dict(arguments), tuple(outputs) or (label,), label))

    def _region(self, name: str, label: str, values: Sequence[Any]) -> Any:
        """A region with a graph of its own that is inlined."""
        place = next((i for i, value in enumerate(values) if isinstance(value, _Graph)), None)
        if name not in _INLINED or place is None:
            raise UnsupportedError(f"higher_order::{name} (node {label})")
        if self._depth > _DEEPEST:
            raise InputError(f"node {label}: regions lie too deep in each other")
        inner = values[place].graph
        names = [name for argument in items(inner, "inputs") for name in _names(argument)]
        return _Walk(self._machine, inner, dict(zip(names, values[place + 1 :], strict=False)), self._depth + 1).run(inner)

    def _check(self, name: str, value: Any, graph: Any, label: str) -> None:
        """Raise InputError where a tensor is not as the program declares it: it was read wrongly, or made for other shapes."""
        meta = get(graph, "tensor_values").get(name)
        if meta is None or not self._machine.is_tensor(value):
            return
        declared, made = extents(get(meta, "sizes"))[0], self._machine.shape(value)
        if len(declared) != len(made) or any(d is not None and d != m for d, m in zip(declared, made, strict=True)):
            shown = str(["?" if d is None else d for d in declared]).replace("'", "")
            raise InputError(f"node {label}: tensor '{name}' has shape {list(made)}, but the program was exported for {shown}")


def _names(argument: Any) -> list[str]:
    """What an output argument calls its tensors or numbers."""
    kind, value = _single(argument)
    if kind in ("as_tensors", "as_optional_tensors"):
        return [text(item, "name") if kind == "as_tensors" else _names(item)[0] for item in items(argument, kind)]
    if kind in ("as_tensor", "as_custom_obj"):
        return [text(value, "name")]
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return [text(value, "as_name")]
    return [""] if kind == "as_none" else []


def _flat(results: Any, count: int) -> list[Any]:
    """One result for each output name."""
    if not isinstance(results, (list, tuple)):
        return [results]
    if count > len(results):
        raise InputError(f"a node has {count} outputs, but its operator gives {len(results)}")
    return list(results)


def _plain(kind: str, value: Any) -> Any:
    """Numbers, text and the like, checked to be what they claim."""
    wanted: Mapping[str, Any] = {"as_int": int, "as_bool": bool, "as_string": str}
    lists: Mapping[str, Any] = {"as_ints": int, "as_floats": (int, float, str), "as_bools": bool, "as_strings": str}
    if kind in wanted and isinstance(value, wanted[kind]) and isinstance(value, bool) == (kind == "as_bool"):
        return value
    if kind in lists and isinstance(value, list) and all(isinstance(item, lists[kind]) for item in value):
        return [_NUMBERS.get(item, item) if kind == "as_floats" else item for item in value]
    if kind == "as_scalar_type":
        return dtype_name(value)
    if kind == "as_device":
        return Device(text(value, "type"))
    if kind in ("as_memory_format", "as_layout"):
        return None
    if kind == "as_int_lists" and isinstance(value, list):
        return value
    raise UnsupportedError(f"an argument of the kind {kind}")
