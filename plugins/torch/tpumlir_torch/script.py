"""TorchScript programs, carried out statement by statement: modules inlined, numbers computed, branches and loops decided."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_torch.archive import Archive
from tpumlir_torch.program import Machine, Program, ProgramInput
from tpumlir_torch.script_calls import Calls, Path, Uninitialized
from tpumlir_torch.script_file import Parameter, ScriptFile, ScriptObject

_MOST_STEPS = 1 << 21
"""Statements of one walk: loops over shapes and lists end long before."""
_DEEPEST_CALL = 60
_ROOTS = ("torch", "ops", "CONSTANTS", "__torch__")
_CONSTANTS: Mapping[str, float] = {"inf": math.inf, "nan": math.nan}


class Returned(Exception):
    """A ``return`` on its way out of a function."""

    def __init__(self, value: Any) -> None:
        self.value = value


class ScriptProgram(Program):
    """A program that ``torch.jit.save`` wrote."""

    fixed = False

    def __init__(self, archive: Archive) -> None:
        self._file = ScriptFile(archive)
        method = self._file.method(self._file.module.class_name, "forward")
        if method is None:
            raise InputError("its module has no method 'forward'; save a traced or scripted module")
        self._forward = method
        traced = iter(self._file.traced_inputs())
        self.inputs = []
        for name in self._tensor_arguments():
            example = next(traced, None)
            self.inputs.append(ProgramInput(name, example.shape if example else None, example.dtype if example else "float32"))

    def _tensor_arguments(self) -> list[str]:
        """The arguments without a default, all of which must be tensors."""
        arguments = self._forward.args.args[1:]
        given = arguments[: len(arguments) - len(self._forward.args.defaults)]
        for argument in given:
            kind = ast.unparse(argument.annotation) if argument.annotation else "Tensor"
            if kind not in ("Tensor", "Optional[Tensor]"):
                raise UnsupportedError(f"an input '{argument.arg}' of the type {kind}")
        return [argument.arg for argument in given]

    def operators(self) -> Mapping[str, int]:
        calls = [node.func for text in self._file.texts() for node in ast.walk(text) if isinstance(node, ast.Call)]
        names = [ast.unparse(call) for call in calls if isinstance(call, ast.Attribute)]
        return Counter(f"aten::{name.removeprefix('torch.')}" for name in names if name.startswith("torch."))

    def run(self, machine: Machine, tensors: Sequence[Any]) -> list[tuple[str, Any]]:
        walk = _Walk(self._file, machine)
        try:
            result = walk.method(self._file.module, "forward", tensors, {})
        except RecursionError:
            raise InputError("its statements lie too deep in each other") from None
        return _flat("", result)


def _flat(name: str, result: Any) -> list[tuple[str, Any]]:
    """All tensors of a result, those of tuples, lists and dictionaries in order."""
    if isinstance(result, (list, tuple)):
        return [pair for item in result for pair in _flat(name, item)]
    if isinstance(result, dict):
        return [pair for key, item in result.items() for pair in _flat(str(key), item)]
    return [(name, result)]


class _Walk:
    """One run of a program."""

    def __init__(self, file: ScriptFile, machine: Machine) -> None:
        self._file = file
        self._machine = machine
        self._calls = Calls(machine)
        self._steps = 0
        self._depth = 0
        self._scope = ""

    # --- functions --------------------------------------------------------------------------------------------------
    def method(self, target: ScriptObject, name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """The result of a method; what it computes is named after the module."""
        definition = self._file.method(target.class_name, name)
        if definition is None:
            raise UnsupportedError(f"{target.class_name} without a method '{name}'")
        previous, self._scope = self._scope, target.path
        try:
            return self._function(definition, [target, *arguments], named)
        finally:
            self._scope = previous

    def _function(self, definition: ast.FunctionDef, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        if self._depth >= _DEEPEST_CALL:
            raise InputError(f"function '{definition.name}' is called in itself too often")
        self._depth += 1
        try:
            self._block(definition.body, self._bound(definition, arguments, named))
        except Returned as returned:
            return returned.value
        finally:
            self._depth -= 1
        return None

    def _bound(self, definition: ast.FunctionDef, arguments: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        parameters = [argument.arg for argument in definition.args.args]
        defaults = definition.args.defaults
        values = {name: self._value(node, {}) for name, node in zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True)}
        values |= dict(zip(parameters, arguments, strict=False)) | dict(named)
        if len(arguments) > len(parameters) or set(values) != set(parameters):
            raise InputError(f"function '{definition.name}' is called with arguments that it does not have")
        return values

    # --- statements -------------------------------------------------------------------------------------------------
    def _block(self, statements: Sequence[ast.stmt], values: dict[str, Any]) -> None:
        for statement in statements:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise InputError("its loops take too many steps")
            self._statement(statement, values)

    def _statement(self, statement: ast.stmt, values: dict[str, Any]) -> None:
        match statement:
            case ast.Assign(targets=[target], value=value):
                self._assign(target, self._value(value, values), values)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self._value(value, values), values)
            case ast.Expr(value=value):
                self._value(value, values)
            case ast.If(test=test, body=body, orelse=otherwise):
                self._block(body if self._truth(test, values) else otherwise, values)
            case ast.For(target=target, iter=iterable, body=body):
                for item in self._items(self._value(iterable, values)):
                    self._assign(target, item, values)
                    self._block(body, values)
            case ast.While(test=test, body=body):
                while self._truth(test, values):
                    self._block(body, values)
            case ast.Return(value=value):
                raise Returned(None if value is None else self._value(value, values))
            case ast.Pass() | ast.AnnAssign():
                pass
            case _:
                raise UnsupportedError(f"a statement '{ast.unparse(statement)[:60]}'")

    def _truth(self, test: ast.expr, values: dict[str, Any]) -> bool:
        value = self._value(test, values)
        if self._machine.is_tensor(value):
            value = self._decided(value, f"a branch or loop on the input's data ({ast.unparse(test)[:60]}")
        return bool(value)

    def _decided(self, tensor: Any, what: str) -> Any:
        try:
            return self._machine.number(tensor)
        except UnsupportedError as error:
            raise UnsupportedError(f"{what}, in {self._scope or 'the model'})") from error

    def _items(self, value: Any) -> list[Any] | range:
        if isinstance(value, range):
            return value
        if not isinstance(value, (list, tuple)):
            raise UnsupportedError("a loop over what is no list")
        return list(value)

    def _assign(self, target: ast.expr, value: Any, values: dict[str, Any]) -> None:
        match target:
            case ast.Name(id=name):
                values[name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts = self._unpacked(value, len(targets))
                for part, item in zip(targets, parts, strict=True):
                    self._assign(part, item, values)
            case ast.Attribute(value=owner, attr=name):
                holder = self._value(owner, values)
                if not isinstance(holder, ScriptObject):
                    raise UnsupportedError(f"a change of '{ast.unparse(target)}'")
                holder.attributes[name] = value
            case _:
                raise UnsupportedError(f"a change of '{ast.unparse(target)[:60]}'")

    def _unpacked(self, value: Any, count: int) -> Sequence[Any]:
        if not isinstance(value, (list, tuple)) or len(value) != count:
            raise InputError(f"{count} values are taken from {len(value) if isinstance(value, (list, tuple)) else 'what is no list'}")
        return value

    # --- expressions ------------------------------------------------------------------------------------------------
    def _value(self, node: ast.expr, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.Name(id=name):
                return self._name(name, values)
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._calls.function("neg", [self._value(operand, values)])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._truth(operand, dict(values))
            case ast.Tuple(elts=parts):
                return tuple(self._value(part, values) for part in parts)
            case ast.List(elts=parts):
                return [self._value(part, values) for part in parts]
            case ast.Dict(keys=keys, values=parts):
                return {self._value(k, values): self._value(v, values) for k, v in zip(keys, parts, strict=True) if k is not None}
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self._value(body if self._truth(test, dict(values)) else otherwise, values)
            case ast.Attribute(value=owner, attr=name):
                return self._attribute(self._value(owner, values), name)
            case ast.Subscript(value=owner, slice=index):
                return self._calls.item(self._value(owner, values), self._value(index, values))
            case ast.Call():
                return self._call(node, values)
        raise UnsupportedError(f"an expression '{ast.unparse(node)[:60]}'")

    def _name(self, name: str, values: Mapping[str, Any]) -> Any:
        if name in values:
            value = values[name]
            if isinstance(value, Uninitialized):
                raise InputError(f"variable '{name}' is read where nothing has set it")
            return value
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        return Path(name)

    def _attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Path):
            return self._constant(name) if owner.name == "CONSTANTS" else Path(f"{owner.name}.{name}")
        if isinstance(owner, ScriptObject):
            if name not in owner.attributes:
                raise InputError(f"module '{owner.path}' has no attribute '{name}'")
            return self._loaded(owner.attributes[name])
        if isinstance(owner, tuple) and hasattr(owner, "_fields"):
            return getattr(owner, name)
        raise UnsupportedError(f"an attribute '{name}' of what is no module")

    def _constant(self, name: str) -> Any:
        place = int(name[1:]) if name[1:].isdecimal() and len(name) < 12 else -1
        if not isinstance(self._file.constants, (tuple, list)) or not 0 <= place < len(self._file.constants):
            raise InputError(f"constant '{name}' is missing")
        return self._loaded(self._file.constants[place])

    def _loaded(self, value: Any) -> Any:
        """A tensor of the file as the machine's; one machine, one tensor."""
        if isinstance(value, Parameter):
            if value.loaded is None or value.loaded[0] is not self._machine:
                value.loaded = (self._machine, self._machine.stored(value.name, value.stored))
            return value.loaded[1]
        if isinstance(value, (list, tuple)) and any(isinstance(item, Parameter) for item in value):
            return [self._loaded(item) for item in value]
        return value

    def _call(self, node: ast.Call, values: Mapping[str, Any]) -> Any:
        if isinstance(node.func, ast.Attribute):
            owner = self._value(node.func.value, values)
            target: Any = owner if isinstance(owner, ScriptObject) else self._attribute(owner, node.func.attr)
        else:
            owner, target = None, self._value(node.func, values)
        if isinstance(target, Path) and target.name in _TYPED:
            return self._typed(target.name, node.args, values)
        arguments = [self._value(argument, values) for argument in node.args]
        named = {keyword.arg: self._value(keyword.value, values) for keyword in node.keywords if keyword.arg}
        if isinstance(target, ScriptObject):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else "forward"
            return self.method(target, name, arguments, named)
        if not isinstance(target, Path):
            raise UnsupportedError(f"a call of '{ast.unparse(node.func)[:60]}'")
        return self._path_call(target.name, arguments, named)

    def _typed(self, name: str, arguments: Sequence[ast.expr], values: Mapping[str, Any]) -> Any:
        """Forms whose first argument is a type."""
        if name == "uninitialized":
            return Uninitialized()
        if name == "getattr" and len(arguments) == 2:
            attribute = self._value(arguments[1], values)
            return self._attribute(self._value(arguments[0], values), str(attribute))
        if len(arguments) != 2:
            raise InputError(f"{name} is called with {len(arguments)} arguments")
        return self._value(arguments[1], values)

    def _path_call(self, name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        if not name.startswith("__torch__."):
            return self._calls.call(name, arguments, named, self._scope)
        definition = self._file.definition(name)
        if isinstance(definition, ast.FunctionDef):
            return self._function(definition, arguments, named)
        if isinstance(definition, ast.ClassDef) and [ast.unparse(base) for base in definition.bases] == ["NamedTuple"]:
            return tuple(arguments)
        raise UnsupportedError(f"a call of '{name}'")


_TYPED = ("annotate", "unchecked_cast", "uninitialized", "getattr")
