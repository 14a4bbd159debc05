"""Damaged TFLite files: each gives a module or one line of a known error, never a traceback, a hang or a huge allocation."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sweeps.mutants import broken_bytes
from tests.tflite.quantized import write_quantized
from tpumlir_core.errors import InputError, TpumlirError
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_tflite.flexbuffer import attributes_of
from tpumlir_tflite.frontend import TfliteFrontend
from tpumlir_tflite.tensors import Level, Sparsity, dense, stored_array
from tpumlir_tflite.verifier import verify

MUTANTS = 400


def error_of(path: Path, data: bytes) -> TpumlirError | None:
    """The error that a file gives; any other exception fails the test."""
    path.write_bytes(data)
    try:
        TfliteFrontend().load(path, ImportOptions())
    except InputError as error:
        return error
    return None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_quantized(tmp_path_factory.mktemp("broken") / "net.tflite").read_bytes()


def test_mutants_are_told_in_one_line(whole: bytes, tmp_path: Path) -> None:
    refused = 0
    for seed in range(MUTANTS):
        error = error_of(tmp_path / "mutant.tflite", broken_bytes(whole, np.random.default_rng(seed)))
        if error is not None:
            refused += 1
            assert "\n" not in str(error)
            assert str(error).startswith(str(tmp_path / "mutant.tflite"))
    assert refused > MUTANTS // 10


@pytest.mark.parametrize("length", [0, 3, 4, 8, 9, 12, 20, 100])
def test_a_file_that_ends_early(whole: bytes, tmp_path: Path, length: int) -> None:
    assert error_of(tmp_path / "short.tflite", whole[:length]) is not None


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    assert "not a TFLite file" in str(error_of(tmp_path / "text.tflite", b"hello, this is text and nothing else"))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        TfliteFrontend().load(tmp_path / "none.tflite", ImportOptions())


def test_a_vector_that_unfolds_to_more_than_the_file() -> None:
    """Two levels of vectors whose entries all lead to the same table: 200 x 200 visits from a file of a few kilobytes."""
    table, count = struct.pack("<HHHHHH", 10, 8, 0, 0, 4, 0)[:10], 200
    model = bytearray(struct.pack("<I4s", 20, b"TFL3") + table.ljust(12, b"\0"))
    start = len(model)
    model += struct.pack("<iI", start - 8, 4) + struct.pack("<I", count)
    subgraphs = len(model)
    shared = subgraphs + 4 * count
    model += b"".join(struct.pack("<I", shared - (subgraphs + 4 * i)) for i in range(count))
    listed = shared + 8
    model += struct.pack("<iI", shared - listed - 4 - 4 * count, 4) + struct.pack("<I", count)
    model += b"\xff\xff\xff\x7f" * count + struct.pack("<HHH", 6, 8, 4)
    model[0:4] = struct.pack("<I", start)
    with pytest.raises(InputError, match=r"lies outside|shared so often"):
        verify(bytes(model))


def test_sparse_lists_that_do_not_fit() -> None:
    numbers = np.ones(2, np.float32)
    with pytest.raises(InputError, match="do not fit"):
        dense(numbers, (2, 3), Sparsity((0, 1), (), (Level(2), Level(0, (0, 1, 2), (0, 5)))), "w")
    with pytest.raises(InputError, match="too few"):
        dense(numbers, (1 << 15, 1 << 15), Sparsity((0, 1), (), (Level(1 << 15), Level(0, (0,), ()))), "w")


def test_constants_that_do_not_fit_their_shape() -> None:
    with pytest.raises(InputError, match="2 numbers for shape"):
        stored_array(bytes(8), "FLOAT32", (3,), "w")
    with pytest.raises(InputError, match="no whole number"):
        stored_array(bytes(7), "FLOAT32", (1,), "w")


def test_options_of_custom_operators_that_are_damaged() -> None:
    from flatbuffers import flexbuffers  # type: ignore[import-untyped]

    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("order")
        builder.TypedVectorFromElements([2, 0, 1])
        builder.Key("name")
        builder.String("x")
    whole = bytes(builder.Finish())
    random = np.random.default_rng(0)
    for _ in range(2000):
        with suppress(InputError):
            attributes_of(broken_bytes(whole, random))
