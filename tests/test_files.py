"""Outputs appear whole or not at all; damaged inputs are errors of one line."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpumlir_core.api import save_artifact
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_npz, write_bytes, write_npz, write_parts, write_through
from tpumlir_core.plugins.extension_points import Artifact

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "deep/name": np.zeros((0, 4), np.int8), "scalar": np.float64(2.5)}


def archive() -> bytes:
    """What numpy itself writes, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.arange(100, dtype=np.int16), b=np.ones((3, 3)))
    return buffer.getvalue()


ARCHIVE = archive()


def test_npz_round_trip_and_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_npz(tmp_path / name, ARRAYS)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    read = read_npz(tmp_path / "one.npz")
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


@given(st.integers(0, len(ARCHIVE) - 1), st.integers(1, 255), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_damaged_npz_is_read_or_refused(position: int, change: int, cut: bool) -> None:
    damaged = bytearray(ARCHIVE)
    damaged[position] ^= change
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npz"
        path.write_bytes(bytes(damaged[:position] if cut else damaged))
        message = str(path)
        try:
            read_npz(path)
        except InputError as error:  # anything else fails the test
            message = str(error)
        assert str(path) in message
        assert "\n" not in message


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(b"before")

    def half(place: Path) -> None:
        place.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_through(path, half)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.bin", b"before")]


@pytest.mark.parametrize("content", [b"head and tail", [b"head", memoryview(b" and "), b"", b"tail"]])
def test_a_compiled_file_may_come_in_parts(tmp_path: Path, content: bytes | list[bytes | memoryview]) -> None:
    artifact = Artifact(content)
    save_artifact(artifact, tmp_path / "out.bin")
    assert (artifact.size, artifact.data, (tmp_path / "out.bin").read_bytes()) == (13, b"head and tail", b"head and tail")


def test_parts_that_end_too_soon_leave_what_was_there(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    (tmp_path / "out.bin").write_bytes(b"before")
    with pytest.raises(ZeroDivisionError):
        write_parts(tmp_path / "out.bin", parts())
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.bin", b"before")]


def test_companions_move_with_the_file(tmp_path: Path) -> None:
    def write(place: Path) -> None:
        place.write_bytes(b"text")
        place.with_suffix(".npz").write_bytes(b"weights")

    write_through(tmp_path / "m.mlir", write)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.mlir", "m.npz"]


def test_a_file_may_be_written_with_the_usual_permissions(tmp_path: Path) -> None:
    write_bytes(tmp_path / "ours", b"x")
    (tmp_path / "usual").write_bytes(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("name", ["absent/out", ".", "taken/out"])
def test_where_nothing_can_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        write_bytes(tmp_path / name, b"x")
