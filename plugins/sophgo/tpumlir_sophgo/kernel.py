"""The contract of a kernel: local, told that its tile is in local memory, emitting only the instructions that compute it.

The scheduler owns slicing, loads, stores, placement and order. What it asks a kernel, in this order:

``supports``       can this operation be done at all (``None``) or why not;
``views``          the 4-D (n, c, h, w) view of each operand and result that the kernel works on;
``splits``         the axes of the result's view along which it may be computed piece by piece;
``input_slices``   which part of each operand a part of the result needs;
``constants``      what it wants laid out in the lanes beforehand (filters, biases, tables), as one image of the lanes;
``scratch``        bytes of a lane it needs besides, while it runs;
``emit``           the instructions.

Operands listed by ``constant_operands`` reach the kernel only through ``constants``. All other tiles (operands and
results) are in the standard aligned layout when they are whole; an operand may be a part of a larger tile (same strides
as the larger one, see ``LocalTensor.is_aligned``), which happens where two users of a value need different rows; so may a result
that is computed in pieces (``piece_axis``), unless the kernel says that it does not write such (``writes_parts``).

A kernel computes in the element types that it is ``native`` in. An operation of other types is done in F32 by the same kernel,
with conversions around it (``widening``), so that a kernel for F32 serves every precision.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpumlir_core.ir import ElementType, Operation, Value, WeightStore
from tpumlir_sophgo.tensor import Box, GlobalTensor, LocalTensor, Shape4

LaneImage = np.ndarray[tuple[int, int], np.dtype[np.uint8]]  # [lanes (at most all), bytes of a lane]


FLOAT32 = frozenset({ElementType.F32})
FLOATS = frozenset({ElementType.F32, ElementType.F16, ElementType.BF16})
BYTES = frozenset({ElementType.SI8, ElementType.UI8})
EVERY_ELEMENT = frozenset(ElementType)

LANES, WORD_BYTES = 64, 64
"""What pieces of results are multiples of, unless a chip's kernels say otherwise: lanes, and bytes of a word of the execution units."""


@dataclass(frozen=True)
class Views:
    """4-D view of every operand (None: absent or a constant operand) and of every result."""

    operands: tuple[Shape4 | None, ...]
    results: tuple[Shape4, ...]


@dataclass(frozen=True)
class Tile:
    """One call of a kernel: local tensors and the boxes they are of the operation's views.

    ``operands[i]`` is None for an absent or constant operand. ``constants`` is the lane address of the image that
    ``Kernel.constants`` gave for ``out`` (-1: none), ``scratch`` that of the scratch bytes (-1: none); both are aligned
    to the EU width.
    """

    operands: tuple[LocalTensor | None, ...]
    results: tuple[LocalTensor, ...]
    boxes: tuple[Box | None, ...]
    out: Box
    constants: int = -1
    scratch: int = -1


