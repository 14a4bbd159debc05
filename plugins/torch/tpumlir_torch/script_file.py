"""Reads TorchScript archives (``torch.jit.save``): program text, and the objects that a pickle describes, as plain data."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_torch.archive import Archive
from tpumlir_torch.dtypes import STORAGES
from tpumlir_torch.pickles import Global, Made, read_pickle
from tpumlir_torch.storages import StorageReader, Stored, integers, is_tensor

_CODE = "code/"
_DEEPEST = 200
_TAGGED = "torch.jit._pickle."


@dataclass(eq=False)
class ScriptObject:
    """A module of the model: its class, its place among the modules ("" for the whole), its attributes."""

    class_name: str
    path: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Parameter:
    """A tensor of the file, and what the model calls it; the machine's tensor once there is one."""

    name: str
    stored: Stored
    loaded: Any = None


@dataclass(frozen=True)
class TracedInput:
    """Shape and type of an example input, which traced models remember."""

    shape: tuple[int, ...]
    dtype: str


def is_script(archive: Archive) -> bool:
    """Whether an archive holds a TorchScript program."""
    return "data.pkl" in archive and any(name.startswith(_CODE) for name in archive.members)


class ScriptFile:
    """The parts of a TorchScript archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._trees: dict[str, Mapping[str, ast.stmt]] = {}
        self.module = self._objects("data")
        if not isinstance(self.module, ScriptObject):
            raise InputError("it holds no module; save a traced or scripted module with torch.jit.save")
        self.constants = self._objects("constants") if "constants.pkl" in archive else ()

    def _objects(self, name: str) -> Any:
        reader = StorageReader(self._archive, f"{name}/")
        return _Builder(reader, "CONSTANTS.c" if name == "constants" else "").value(read_pickle(self._archive.read(f"{name}.pkl")), "", 0)

    def definition(self, qualified: str) -> ast.stmt | None:
        """The class or function of a qualified name as ``__torch__.torch.nn.functional.relu``, None where there is none."""
        unit, _, name = qualified.rpartition(".")
        path = f"{_CODE}{unit.replace('.', '/')}.py"
        if path not in self._archive:
            return None
        if unit not in self._trees:
            self._trees[unit] = {node.name: node for node in _parsed(self._archive.read(path), path) if isinstance(node, _DEFINITIONS)}
        return self._trees[unit].get(name)

    def method(self, class_name: str, name: str) -> ast.FunctionDef | None:
        """A method of a class."""
        definition = self.definition(class_name)
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)

    def texts(self) -> list[ast.stmt]:
        """All definitions, for counting what they call."""
        return [node for path in self._archive.names(".py") for node in _parsed(self._archive.read(path), path)]

    def traced_inputs(self) -> list[TracedInput]:
        """What a traced model was traced with; nothing for a scripted one."""
        if "traced_inputs.pkl" not in self._archive:
            return []
        methods = _untagged(read_pickle(self._archive.read("traced_inputs.pkl")))
        given = _untagged(methods.get("forward")) if isinstance(methods, dict) else None
        tensors = given if isinstance(given, (list, tuple)) else ()
        return [_traced(tensor) for tensor in tensors if is_tensor(tensor)]


_DEFINITIONS = (ast.ClassDef, ast.FunctionDef)


def _untagged(value: Any) -> Any:
    """What a typed list or dictionary holds."""
    if isinstance(value, Made) and str(value.maker).startswith(_TAGGED) and isinstance(value.arguments, tuple) and value.arguments:
        return value.arguments[0]
    return value


def _parsed(text: bytes, path: str) -> list[ast.stmt]:
    try:
        return ast.parse(text.decode()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"its part '{path}' is damaged ({type(error).__name__}); save the model again") from None


def _traced(made: Made) -> TracedInput:
    arguments = made.arguments if isinstance(made.arguments, tuple) else ()
    key = getattr(arguments[0], "key", None) if len(arguments) > 3 else None
    storage = key[1].name if isinstance(key, tuple) and len(key) > 1 and isinstance(key[1], Global) else ""
    return TracedInput(integers(arguments[2]) if len(arguments) > 3 else (), STORAGES.get(storage, "float32"))


class _Builder:
    """Turns a pickle's data into modules, parameters, lists and numbers; what is one object stays one."""

    def __init__(self, reader: StorageReader, prefix: str) -> None:
        self._reader = reader
        self._prefix = prefix
        self._made: dict[int, Any] = {}

    def value(self, data: Any, path: str, depth: int) -> Any:
        if depth > _DEEPEST:
            raise InputError("damaged pickle (its objects lie too deep in each other)")
        if isinstance(data, Made):
            if id(data) not in self._made:
                self._made[id(data)] = self._object(data, path, depth)
            return self._made[id(data)]
        if isinstance(data, (list, tuple)):
            values = [self.value(item, f"{path}.{i}" if path else f"{self._prefix}{i}", depth + 1) for i, item in enumerate(data)]
            return tuple(values) if isinstance(data, tuple) else values
        if isinstance(data, dict):
            return {key: self.value(item, f"{path}.{key}".lstrip("."), depth + 1) for key, item in data.items()}
        return data

    def _object(self, made: Made, path: str, depth: int) -> Any:
        maker = str(made.maker)
        if is_tensor(made):
            return Parameter(path, self._reader.tensor(made))
        if _untagged(made) is not made:
            return self.value(_untagged(made), path, depth + 1)
        if maker == "collections.OrderedDict":
            return {key: self.value(item, f"{path}.{key}".lstrip("."), depth + 1) for key, item in made.items}
        if not maker.startswith("__torch__."):
            raise UnsupportedError(f"an attribute '{path}' of the type {maker}")
        result = self._made[id(made)] = ScriptObject(maker, path)
        state = made.state if isinstance(made.state, dict) else {}
        for name, item in state.items():
            result.attributes[str(name)] = self.value(item, f"{path}.{name}".lstrip("."), depth + 1)
        return result
