"""Table lookup against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bm1684x.bare import Bench
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine

SI8, UI8, F16, F32 = ElementType.SI8, ElementType.UI8, ElementType.F16, ElementType.F32


@pytest.mark.parametrize("index", [SI8, UI8])
@pytest.mark.parametrize("target", [SI8, UI8, F16, F32])
@pytest.mark.parametrize(("shape", "lane"), [((2, 150, 5, 7), 9), ((1, 3, 60, 50), 0), ((1, 64, 1, 1), 0)])
def test_every_element_becomes_its_entry(
    machine: Machine, index: ElementType, target: ElementType, shape: tuple[int, int, int, int], lane: int
) -> None:
    bench = Bench(machine)
    data, entries = bench.draw(index, *shape), bench.draw(target, 256)
    x, out = bench.put(data, index, lane), bench.room(shape, target, lane)
    table = bench.put(np.broadcast_to(entries, (1, 64, 1, 256)), target)
    bench.e.lookup(out, x, table)
    np.testing.assert_array_equal(bench.read(out), entries[data.view(np.uint8)])


@pytest.mark.parametrize(("shape", "target"), [((1, 3, 257, 263), UI8), ((1, 64, 1, 70_001), F16)])
def test_more_elements_than_a_command_takes(machine: Machine, shape: tuple[int, int, int, int], target: ElementType) -> None:
    bench = Bench(machine)
    data, entries = bench.draw(UI8, *shape), bench.draw(target, 256)
    table, x, out = bench.put(np.broadcast_to(entries, (1, 64, 1, 256)), target), bench.put(data, UI8), bench.room(shape, target)
    bench.e.lookup(out, x, table)
    np.testing.assert_array_equal(bench.read(out), entries[data])


def test_what_cannot_be_encoded() -> None:
    x, table = (LocalTensor.aligned(arch(), 0, shape, SI8) for shape in ((1, 2, 2, 2), (1, 64, 1, 256)))
    wide, moved = LocalTensor.aligned(arch(), 0, x.shape, F16), LocalTensor.aligned(arch(), 0, x.shape, SI8, 1)
    for out, index, entries in ((x, wide, table), (wide, x, table), (x, x, x)):
        with pytest.raises(InternalError, match="lookup of"):
            Bm1684xEmitter.new().lookup(out, index, entries)
    with pytest.raises(InternalError, match="lanes differ"):
        Bm1684xEmitter.new().lookup(moved, x, table)
