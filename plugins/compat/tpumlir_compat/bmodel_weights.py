"""``model_tool --update_weight``: a weight copied from one bmodel into another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tpumlir_compat.bmodel_edit import number
from tpumlir_compat.bmodel_show import read
from tpumlir_core.bmodel import write_model
from tpumlir_core.bmodel.schema import CoeffMem, Model, Net, NetParameter
from tpumlir_core.errors import InputError
from tpumlir_core.files import write_bytes


def update_weight(words: Sequence[str]) -> None:
    """Copy the weight at an offset of a network of SRC over that at an offset of a network of DST, in every stage that has it."""
    target, target_net, target_offset, source, source_net, source_offset = words
    model, giving = read(target)[1], read(source)[1]
    given = _weight(_net(giving, source_net, source), number(source_offset), source)
    net = _net(model, target_net, target)
    if len(_weight(net, number(target_offset), target)) != len(given):
        raise InputError(f"{target}: the weight at {target_offset} is not of the {len(given)} bytes that {source} has at {source_offset}")
    changed = replace(net, parameter=tuple(_updated(stage, number(target_offset), given) for stage in net.parameter))
    model = replace(model, net=tuple(changed if one is net else one for one in model.net))
    write_bytes(Path(target), write_model(model))
    print("update success")


def _net(model: Model, name: str, path: str) -> Net:
    found = next((net for net in model.net if net.name == name), None)
    if found is None:
        raise InputError(f"{path}: no network {name}; there is {', '.join(net.name or '' for net in model.net)}")
    return found


def _weight(net: Net, offset: int, path: str) -> bytes:
    for stage in net.parameter:
        if stage.coeff_mem is not None and (size := _size(stage.coeff_mem, offset)):
            return bytes(stage.coeff_mem.binary_coeff or b"")[offset : offset + size]
    raise InputError(f"{path}: network {net.name} has no weight at {offset}; see model_tool --weight")


def _size(memory: CoeffMem, offset: int) -> int:
    return next((location.size for location in memory.location if location.offset == offset), 0)


def _updated(stage: NetParameter, offset: int, weight: bytes) -> NetParameter:
    memory = stage.coeff_mem
    if memory is None or _size(memory, offset) != len(weight):
        return stage
    data = bytearray(memory.binary_coeff or b"")
    data[offset : offset + len(weight)] = weight
    code = tuple(hashlib.sha256(data).digest())
    return replace(stage, coeff_mem=replace(memory, binary_coeff=bytes(data), check_code=code))
