"""What the kernel tests share: the emulator, and one operation run on it against its numpy reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.bm1684x.bare import narrow, wide
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels import registry
from tpumlir_core.ir import Array, ElementType, Operation, TensorType, Value, WeightStore, tpu
from tpumlir_core.ir.operation import operation_class
from tpumlir_core.ir.top import Input, Weight
from tpumlir_sophgo.kernel import Kernel, Views
from tpumlir_sophgo.tensor import Box
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.kernels import run_kernel
from tpumlir_sophgo.widening import Widened

ROUNDING = {ElementType.F16: 2.0**-11, ElementType.BF16: 2.0**-8}
"""Of a number to 16 bits: the largest error, relative to the number."""

Cut = Sequence[int | None]  # sizes of the pieces along n, c, h, w; None: whole


@dataclass(frozen=True)
class KernelRunner:
    """Runs local kernels on the emulator; ``kernels`` by opcode."""

    machine: Machine
    kernels: Mapping[str, Kernel]

    def operation(
        self, opcode: str, arrays: Sequence[Array | None], weights: frozenset[int] = frozenset(), results: int | tuple[int, ...] = 1,
        element: ElementType = ElementType.F32, **attributes: Any,
    ) -> tuple[Operation, WeightStore]:
        """An operation and its weights: the arrays at the positions in ``weights``; the others are inputs.

        ``results``: how many it has, or the shape of its only one. All but weights are of type ``element``.
        """
        kind = operation_class(opcode)
        assert kind is not None, f"{opcode} is not declared in {tpu.__name__}"
        store = WeightStore()
        operands: list[Value | None] = []
        for i, array in enumerate(arrays):
            if array is None:
                operands.append(None)
                continue
            typed = [(f"x{i}", TensorType(array.shape, ElementType.F32 if i in weights else element))]
            source: Operation = Weight.create([], typed) if i in weights else Input.create([None], typed)
            operands.append(source.output)
            if i in weights:
                store[f"x{i}"] = array
        if isinstance(results, tuple):
            return kind.create(operands, [("y", TensorType(results, element))], **attributes), store
        op = kind.create(operands, [f"y{i}" for i in range(results)], **attributes)
        for result in op.results:
            result.type = result.type.with_element(element)
        return op, store

    def run(
        self, opcode: str, arrays: Sequence[Array | None], weights: frozenset[int] = frozenset(), cut: Cut = (), loose: bool = False,
        results: int | tuple[int, ...] = 1, pieces: int = 1, element: ElementType = ElementType.F32, widened: bool = False,
        **attributes: Any,
    ) -> tuple[Operation, list[Array]]:
        """The operation and what the kernel gives, piece by piece: of the sizes in ``cut``, or about ``pieces`` along each
        axis that the kernel lets go in pieces. ``widened``: it computes in F32, with conversions around."""
        op, store = self.operation(opcode, arrays, weights, results, element, **attributes)
        kernel = self.kernels[opcode]
        assert kernel.takes(op) != widened, f"{opcode} is {'' if widened else 'not '}computed in {element.value}"
        if widened:
            kernel = Widened(arch(), kernel, op)

        def tiles(views: Views) -> list[Box]:
            return boxes(views, cut or even(kernel, op, views, pieces))

        in_pieces = tiles if cut or pieces > 1 else None
        held = [a if a is None or i in weights else narrow(a, element) for i, a in enumerate(arrays)]
        found = run_kernel(self.machine, Bm1684xEmitter.new, kernel, op, held, store, in_pieces, loose)
        return op, [wide(result, element) for result in found]

    def check(
        self, opcode: str, arrays: Sequence[Array | None], weights: frozenset[int] = frozenset(), tolerance: float = 1e-5, **options: Any
    ) -> None:
        """Compare ``run`` with the operation's numpy reference; ``tolerance`` is relative to the largest magnitude."""
        op, ours = self.run(opcode, arrays, weights, **options)
        for a, b in zip(ours, op.evaluate(arrays), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(np.abs(b).max(initial=1e-30)))

    def check_narrow(
        self, element: ElementType, opcode: str, arrays: Sequence[Array | None], weights: frozenset[int] = frozenset(),
        roundings: float = 1, **options: Any,
    ) -> None:
        """``check`` in 16 bits, of operands rounded to them; ``roundings``: so many of the largest magnitude may add up."""
        rounded = [None if a is None else wide(narrow(a, element), element) for a in arrays]
        self.check(opcode, rounded, weights, roundings * ROUNDING[element], element=element, **options)


def boxes(views: Views, cut: Cut) -> list[Box]:
    """The first result's view in pieces."""
    shape = views.results[0]
    axes = []
    for size, step in zip(shape, cut, strict=True):
        whole = step or size
        axes.append([(at, min(whole, size - at)) for at in range(0, size, whole)])
    found = []
    for n, c, h, w in product(*axes):
        found.append(Box((n[0], c[0], h[0], w[0]), (n[1], c[1], h[1], w[1])))
    return found


def even(kernel: Kernel, op: Operation, views: Views, pieces: int) -> list[int | None]:
    """Sizes of about ``pieces`` pieces along the axes that may be cut; along c a multiple of the lanes."""
    splits, lanes = kernel.splits(op, views), arch().lanes
    named = zip("nchw", views.results[0], strict=True)
    sizes: list[int | None] = [max(size // pieces, 1) if name in splits else None for name, size in named]
    if sizes[1] is not None:
        sizes[1] = -(-sizes[1] // lanes) * lanes
    return sizes


@pytest.fixture(scope="session")
def runner(machine: Machine) -> KernelRunner:
    """The emulator and the chip's kernels."""
    return KernelRunner(machine, registry().local)


@pytest.fixture
def normal() -> Callable[..., Array]:
    """Standard normal F32 arrays of given shapes, the same in every run."""
    generator = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        return generator.standard_normal(shape).astype(np.float32)

    return draw
