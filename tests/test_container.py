"""The core's own format for compiled files: written, read back, damaged; and files of formats that only a target knows."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpumlir_core.container import ALIGNMENT, Container, StoredTensor, container_chip, read_container, write_container
from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.ir import ElementType

SIZES = st.lists(st.integers(0, 1 << 40), max_size=5).map(tuple)
TENSORS = st.lists(st.builds(StoredTensor, st.text(), st.sampled_from(ElementType), SIZES, st.integers(0, 1 << 60)), max_size=3).map(tuple)
CONTAINERS = st.builds(
    Container,
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32),
    st.text(),
    TENSORS,
    TENSORS,
    st.dictionaries(st.text(), st.binary(max_size=200), max_size=4),
    st.dictionaries(st.text(), st.none() | st.integers() | st.lists(st.text(), max_size=3), max_size=4),
    st.dictionaries(st.text(), st.text(), max_size=2),
)
SMALL = Container("acme", "net", (StoredTensor("x", ElementType.F32, (1, 2), 64),), (), {"code": b"12345", "weights": b"abc"}, {"n": 1})


@given(CONTAINERS)
def test_what_is_written_is_read(container: Container) -> None:
    data = write_container(container)
    assert read_container(data) == container
    assert container_chip(data[:4096]) == container.chip
    assert write_container(read_container(data)) == data


def test_the_layout_is_as_documented() -> None:
    data = write_container(SMALL)
    assert data[:12] == b"TPUMLIR\0acme"
    version, checksum, header_bytes = struct.unpack_from("<III", data, 40)
    assert (version, checksum) == (1, zlib.crc32(data[52:]))
    assert json.loads(data[52 : 52 + header_bytes])["sections"] == [["code", 5], ["weights", 3]]
    assert data.index(b"12345") % ALIGNMENT == data.index(b"abc") % ALIGNMENT == 0
    assert data.endswith(b"abc")


def test_every_damaged_byte_is_noticed() -> None:
    data = write_container(SMALL)
    for position in (*range(8), *range(40, len(data))):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(InputError):
            read_container(bytes(damaged))
    for size in range(len(data)):
        with pytest.raises(InputError):
            read_container(data[:size])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sections", [["code", 10_000]]), ("sections", [["code", -1]]), ("sections", [["code"]]), ("sections", [["a", True]]),
        ("inputs", [["x", "f33", [1], 0]]), ("inputs", [["x", "f32", [-1], 0]]), ("inputs", [["x", "f32", 1, 0]]), ("inputs", None),
        ("outputs", [["x", "f32", [1.5], 0]]), ("outputs", {"x": 1}), ("facts", 3), ("made_by", 3),
    ],
)
def test_a_header_that_lies_is_refused(key: str, value: Any) -> None:
    with pytest.raises(InputError, match="header makes no sense"):
        read_container(with_header({**header(write_container(SMALL)), key: value}))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"[" * 100_000, b"\xff\xfe", b"null"])
def test_a_header_that_is_no_header_is_refused(text: bytes) -> None:
    with pytest.raises(InputError, match="header makes no sense"):
        read_container(with_text(text))


def test_a_later_version_is_refused() -> None:
    data = bytearray(write_container(SMALL))
    data[40] = 2
    with pytest.raises(InputError, match="version 2, this tpumlir reads 1"):
        read_container(bytes(data))


@pytest.mark.parametrize("chip", ["", "x" * 33])
def test_a_chip_whose_name_does_not_fit_is_refused(chip: str) -> None:
    with pytest.raises(InternalError, match="1 to 32 characters"):
        write_container(Container(chip, "net", (), (), {}))


def header(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data[52 : 52 + struct.unpack_from("<I", data, 48)[0]])
    return found


def with_header(content: dict[str, Any]) -> bytes:
    return with_text(json.dumps(content).encode())


def with_text(text: bytes) -> bytes:
    return b"TPUMLIR\0" + b"acme".ljust(32, b"\0") + struct.pack("<III", 1, zlib.crc32(text), len(text)) + text


# --- the commands ---------------------------------------------------------------------------------------------------
def test_info_needs_no_plugin_and_disasm_says_which_it_needs(tpumlir: Any, tmp_path: Path) -> None:
    (tmp_path / "work" / "net.acme").write_bytes(write_container(SMALL))
    alone = {"TPUMLIR_PLUGINS": ""}
    facts = json.loads(tpumlir("info", "net.acme", "--json", **alone).stdout)
    (stage,) = facts["networks"][0]["stages"]
    assert (facts["chip"], stage["section_bytes"], stage["facts"]) == ("acme", {"code": 5, "weights": 3}, {"n": 1})
    assert [(tensor["name"], tensor["bytes"]) for tensor in stage["inputs"]] == [("x", 8)]
    assert "code 5 bytes, weights 3 bytes" in tpumlir("info", "net.acme", **alone).stdout
    for command in ("disasm", "profile"):
        result = tpumlir(command, "net.acme", **alone)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert "no target is called 'acme'" in result.stderr


TARGET = """
    from tpumlir_core.errors import InputError
    from tpumlir_core.plugins.extension_points import Instruction, Profile, Target


    class VendorTarget(Target):
        name = "vendor"

        def recognizes(self, path, head):
            return head.startswith(b"VENDOR")

        def describe(self, data):
            if len(data) < 8:
                raise InputError("it is cut off")
            return {"networks": ["n1"], "format": "4.2"}

        def disassemble(self, data):
            yield Instruction("main", "core", 0, "HALT", {"code": data[6]})

        def profile(self, data):
            return Profile(cycles=len(data))

        def supports(self, op, mode):
            return None

        def modes(self):
            return ("F32",)

        def compile(self, module):
            raise AssertionError("not asked to")
"""


def test_a_vendor_s_own_format_is_its_target_s(site: Any, tpumlir: Any, tmp_path: Path) -> None:
    site.install("vendor", {"tpumlir.targets": {"vendor": "vendor_plugin:VendorTarget"}}, {"vendor_plugin": TARGET})
    (tmp_path / "work" / "net.bin").write_bytes(b"VENDOR\x07\x00")
    facts = json.loads(tpumlir("info", "net.bin", "--json").stdout)
    assert facts == {"file": "net.bin", "bytes": 8, "chip": "vendor", "networks": ["n1"], "format": "4.2"}
    assert "format: 4.2" in tpumlir("info", "net.bin").stdout
    assert tpumlir("disasm", "net.bin").stdout == "main core 0: HALT code=7\n"
    assert json.loads(tpumlir("profile", "net.bin", "--json").stdout)["cycles"] == 8
    (tmp_path / "work" / "net.bin").write_bytes(b"VENDOR")
    result = tpumlir("info", "net.bin")
    assert (result.returncode, result.stderr) == (2, "tpumlir: error: net.bin: it is cut off\n")
