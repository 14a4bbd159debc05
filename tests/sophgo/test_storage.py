"""The pool of constants: rows that are spread over the channels of global memory, with those of others between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpumlir_bm1684x.chip import arch
from tpumlir_core.ir import Array
from tpumlir_sophgo.schedule.storage import ConstantPool


def rows_at(pool: ConstantPool, offset: int, shape: tuple[int, int], stride: int) -> Array:
    data = np.frombuffer(bytes(pool.image), np.uint8)
    return np.stack([data[offset + i * stride : offset + i * stride + shape[1]] for i in range(shape[0])])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 64), st.integers(1, 90)), min_size=1, max_size=40))
def test_every_row_is_where_it_was_said_to_be(shapes: list[tuple[int, int]]) -> None:
    pool, random, kept = ConstantPool(), np.random.default_rng(0), []
    for lanes, words in shapes:
        image = random.integers(0, 256, (lanes, 4 * words), np.uint8)
        stride = arch().row_stride(*image.shape)
        kept.append((pool.add_rows(image, stride), stride, image))
        pool.add(random.integers(0, 256, 37, np.uint8))
    for offset, stride, image in kept:
        np.testing.assert_array_equal(rows_at(pool, offset, image.shape, stride), image)


def test_rows_share_their_blocks_and_are_stored_once() -> None:
    pool = ConstantPool()
    images = [np.full((64, 64), value, np.uint8) for value in range(4)]
    offsets = [pool.add_rows(image, 256) for image in images]
    assert offsets == [0, 64, 128, 192]
    assert len(pool.image) == 64 * 256
    assert pool.add_rows(images[1].copy(), 256) == 64
    assert pool.add_rows(np.full((64, 64), 9, np.uint8), 256) == 64 * 256


@pytest.mark.parametrize(
    ("rows", "length", "stride"),
    [(64, 32, 256), (49, 255, 256), (48, 32, 512), (20, 1000, 1024), (1, 32, 32), (64, 300, 300)],
)
def test_few_bytes_go_through_all_channels(rows: int, length: int, stride: int) -> None:
    assert arch().row_stride(rows, length) == stride
    if stride != length:
        assert (rows - 1) * stride >= (arch().global_channels - 1) * arch().global_channel