class Kernel(ABC):
    """A local kernel for one operation class; stateless. ``e`` in ``emit`` is the chip's emitter."""

    native: frozenset[ElementType] = FLOAT32
    """Element types that it computes with."""

    def takes(self, op: Operation) -> bool:
        """Whether it computes with tiles as they are stored: all of one type that it is native in, quantized alike."""
        return alike(self, op)

    def supports(self, op: Operation) -> str | None:
        """None if this operation can be done, else the reason in a few words."""
        return None

    @abstractmethod
    def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
        """The views it works on. ``known[i]`` is the view that operand i already has (None: free to choose).

        A kernel that can adapt should honour ``known``; where it cannot, it answers its own views all the same (the
        scheduler then goes through global memory, where any view of a dense tensor is the same bytes).
        """

    def splits(self, op: Operation, views: Views) -> str:
        """Axes ("n", "c", "h", "w") of the first result along which pieces are independent. "c" pieces start at
        multiples of the lane count."""
        return "nch"

    def input_slices(self, op: Operation, views: Views, out: Box) -> list[Box | None]:
        """The part of each operand needed for ``out``, clipped to the operand; None for absent or constant operands.

        The default is element-wise with broadcasting: the same box, axes of size 1 staying whole.
        """
        boxes: list[Box | None] = []
        for view in views.operands:
            if view is None:
                boxes.append(None)
                continue
            start = tuple(0 if d == 1 else s for d, s in zip(view, out.start, strict=True))
            size = tuple(1 if d == 1 else z for d, z in zip(view, out.size, strict=True))
            boxes.append(Box(start, size))  # type: ignore[arg-type]
        return boxes

    def constant_operands(self, op: Operation) -> frozenset[int]:
        """Operands (which must be weights) that ``constants`` lays out; they are not loaded as tiles."""
        return frozenset()

    def constants(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> LaneImage | None:
        """The lane image wanted for ``out``, or None. It must depend on ``out`` only through ``piece_axis``."""
        return None

    def constant_bytes(self, op: Operation, views: Views, out: Box, weights: WeightStore) -> int:
        """Bytes a lane of that image has, without building it where that is cheap to say."""
        image = self.constants(op, views, out, weights)
        return 0 if image is None else image.shape[1]

    def piece_axis(self, op: Operation, views: Views) -> int:
        """The axis (1: c, 3: w) along which a result is computed in pieces when its constants are large.

        The image for a piece depends only on the piece's extent along this axis.
        """
        return 1

    def piece_unit(self, op: Operation, views: Views) -> int:
        """What the start of such a piece is a multiple of, along ``piece_axis``: 64 channels, or as many elements as fill a word of
        the execution units (an instruction's result begins with one)."""
        return LANES if self.piece_axis(op, views) == 1 else WORD_BYTES // op.results[0].type.element.bytes

    def writes_parts(self, op: Operation) -> bool:
        """Whether a piece may be a part of a larger tile that is not in the standard layout, as of several batches."""
        return True

    def scratch(self, op: Operation, tile: Tile) -> int:
        """Scratch bytes a lane; ``tile`` has the true shapes and strides, its addresses are only aligned."""
        return 0

    @abstractmethod
    def emit(self, op: Operation, tile: Tile, e: Any) -> None:
        """Emit the instructions that compute ``tile.results`` from ``tile.operands``."""


class GlobalKernel(ABC):
    """A kernel that drives its own loop between global tensors, with all of local memory as scratch.

    For operations that are data movement of an irregular kind, or too irregular to tile. Operands that are weights are
    global tensors too, unless ``constant_operands`` names them.
    """

    native: frozenset[ElementType] = FLOAT32
    """Element types that it computes with."""

    def takes(self, op: Operation) -> bool:
        """See ``Kernel.takes``."""
        return alike(self, op)

    def supports(self, op: Operation) -> str | None:
        return None

    def constant_operands(self, op: Operation) -> frozenset[int]:
        """Operands (weights) that the kernel reads itself, at compile time; they get no global tensor."""
        return frozenset()

    def constants(self, op: Operation, weights: WeightStore) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        """A blob of bytes wanted in global memory (index tables, coefficients), or None."""
        return None

    def workspace(self, op: Operation) -> int:
        """Bytes of global memory wanted as scratch."""
        return 0

    @abstractmethod
    def emit(self, op: Operation, call: GlobalCall, e: Any) -> None:
        """Emit everything: loads, instructions, stores."""


@dataclass(frozen=True)
class GlobalCall:
    """One call of a global kernel. Tensors are dense; addresses in bytes; ``shape4`` of a tensor of more than four axes
    merges its leading axes. ``constants``/``workspace`` are global addresses (-1: none)."""

    operands: tuple[GlobalTensor | None, ...]
    results: tuple[GlobalTensor, ...]
    constants: int = -1
    workspace: int = -1


def alike(kernel: Kernel | GlobalKernel, op: Operation) -> bool:
    """Whether all that reaches a kernel and leaves it is of one element type that it is native in, and quantized alike."""
    fixed = kernel.constant_operands(op)
    moved = [v for i, v in enumerate(op.operands) if v is not None and i not in fixed] + op.results
    stored = {(v.type.element, v.type.scaling) for v in moved}
    return len(stored) == 1 and moved[0].type.element in kernel.native


def default_view(shape: Sequence[int]) -> Shape4:
    """The 4-D view of a tensor where nothing else asks for one: (n, c, h, w); (a, b, 1, c); (a, b, 1, 1); (1, a, 1, 1).

    More than four axes: the inner ones merge into w.
    """
    d = [int(x) for x in shape]
    if len(d) == 0:
        return (1, 1, 1, 1)
    if len(d) == 1:
        return (1, d[0], 1, 1)
    if len(d) == 2:
        return (d[0], d[1], 1, 1)
    if len(d) == 3:
        return (d[0], d[1], 1, d[2])
    inner = 1
    for x in d[3:]:
        inner *= x
    return (d[0], d[1], d[2], inner)


def view_of(value: Value | None, view: Shape4 | None) -> bool:
    """Whether ``view`` has as many elements as ``value``."""
    if value is None or view is None:
        return value is None and view is None
    return view[0] * view[1] * view[2] * view[3] == value.type.elements


class KernelRegistry:
    """Kernels of one chip by opcode; ``widen`` makes of one that computes in F32 one for an operation of other types."""

    def __init__(self, widen: Callable[[Kernel, Operation], Kernel] | None = None) -> None:
        self.widen = widen
        self.local: dict[str, Kernel] = {}
        self.whole: dict[str, GlobalKernel] = {}

    def add(self, opcodes: str, kernel: Kernel | GlobalKernel) -> None:
        """Register a kernel for one or more opcodes (separated by spaces)."""
        for opcode in opcodes.split():
            table: dict[str, Any] = self.local if isinstance(kernel, Kernel) else self.whole
            assert opcode not in table, f"two kernels for {opcode}"
            table[opcode] = kernel


__all__ = [
    "BYTES", "EVERY_ELEMENT", "FLOAT32", "FLOATS", "GlobalCall", "GlobalKernel", "Kernel", "KernelRegistry", "LaneImage", "Tile", "Views",
    "alike", "default_view", "view_of",
]
