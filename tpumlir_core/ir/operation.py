"""Values, operations, functions and modules: the whole data structure of the IR.

An operation class is one declaration: a frozen-by-convention dataclass whose fields are its typed attributes, with the
names of its operands and results in the ``op`` decorator. Walks are iterative; every edit keeps the use lists right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from tpumlir_core.errors import InternalError
from tpumlir_core.ir.types import TensorType

Array = np.ndarray[Any, np.dtype[Any]]


class Value:
    """One tensor: the result ``index`` of the operation ``owner``; ``name`` is its name in every file (MLIR ``loc``)."""

    __slots__ = ("index", "name", "owner", "type", "uses")

    def __init__(self, name: str, type: TensorType, owner: Operation | None = None, index: int = 0) -> None:
        self.name = name
        self.type = type
        self.owner = owner
        self.index = index
        self.uses: dict[tuple[Operation, int], None] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    def replace_all_uses_with(self, other: Value) -> None:
        """Let every user of this value (returns included) use ``other`` instead."""
        for user, position in list(self.uses):
            user.set_operand(position, other)

    def __repr__(self) -> str:
        return f"<{self.name}: {'x'.join(map(str, self.shape))}x{self.type.element.value}>"


@dataclass(frozen=True)
class OperandSpec:
    """One declared operand: its name, and whether it may be absent (``?``) or repeated (``*``)."""

    name: str
    optional: bool = False
    variadic: bool = False


class Operation:
    """Base of every operation. Attributes are the dataclass fields of the subclass, keyword-only."""

    opcode: ClassVar[str] = ""
    operand_specs: ClassVar[tuple[OperandSpec, ...]] = ()
    result_names: ClassVar[tuple[str, ...]] = ("output",)
    stored: ClassVar[bool] = False
    """Whether ``evaluate`` takes and gives numbers as stored (quantized integers), not the real ones that they stand for."""
    host: ClassVar[bool] = False
    """Whether the host may compute it, after the network, where the chip does not (``tpumlir_core.host``)."""
    # Set by create(); not dataclass fields.
    operands: list[Value | None]
    results: list[Value]

    @classmethod
    def create(
        cls: type[OpT], operands: Sequence[Value | None], results: Sequence[tuple[str, TensorType]] | Sequence[str], **attributes: Any
    ) -> OpT:
        """A detached operation. ``results`` are names (types come from ``infer``) or (name, type) pairs.

        Absent optional operands are ``None``; trailing ones may be left out.
        """
        op = cls(**attributes)
        op.operands = list(operands)
        op.results = []
        pairs: list[tuple[str, TensorType | None]] = [(r, None) if isinstance(r, str) else (r[0], r[1]) for r in results]
        if any(t is None for _, t in pairs):
            types = op.infer([None if v is None else v.type for v in op.operands])
            pairs = [(name, t or types[i]) for i, (name, t) in enumerate(pairs)]
        for index, (name, type_) in enumerate(pairs):
            assert type_ is not None
            op.results.append(Value(name, type_, op, index))
        # Only now: where inference fails, no value may list a use by what was not made.
        op.operands = []
        for value in operands:
            op.append_operand(value)
        return op

    # --- what a declaration gives -------------------------------------------------------------------------------
    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        """Result types from operand types (``None`` where an operand is absent). Raises InputError when they clash."""
        raise InternalError(f"{self.opcode} has no type inference")

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        """The reference semantics in numpy: result arrays from operand arrays."""
        raise InternalError(f"{self.opcode} has no reference semantics")

    def flops(self) -> int:
        """Floating-point operations, multiply and add counted apart; 0 for data movement."""
        return 0

    # --- structure ----------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """The name of its first result: how users know this operation."""
        return self.results[0].name if self.results else self.opcode

    @property
    def output(self) -> Value:
        return self.results[0]

    @property
    def input(self) -> Value:
        value = self.operands[0]
        assert value is not None
        return value

    def attributes(self) -> dict[str, Any]:
        """Attribute name -> value, in declaration order."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def append_operand(self, value: Value | None) -> None:
        if value is not None:
            value.uses[self, len(self.operands)] = None
        self.operands.append(value)

    def set_operand(self, position: int, value: Value | None) -> None:
        old = self.operands[position]
        if old is not None:
            del old.uses[self, position]
        if value is not None:
            value.uses[self, position] = None
        self.operands[position] = value

    def drop_operands(self) -> None:
        """Detach from all operands (before removal)."""
        for position, value in enumerate(self.operands):
            if value is not None:
                del value.uses[self, position]
        self.operands = []

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{self.opcode}({self.name if getattr(self, 'results', None) else '?'})"


