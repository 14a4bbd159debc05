"""Protobuf messages of Caffe's files, made at run time from ``schema.toml``: no generated code, whatever protobuf is installed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

PACKAGE = "caffe"
_REPEATED = "repeated"


@cache
def message_class(name: str) -> Any:
    """The protobuf message class of one message of the schema, as NetParameter."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    schema = tomllib.loads(files(__package__).joinpath("schema.toml").read_text())
    file = descriptor_pb2.FileDescriptorProto(name="caffe_schema.proto", package=PACKAGE, syntax="proto2")
    for name, numbers in schema["enums"].items():
        enum = file.enum_type.add(name=name)
        for label, number in numbers.items():
            # Values of one file share one scope in protobuf: each lies in a message of its own, as in caffe.proto.
            enum.value.add(name=label, number=number)
    _nest_enums(file)
    for name, fields in schema["messages"].items():
        message = file.message_type.add(name=name)
        for label, text in fields.items():
            _add_field(message, label, text, schema["enums"])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _nest_enums(file: Any) -> None:
    """Move every enumeration into a message of its own, ``Enums_NAME.NAME``."""
    for enum in file.enum_type:
        file.message_type.add(name=_holder(enum.name)).enum_type.add().CopyFrom(enum)
    del file.enum_type[:]


def _holder(enum: str) -> str:
    return f"Enums_{enum}"


def _add_field(message: Any, label: str, text: str, enums: Mapping[str, Any]) -> None:
    """One field, as ``schema.toml`` writes it: "[repeated] type number [default]"."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    words = text.split()
    repeated = words[0] == _REPEATED
    kind, number, *default = words[repeated:]
    field = message.field.add(name=label, number=int(number), label=Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL)
    if kind in enums:
        field.type, field.type_name = Field.TYPE_ENUM, f".{PACKAGE}.{_holder(kind)}.{kind}"
    elif kind[0].isupper():
        field.type, field.type_name = Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = Field.Type.Value(f"TYPE_{kind.upper()}")
        field.options.packed = repeated and kind in ("float", "double", "int64")
    if default:
        field.default_value = default[0]
