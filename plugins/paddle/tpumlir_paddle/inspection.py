"""Looking into a model before Paddle is started for it: whether it is whole, and whether anything in it is more than a network."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from tpumlir_core.conversion.wire import Message
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_paddle.files import Model, read_program
from tpumlir_paddle.weights import Tensor, check_weights

REFUSED = frozenset(
    ("py_func", "pylayer", "py_layer", "run_program", "load", "load_combine", "save", "save_combine", "print", "assert", "send", "recv")
)
"""Operations that call Python, touch files or print: no part of a network, and dangerous in a file from elsewhere."""
_FEED, _FETCH = "feed", "fetch"
_LOD_TENSOR = 7
_MOST_DIMENSIONS = 16
# What PIR's JSON calls the operation that stands for a weight, and element types (paddle 3.3.1, measured).
_PARAMETER = "p"
_PIR_ELEMENTS = {
    "t_bool": 0, "t_i16": 1, "t_i32": 2, "t_i64": 3, "t_f16": 4, "t_f32": 5, "t_f64": 6, "t_ui8": 20, "t_i8": 21, "t_bf16": 22,
}  # fmt: skip


def check(model: Model) -> None:
    """Raises InputError for a model that is damaged, incomplete, or more than a network."""
    data = read_program(model)
    declared = _old_weights(data) if model.old else _pir_weights(data)
    if model.weights is not None:
        check_weights(model.weights, declared)
    elif declared:
        raise InputError(f"its weights, {model.program.stem}.pdiparams, are not beside it; name them with --model-data")


# --- ProgramDesc: blocks 1, BlockDesc: idx 1, parent_idx 2, vars 3, ops 4 (framework.proto) -----------------------------
def _old_weights(data: bytes) -> dict[str, Tensor]:
    program = Message(data, "the program")
    blocks = program.messages(1, "a block of the program")
    if not blocks:
        raise InputError("not a Paddle program (it holds no block)")
    declared: dict[str, Tensor] = {}
    names: set[str] = set()
    kinds: list[str] = []
    for number, block in enumerate(blocks):
        if block.integer(1, -1) != number:
            raise InputError(f"block {number} of the program says that it is number {block.integer(1, -1)}")
        for variable in block.messages(3, "a variable of the program"):
            names.add(_name(variable))
            declared |= _persistable(variable)
        for operation in block.messages(4, "an operation of the program"):
            kinds.append(_operation(operation, names))
    _refuse(kinds)
    if _FEED not in kinds or _FETCH not in kinds:
        raise InputError("not an inference model: it has no feed or no fetch; save it with paddle.static.save_inference_model")
    return declared


def _name(variable: Message) -> str:
    if not variable.text(1):
        raise variable.broken("it has no name")
    return variable.text(1)


def _persistable(variable: Message) -> dict[str, Tensor]:
    """VarDesc: name 1, type 2, persistable 3; VarType: type 1, lod_tensor 3; its tensor 1: data_type 1, dims 2."""
    kind = variable.message(2)
    if not variable.integer(3) or kind.integer(1) != _LOD_TENSOR:
        return {}
    tensor = kind.message(3).message(1)
    shape = tuple(tensor.integers(2))
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise InputError(f"weight {variable.text(1)}: shape {list(shape)} cannot be")
    return {variable.text(1): Tensor(tensor.integer(1, -1), shape)}


def _operation(operation: Message, names: Collection[str]) -> str:
    """OpDesc: inputs 1, outputs 2 (parameter 1, arguments 2), type 3, attrs 4 (name 1, type 2)."""
    kind = operation.text(3)
    if not kind:
        raise operation.broken("it has no type")
    for number in (1, 2):
        for binding in operation.messages(number, f"operation {kind}"):
            lacking = [name for name in binding.texts(2) if name not in names and not name.startswith("@EMPTY@")]
            if lacking or not binding.text(1):
                raise InputError(f"operation {kind}: tensor '{lacking[0] if lacking else ''}' is declared nowhere")
    for attribute in operation.messages(4, f"operation {kind}"):
        if not attribute.text(1):
            raise InputError(f"operation {kind}: an attribute has no name")
    return kind


def _refuse(kinds: Collection[str]) -> None:
    found = sorted(set(kinds) & REFUSED)
    if found:
        raise UnsupportedError("operations that are no part of a network, and may touch more than the model", tuple(found))


# --- PIR ----------------------------------------------------------------------------------------------------------------
def _pir_weights(data: bytes) -> dict[str, Tensor]:
    try:
        program = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError("not a Paddle program (broken or truncated JSON)") from None
    try:
        if program["base_code"]["magic"] != "pir":
            raise InputError("JSON, but not a Paddle program")
        return _pir_block(program["program"]["regions"][0]["blocks"][0]["ops"])
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise InputError("not a Paddle program in PIR, or a damaged one") from None


def _pir_block(operations: list[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Operations: "#" kind, "I" operands, "O" results, each with the number "%" of its value; a weight has its name in
    "A", and in "OA" first whether it persists: one that does not, as the state of a layer's dropout, is in no file."""
    known: set[int] = set()
    declared: dict[str, Tensor] = {}
    kinds = []
    for operation in operations:
        kind = str(operation["#"])
        kinds.append(kind.rpartition(".")[2])
        lacking = [operand["%"] for operand in operation.get("I", ()) if operand["%"] not in known and operand["%"] != 0]
        if lacking:
            raise InputError(f"operation {kind}: value {lacking[0]} is made by none before it")
        results = operation["O"] if isinstance(operation["O"], list) else [operation["O"]]
        known |= {int(result["%"]) for result in results}
        if kind == _PARAMETER and list(operation.get("OA", ()))[:1] != [0]:
            declared[str(operation["A"][3])] = _pir_tensor(results[0]["TT"]["D"])
    _refuse(kinds)
    if not any(kind == _FETCH for kind in kinds):
        raise InputError("not an inference model: it has no fetch; save it with paddle.static.save_inference_model")
    return declared


def _pir_tensor(parts: list[Any]) -> Tensor:
    shape = tuple(int(extent) for extent in parts[1])
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise InputError(f"a weight of shape {list(shape)} cannot be")
    return Tensor(_PIR_ELEMENTS.get(str(parts[0]["#"]).rpartition(".")[2]), shape)