OpT = TypeVar("OpT", bound=Operation)
_REGISTRY: dict[str, type[Operation]] = {}


@dataclass_transform(kw_only_default=True)
def op(opcode: str, operands: str = "input", results: str = "output") -> Callable[[type[OpT]], type[OpT]]:
    """Declare an operation class: ``@op("top.Conv", "input, filter, bias?")``; ``x*`` is variadic, ``x?`` optional."""

    def register(cls: type[OpT]) -> type[OpT]:
        cls = declare(cls, opcode, operands, results)
        if opcode in _REGISTRY:
            raise InternalError(f"operation {opcode} is declared twice")
        _REGISTRY[opcode] = cls
        return cls

    return register


def declare(cls: type[OpT], opcode: str, operands: str, results: str) -> type[OpT]:
    """Make a class an operation class; see ``op``, which also registers it."""
    cls = dataclass(kw_only=True, eq=False, repr=False)(cls)
    cls.opcode = opcode
    cls.operand_specs = tuple(_spec(text.strip()) for text in operands.split(",") if text.strip())
    cls.result_names = tuple(text.strip().rstrip("?*") for text in results.split(",") if text.strip())
    return cls


def _spec(text: str) -> OperandSpec:
    return OperandSpec(text.rstrip("?*"), text.endswith("?"), text.endswith("*"))


def operation_class(opcode: str) -> type[Operation] | None:
    """The class declared for ``opcode`` (its dialect module must have been imported), or None."""
    return _REGISTRY.get(opcode)


def registered_operations() -> dict[str, type[Operation]]:
    """All declared operations, sorted by opcode."""
    return dict(sorted(_REGISTRY.items()))


@op("func.return", "values*", "")
class Return(Operation):
    """Ends a function; its operands are the outputs, so that replacing a value's uses reaches them too."""

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        return []


class Function:
    """A straight-line function: its inputs are the results of Input operations; ``operations`` in topological order."""

    def __init__(self, name: str = "main", operations: Sequence[Operation] = (), outputs: Sequence[Value] = ()) -> None:
        self.name = name
        self.operations = list(operations)
        self.terminator = Return.create(list(outputs), ())

    @property
    def outputs(self) -> list[Value]:
        return [v for v in self.terminator.operands if v is not None]

    @outputs.setter
    def outputs(self, values: Sequence[Value]) -> None:
        self.terminator.drop_operands()
        for value in values:
            self.terminator.append_operand(value)

    def values(self) -> Iterator[Value]:
        """Every result, in operation order."""
        for operation in self.operations:
            yield from operation.results

    def remove(self, dead: set[Operation]) -> None:
        """Take operations out (their results must be unused, or used only by one another)."""
        for operation in dead:
            operation.drop_operands()
        self.operations = [o for o in self.operations if o not in dead]


@dataclass
class Module:
    """One network: a function, its weights by name, and module attributes (``module.chip``, ``module.state``, ...).

    ``made_by``: distributions that a compiled file of it is due to, and their versions; not in its text. ``host``: what the host
    computes of the outputs afterwards (see ``tpumlir_core.host``).
    """

    name: str
    function: Function
    weights: WeightStore
    attributes: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    host: Module | None = None


class WeightStore:
    """Weights by tensor name; arrays may be given as thunks, which are called once when first read (lazy npz)."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array | Callable[[], Array]] = {}

    def __setitem__(self, name: str, array: Array | Callable[[], Array]) -> None:
        self._arrays[name] = array

    def __getitem__(self, name: str) -> Array:
        found = self._arrays[name]
        if callable(found):
            found = self._arrays[name] = found()
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __delitem__(self, name: str) -> None:
        del self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def copy(self) -> WeightStore:
        """Another store of the same arrays."""
        store = WeightStore()
        store._arrays = dict(self._arrays)
        return store

    def clear(self) -> None:
        """Let go of all arrays."""
        self._arrays.clear()
