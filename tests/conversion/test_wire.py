"""Messages read and written without their classes, against protobuf itself."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, NodeProto, TensorProto

from tpumlir_core.conversion.wire import Message, encoded
from tpumlir_core.errors import InputError

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
TEXTS = st.text(max_size=20)


@given(st.lists(INTEGERS, max_size=5), INTEGERS, TEXTS, st.binary(max_size=300), st.lists(TEXTS, max_size=3))
def test_what_protobuf_writes_is_read(dims: list[int], kind: int, name: str, raw: bytes, inputs: list[str]) -> None:
    tensor = TensorProto(dims=dims, raw_data=raw, name=name)
    node = NodeProto(name=name, input=inputs, attribute=[AttributeProto(name="t", t=tensor, i=kind)])
    message = Message(node.SerializeToString(), "a node")
    assert message.text(3) == name
    assert message.texts(1) == inputs
    attribute = message.message(5)
    assert attribute.integer(3) == kind
    inner = attribute.message(5)
    assert (inner.integers(1), bytes(inner.data(9)[0])) == (dims, raw)


@given(st.lists(INTEGERS, max_size=5), TEXTS, st.binary(max_size=300))
def test_what_is_written_protobuf_reads(dims: list[int], name: str, raw: bytes) -> None:
    tensor = TensorProto.FromString(encoded(*((1, extent) for extent in dims), (8, name), (9, raw)))
    assert (list(tensor.dims), tensor.name, tensor.raw_data) == (dims, name, raw)
    assert AttributeProto.FromString(encoded((2, 0.5))).f == 0.5


def test_packed_integers_are_read_too() -> None:
    assert Message(encoded((1, b"\x03\x8e\x02\x9e\xa7\x05")), "dims").integers(1) == [3, 270, 86942]  # the example of protobuf's page


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a", b"\x0a\x05abcd", b"\x08" + b"\xff" * 11, b"\x80", b"\x0b", b"\x0c", b"\x02\x01a", b"\x0d\x00\x00", b"\x09\x00",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^the graph: broken or truncated protobuf$"):
        Message(data, "the graph")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_protobuf_reads_them_or_refused(data: bytes) -> None:
    try:
        message = Message(data, "noise")
    except InputError:
        with pytest.raises(Exception, match="pars"):
            onnx.TensorShapeProto.FromString(data)
        return
    assert all(count > 0 for count in message.numbers().values())


def test_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="broken"):
        Message(encoded((1, 5)), "it").texts(1)
    with pytest.raises(InputError, match="not UTF-8"):
        Message(encoded((1, b"\xff")), "it").text(1)
