"""The Python tables, the .fbs text and the wire format agree."""

from __future__ import annotations

import contextlib
import re
import struct
from dataclasses import fields, is_dataclass
from importlib import resources
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpumlir_core.bmodel import container, read_model, schema, write_model
from tpumlir_core.errors import InputError

FBS = resources.files("tpumlir_core.bmodel").joinpath("bmodel.fbs").read_text()


def _declared(text: str) -> dict[str, list[tuple[str, str, str]]]:
    """Name -> (field, type, default) of each table of a .fbs text."""
    code = re.sub(r"//.*", "", text)
    return {
        name: [tuple(part.strip() for part in re.fullmatch(r"(\w+)\s*:\s*([^=]+?)(?:\s*=\s*(\S+))?", line.strip()).groups(""))  # type: ignore[union-attr,misc]
               for line in body.split(";") if line.strip()]
        for name, body in re.findall(r"(?:table|struct) (\w+) \{(.*?)\}", code, re.S)
    }


def _spelled(hint: Any) -> str:
    """The .fbs spelling of a field's annotation."""
    if get_origin(hint) is tuple:
        return f"[{_spelled(get_args(hint)[0])}]"
    if hasattr(hint, "__metadata__"):
        return str(hint.__metadata__[0])
    if hint is str:
        return "string"
    if is_dataclass(hint):
        return str(getattr(hint, "__name__", hint))
    return next(_spelled(argument) for argument in get_args(hint) if argument is not type(None))


def test_tables_are_those_of_the_fbs() -> None:
    declared = _declared(FBS)
    assert declared.pop("Binary") == [("start", "uint64", ""), ("size", "uint64", "")]
    tables = {name: table for name, table in vars(schema).items() if is_dataclass(table)}
    assert set(tables) == set(declared)
    for name, table in tables.items():
        hints = get_type_hints(table, include_extras=True)
        assert [(f.name, _spelled(hints[f.name])) for f in fields(table)] == [entry[:2] for entry in declared[name]]
        defaults: dict[str, Any] = {f.name: f.default for f in fields(table)}
        assert all(defaults[field] == float(default) for field, _, default in declared[name] if default)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    """Values for a field annotated so."""
    if get_origin(hint) is tuple:
        return st.lists(_values(get_args(hint)[0]), max_size=3).map(tuple)
    if is_dataclass(hint):
        return tables(hint)  # type: ignore[arg-type]
    scalars = {
        "uint8": st.integers(0, 255), "int32": st.integers(-(2**31), 2**31 - 1), "uint32": st.integers(0, 2**32 - 1),
        "uint64": st.integers(0, 2**64 - 1), "float32": st.floats(width=32, allow_nan=False), "Binary": st.binary(max_size=9),
    }
    if hasattr(hint, "__metadata__"):
        return scalars[hint.__metadata__[0]]
    if hint is str:
        return st.text(max_size=9)
    return st.one_of(*(st.none() if argument is type(None) else _values(argument) for argument in get_args(hint)))


def tables(table: type) -> st.SearchStrategy[Any]:
    """Tables of a class with any content."""
    hints = get_type_hints(table, include_extras=True)
    return st.builds(table, **{field.name: _values(hints[field.name]) for field in fields(table)})


@settings(deadline=None, max_examples=40)
@given(tables(schema.Net), tables(schema.SubNet), tables(schema.NetParameter))
def test_any_tables_survive_a_round_trip(net: schema.Net, subnet: schema.SubNet, stage: schema.NetParameter) -> None:
    stage = schema.NetParameter(input_tensor=stage.input_tensor, coeff_mem=stage.coeff_mem, ctx_sizes=stage.ctx_sizes, sub_net=(subnet,))
    model = schema.Model(type="B", chip="X", net=(net, schema.Net(name="second", parameter=(stage,))), lib_backend=b"abc")
    data = write_model(model)
    again = read_model(data)
    assert again == model
    assert write_model(again) == data


@settings(deadline=None, max_examples=20)
@given(tables(schema.Tensor))
def test_flatbuffers_own_reader_agrees(tensor: schema.Tensor) -> None:
    """Every scalar of a tensor, read by the flatbuffers package's generic table access."""
    import flatbuffers.number_types as numbers
    from flatbuffers.table import Table

    from tpumlir_core.bmodel.flatbuffer import Encoder

    data = bytearray(Encoder(lambda blob, field: (0, len(blob))).finish(tensor))
    table = Table(data, int.from_bytes(data[:4], "little"))
    for number, flags, value in (
        (1, numbers.Uint32Flags, tensor.data_type), (3, numbers.Uint64Flags, tensor.device_addr),
        (7, numbers.Float32Flags, tensor.scale), (10, numbers.Int32Flags, tensor.zero_point),
    ):  # fmt: skip
        default = 1.0 if number == 7 else 0
        assert table.GetSlot(4 + 2 * number, default, flags) == value


def _sample() -> bytes:
    group = schema.CmdGroup(2, 1, b"t" * 32, b"d" * 16, 32, 16)
    tensor = schema.Tensor(name="x", shape=(schema.Shape((1, 3, 4)),), scale=0.5)
    weights = schema.CoeffMem(1 << 32, tuple(range(32)), b"w" * 100)
    stage = schema.NetParameter(input_tensor=(tensor,), coeff_mem=weights, cmd_group=(group,))
    return write_model(schema.Model(type="B", chip="BM1684X", net=(schema.Net(name="n", parameter=(stage,)),)))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_bytes_end_in_one_line_or_a_model(data: st.DataObject) -> None:
    """Any four bytes of the header or the tables replaced: a model or InputError, nothing else."""
    damaged = bytearray(_sample())
    at = data.draw(st.integers(0, 1200))
    damaged[at : at + 4] = data.draw(st.one_of(st.binary(min_size=4, max_size=4), st.sampled_from([b"\xff\xff\xff\x7f", b"\0\0\0\x80"])))
    with contextlib.suppress(InputError):
        assert isinstance(read_model(bytes(damaged)), schema.Model)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 9000))
def test_a_file_cut_off_is_refused(size: int) -> None:
    data = _sample()
    if size < len(data):
        with pytest.raises(InputError, match=r"not a bmodel|cut off"):
            read_model(data[:size])


def test_a_small_file_that_unfolds_to_many_tables_is_refused() -> None:
    """1000 networks that are one network of 1000 stages that are one stage: 10^6 tables in 8 KB."""
    import flatbuffers

    builder = flatbuffers.Builder(0)

    def table(slots: int, **references: int) -> int:
        builder.StartObject(slots)
        for name, offset in references.items():
            builder.PrependUOffsetTRelativeSlot(int(name.removeprefix("slot")), offset, 0)
        return int(builder.EndObject())

    def vector(offset: int) -> int:
        builder.StartVector(4, 1000, 4)
        for _ in range(1000):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    builder.Finish(table(11, slot4=vector(table(6, slot3=vector(table(23))))))
    tables = bytes(builder.Output())
    header = struct.pack("<4I", container.MAGIC, 64, len(tables), 0).ljust(64, b"\0")
    with pytest.raises(InputError, match="more objects than"):
        read_model(header + tables)


def test_equal_binaries_are_stored_once_and_aligned() -> None:
    weights = bytes(range(256)) * 40
    stages = tuple(schema.NetParameter(coeff_mem=schema.CoeffMem(binary_coeff=weights), ctx_size=n) for n in range(3))
    data = write_model(schema.Model(net=(schema.Net(parameter=stages),)))
    assert data.count(weights) == 1
    assert data.find(weights) % 4096 == 0
