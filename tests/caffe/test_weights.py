"""Blobs of .caffemodel files: old and new shapes, doubles, 16-bit numbers, and files that are damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tpumlir_caffe.schema import message_class
from tpumlir_caffe.weights import read_caffemodel
from tpumlir_core.errors import InputError

NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)


def file_of(fill: Callable[[Any], None], message: str = "NetParameter", old: bool = False) -> bytes:
    """A network of one layer with one blob, which ``fill`` fills."""
    net = message_class(message)()
    layer = (net.layers if old else net.layer).add(name=b"one" if message == "StoredNet" else "one")
    fill(layer.blobs.add())
    data: bytes = net.SerializeToString()
    return data


def modern(blob: Any) -> None:
    blob.data.extend(NUMBERS.ravel().tolist())
    blob.shape.dim.extend(NUMBERS.shape)


def legacy(blob: Any) -> None:
    blob.data.extend(NUMBERS.ravel().tolist())
    blob.num, blob.channels, blob.height, blob.width = 1, 1, 2, 3


def doubles(blob: Any) -> None:
    blob.double_data.extend(NUMBERS.ravel().tolist())
    blob.shape.dim.extend(NUMBERS.shape)


def halves(blob: Any) -> None:
    blob.raw_data, blob.raw_data_type = NUMBERS.astype("<f2").tobytes(), 2
    blob.shape.dim.extend(NUMBERS.shape)


def chunks(blob: Any) -> None:
    data = NUMBERS.astype("<f4").tobytes()
    blob.data.extend([data[:8], data[8:]])
    blob.shape.dim.extend(NUMBERS.shape)


@pytest.mark.parametrize(
    ("fill", "message"),
    [(modern, "NetParameter"), (legacy, "NetParameter"), (doubles, "NetParameter"), (halves, "StoredNet"), (chunks, "StoredNet")],
)
@pytest.mark.parametrize("old", [False, True])
def test_every_way_to_store_numbers(fill: Callable[[Any], None], message: str, old: bool) -> None:
    (found,) = read_caffemodel(file_of(fill, message, old))["one"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.reshape(2, 3), NUMBERS)


def wrong_size(blob: Any) -> None:
    blob.data.extend([1.0, 2.0])
    blob.shape.dim.extend([2, 3])


def huge(blob: Any) -> None:
    blob.shape.dim.extend([1 << 62, 1 << 62])


def negative(blob: Any) -> None:
    blob.data.extend([1.0, 2.0])
    blob.shape.dim.extend([-1, -2])


def odd_bytes(blob: Any) -> None:
    blob.data.append(b"abc")
    blob.shape.dim.append(1)


@pytest.mark.parametrize("fill", [wrong_size, huge, negative])
def test_numbers_that_do_not_fill_their_shape(fill: Callable[[Any], None]) -> None:
    with pytest.raises(InputError, match=r"layer one: .* do not fill its shape"):
        read_caffemodel(file_of(fill))


def test_bytes_that_are_no_numbers() -> None:
    with pytest.raises(InputError, match="no whole numbers"):
        read_caffemodel(file_of(odd_bytes, "StoredNet"))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100), file_of(modern)[:-3], b"\x08\x03" * 40])
def test_what_is_no_caffemodel(data: bytes) -> None:
    with pytest.raises(InputError, match=r"no \.caffemodel|do not fill"):
        read_caffemodel(data)
