"""What ``model_tool`` prints of a bmodel, line by line as the reference does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.bmodel import WIRE_TYPES, read_model, split_file
from tpumlir_core.bmodel.schema import Model, Net, NetParameter, Tensor
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head

ALL = "--all"
_TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "si8": "int8", "ui8": "uint8", "si16": "int16", "ui16": "uint16",
          "si32": "int32", "ui32": "uint32"}
"""Element type -> what the reference calls it."""


def read(path: str) -> tuple[bytes, Model]:
    """A bmodel's bytes and tables. Raises InputError that names the file."""
    read_head(Path(path))
    data = Path(path).read_bytes()
    try:
        return data, read_model(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def info(words: Sequence[str]) -> None:
    """Print chip, networks, inputs, outputs and memory."""
    paths = [word for word in words if word != ALL]
    if len(paths) != 1:
        raise InputError(f"--info: usage: model_tool --info [{ALL}] FILE")
    model = read(paths[0])[1]
    for line in _info(model, ALL in words):
        print(line)


def _info(model: Model, every: bool) -> Iterator[str]:
    yield f"bmodel version: {model.type or ''}.{model.version or ''}"
    yield f"chip: {model.chip}"
    yield f"create time: {model.time or ''}"
    module = model.kernel_module
    if module is None:
        yield "no kernel_module"
    else:
        yield f"kernel_module name: {module.file_name or ''}"
        yield f"kernel_module size: {len(module.binary or b'')}"
        yield f"kernel mode: {'normal' if module.mode == 0 else module.mode}"
    yield "=" * 42
    for number, net in enumerate(model.net):
        yield f"net {number}: [{net.name}]  {'dynamic' if _dynamic(net) else 'static'}"
        for place, stage in enumerate(net.parameter):
            yield from _stage(place, stage, every)
    yield from _memory(model)


def _stage(place: int, stage: NetParameter, every: bool) -> Iterator[str]:
    yield "-" * 12
    yield f"stage {place}, core num: {stage.core_num or 1}"
    for role, tensors in (("input", stage.input_tensor), ("output", stage.output_tensor)):
        for tensor in tensors:
            yield f"{role}: {_tensor(tensor)}"
    if every:
        for subnet in stage.sub_net:
            for role, tensors in (("subnet input", subnet.input_tensor), ("subnet output", subnet.output_tensor)):
                for tensor in tensors:
                    yield f"{role}: {_tensor(tensor)}"
    yield ""


def _tensor(tensor: Tensor) -> str:
    shape = ", ".join(map(str, tensor.shape[0].dim)) if tensor.shape else ""
    kind = next((element.value for element, code in WIRE_TYPES.items() if code == tensor.data_type), f"type {tensor.data_type}")
    return f"{tensor.name}, [{shape}], {_TYPES.get(kind, kind)}, scale: {tensor.scale:g}, zero_point: {tensor.zero_point}"


def _memory(model: Model) -> Iterator[str]:
    stages = [stage for net in model.net for stage in net.parameter]
    memories = [stage.coeff_mem for stage in stages if stage.coeff_mem is not None]
    weights = sum({memory.check_code: len(memory.binary_coeff or b"") for memory in memories}.values())
    groups = [group for stage in stages for group in [g for subnet in stage.sub_net for g in subnet.cmd_group] or stage.cmd_group]
    commands = sum(len(group.binary_bdc or b"") + len(group.binary_gdma or b"") for group in groups)
    total = weights + commands + model.neuron_size
    yield f"device mem size: {total} (weight: {weights}, instruct: {commands}, runtime: {model.neuron_size})"
    host = sum(stage.cpu_mem_size for stage in stages)
    yield f"host mem size: {host} (weight: 0, runtime: {host})"


def chip(words: Sequence[str]) -> None:
    """Print the chip, without a line end."""
    print(read(words[0])[1].chip, end="")


def dynamic(words: Sequence[str]) -> None:
    """Print true or false, without a line end."""
    print("true" if any(map(_dynamic, read(words[0])[1].net)) else "false", end="")


def _dynamic(net: Net) -> bool:
    return any(stage.is_dynamic for stage in net.parameter)


def weight(words: Sequence[str]) -> None:
    """Print name and bytes of every weight."""
    for number, net in enumerate(read(words[0])[1].net):
        for place, stage in enumerate(net.parameter):
            print(f'net {number} : "{net.name}", stage:{place}')
            print("-" * 31)
            for location in stage.coeff_mem.location if stage.coeff_mem else ():
                print(f"{location.name} : [0x{location.offset:x}, 0x{location.offset + location.size:x})")
            print("=" * 42)


def tables(words: Sequence[str]) -> None:
    """Print all tables; a binary by where it begins among the binaries, and its bytes."""
    data, model = read(words[0])
    base = _address(split_file(data)[1])
    print("\n".join(_value(model, 0, base)))


def _value(value: Any, depth: int, base: int) -> Iterator[str]:
    """The lines of a value: the first without indentation, as it follows the name of its field."""
    inner = "  " * (depth + 1)
    if dataclasses.is_dataclass(value):
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        entries = [[f"{inner}{name}: {first}", *more] for name, item in fields if item is not None and item != ()
                   for first, *more in [list(_value(item, depth + 1, base))]]
        yield from _enclosed("{", entries, "}", depth)
    elif isinstance(value, tuple):
        entries = [[f"{inner}{first}", *more] for item in value for first, *more in [list(_value(item, depth + 1, base))]]
        yield from _enclosed("[", entries, "]", depth)
    elif isinstance(value, bytes | memoryview):
        start = _address(memoryview(value)) - base if len(value) else 0
        yield from _enclosed("{", [[f"{inner}start: {start}"], [f"{inner}size: {len(value)}"]], "}", depth)
    else:
        yield json.dumps(value)


def _enclosed(opening: str, entries: Sequence[Sequence[str]], closing: str, depth: int) -> Iterator[str]:
    yield opening
    for number, lines in enumerate(entries):
        yield from lines[:-1]
        yield lines[-1] + ("," if number < len(entries) - 1 else "")
    yield "  " * depth + closing


def _address(view: memoryview) -> int:
    """Where a view lies in memory: views of one file are apart as their bytes in it are."""
    return int(np.frombuffer(view, np.uint8).ctypes.data) if len(view) else 0
