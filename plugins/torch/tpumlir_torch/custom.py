"""Custom operators of torch libraries, ``acme::swap``, that plugins of the group ``.ops`` know."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir.operator import Operator
from tpumlir_core.ir.operator_lookup import source_attributes, source_of
from tpumlir_torch.tensor import Call, Tensor

if TYPE_CHECKING:
    from tpumlir_torch.importer import Importer

FRONTEND = "torch"


def convert(im: Importer, kind: type[Operator], call: Call) -> Any:
    """The custom operator for a call: tensors, in order, are its operands, all else its attributes by name or in order."""
    operands, attributes = split_arguments(kind, call)
    results = list(call.results)
    wanted = _result_count(kind, attributes, operands)
    names = (results + [f"{results[0]}_{i}" for i in range(len(results), wanted)])[: max(1, wanted)]
    operation = im.add_custom(kind, FRONTEND, [None if t is None else t.value for t in operands], attributes, names)
    made = [Tensor(value, "float32" if value.type.element.is_float else "int64") for value in operation.results]
    return made[0] if len(made) == 1 else made


def split_arguments(kind: type[Operator], call: Call) -> tuple[list[Any], dict[str, Any]]:
    """(operands, attributes as the framework calls them) of a call; what is no tensor, in its turn, is the next attribute."""
    operands: list[Any] = []
    others: list[Any] = []
    specs = iter(kind.operand_specs)
    for value in call.arguments:
        spec = next(specs, None) if value is None or _is_operand(value) else None
        if spec is not None:
            operands.extend(value if isinstance(value, (list, tuple)) else [value])
        else:
            others.append(value)
    attributes = {name: value for name, value in call.named.items() if not _is_operand(value)}
    operands += [v for value in call.named.values() if _is_operand(value) for v in (value if isinstance(value, (list, tuple)) else [value])]
    names = [name for name in _attribute_names(kind) if name not in attributes]
    if len(others) > len(names):
        raise InputError(f"{call.operator} is called with {len(others)} attributes; it has {', '.join(names) or 'none'}")
    return operands, {**dict(zip(names, others, strict=False)), **attributes}


def _is_operand(value: Any) -> bool:
    items = value if isinstance(value, (list, tuple)) and value else [value]
    return all(not isinstance(item, (bool, int, float, str, type(None), list, tuple)) for item in items)


def _attribute_names(kind: type[Operator]) -> list[str]:
    """The attributes in the order of their declaration, as the framework calls them."""
    source = source_of(kind, FRONTEND)
    theirs = dict(source.attributes) if source else {}
    return [theirs.get(name, name) for name in inspect.signature(kind).parameters]


def _result_count(kind: type[Operator], attributes: dict[str, Any], operands: list[Any]) -> int:
    try:
        operation = kind(**source_attributes(kind, FRONTEND, attributes))
        return len(operation.infer([None if t is None else t.value.type for t in operands]))
    except (InputError, ValueError, LookupError, TypeError):
        return 1  # add_custom tells what is wrong
