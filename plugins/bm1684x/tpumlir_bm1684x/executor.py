"""The executor of BM1684X: operations whose numbers depend on how their kernels calculate are done by these kernels, on the host.

That is as the chip does it in every bit. Sums of many products are left to numpy where that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.host_emitter import HostEmitter, Unmodelled
from tpumlir_bm1684x.kernels import registry
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import FunctionKernel, Scratch
from tpumlir_core.ir import Array, ElementType, Module, Operation, TensorType, Value, WeightStore
from tpumlir_core.ir.storage import to_real, to_stored
from tpumlir_core.lowering import retyped
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.executor import SophgoExecutor
from tpumlir_sophgo.kernel import Kernel, Tile
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

F32 = ElementType.F32
_Found = TypeVar("_Found")
DEPENDING = frozenset(f"tpu.{name}" for name in (
    "Arccos", "Arctanh", "Cos", "Cosh", "Div", "Elu", "Erf", "Exp", "GELU", "GroupNorm", "InstanceNorm", "LRN", "LayerNorm", "Log", "LogB",
    "Mish", "PixelNorm", "Pow", "Pow2", "Pow3", "RMSNorm", "Reciprocal", "Reduce", "Rsqrt", "SiLU", "Sigmoid", "Sin", "Sinh", "Softmax",
    "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh",
))
"""Operations whose numbers depend on how their kernels calculate."""
STEPWISE = frozenset({"tpu.AvgPool", "tpu.HardSwish", "tpu.Interp", "tpu.Upsample"})
"""Operations of a few steps, each of which is rounded to the type that the kernel calculates in."""
SUMMING = frozenset({"tpu.Conv", "tpu.Deconv", "tpu.MatMul"})
"""Sums of products; the instruction's own arithmetic shows in the last bit."""
BLOCK = 1 << 18
"""Elements that a function is done of at once."""
MOST_BYTES = 1 << 29
"""Of local memory that is filled for one operation; what takes more is left to numpy's own functions."""
_MOST_LANE_BYTES = 1 << 26
"""Of a lane: those that no tensor reaches are never touched, and so take no memory."""
_ROOM = 4096
"""Bytes of a lane for what functions need beside tensors of the operand's size, and to begin these at whole words."""


def as_kernels_do(operation: Operation, operands: Sequence[Array | None]) -> list[Array] | None:
    """The results of an operation of ``DEPENDING``, as F32, by its kernel; None where that is not done here.

    ``operands`` are F32, weights among them.
    """
    if operation.opcode not in DEPENDING:
        return None
    twin = retyped(operation, _as_f32)
    kernel = _kernel(twin)
    x = operands[0]
    if isinstance(kernel, FunctionKernel) and x is not None and _are_floats(operands):
        return _modelled(lambda: [_function(kernel, twin, x)])
    return _whole(kernel, twin, operands)


def in_steps(operation: Operation, operands: Sequence[Array | None], each: bool) -> list[Array] | None:
    """The results of an operation of ``STEPWISE`` or ``SUMMING``, as F32, by its kernel in the type that that calculates in; of
    ``SUMMING`` product by product only where ``each`` is asked for. None: as ``tpumlir_sophgo.narrow`` says."""
    if operation.opcode not in STEPWISE | SUMMING:
        return None
    kernel, twin = _kernel(operation), operation
    if not kernel.takes(operation):  # it is done in F32, weights too
        twin = retyped(operation, _as_f32)
        kernel = _kernel(twin)
    found = _whole(kernel, twin, operands) if each or operation.opcode in STEPWISE else None
    return operation.evaluate(operands) if found is None and twin is not operation else found


def _kernel(operation: Operation) -> Kernel:
    kernel: Any = registry().local[operation.opcode]
    while isinstance(kernel, ChoiceKernel):
        kernel = kernel.choose(operation)
    found: Kernel = kernel
    return found


def _are_floats(operands: Sequence[Array | None]) -> bool:
    return all(a is None or (a.dtype == np.float32 and a.size > 0) for a in operands)


def _modelled(run: Callable[[], _Found]) -> _Found | None:
    """What a run of a kernel gives; None where an instruction is not done here."""
    try:
        with np.errstate(all="ignore"):
            return run()
    except Unmodelled:
        return None


def _as_f32(type_: TensorType) -> TensorType:
    return type_.with_storage(F32, None)


def _function(kernel: FunctionKernel, operation: Operation, x: Array) -> Array:
    """Element by element: in blocks over all lanes."""
    flat, lanes = x.reshape(-1), arch().lanes
    found = np.empty_like(flat)
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK]
        count = -(-part.size // lanes)
        source = LocalTensor.aligned(arch(), 0, (1, lanes, 1, count), F32)
        size = aligned_bytes(arch(), source.shape, F32)
        out = LocalTensor.aligned(arch(), size, source.shape, F32)
        emitter: Any = HostEmitter(2 * size + kernel.buffers_for(operation) * size + _ROOM)  # to kernels it is as the chip's
        emitter.write(source, np.resize(part, source.shape))
        kernel.compute(operation, [source], out, Scratch(2 * size), emitter)
        found[start : start + BLOCK] = emitter.read(out).reshape(-1)[: part.size]
    return found.reshape(x.shape)


def _whole(kernel: Kernel, operation: Operation, operands: Sequence[Array | None]) -> list[Array] | None:
    """All of an operation as one tile, in as much local memory as it takes."""
    fits = _are_floats(operands) and kernel.supports(operation) is None
    return _modelled(lambda: _one_tile(kernel, operation, operands)) if fits else None


def _one_tile(kernel: Kernel, operation: Operation, operands: Sequence[Array | None]) -> list[Array] | None:
    views = kernel.views(operation, [None] * len(operands))
    if views is None:
        return None
    box, at = Box.whole(views.results[0]), 0
    store = WeightStore()
    for value, array in zip(operation.operands, operands, strict=True):
        if value is not None and array is not None:
            store[value.name] = array

    def place(shape: Shape4, value: Value) -> LocalTensor:
        nonlocal at
        found = LocalTensor.aligned(arch(), at, shape, value.type.element)
        at += align(aligned_bytes(arch(), shape, found.element), arch().eu_bytes)
        return found

    pairs = zip(views.operands, operation.operands, strict=True)
    sources = [None if view is None or value is None else place(view, value) for view, value in pairs]
    boxes = kernel.input_slices(operation, views, box)
    parts = tuple(
        None if source is None or part is None else source.part(arch(), part) for source, part in zip(sources, boxes, strict=True)
    )
    results = tuple(place(view, value) for view, value in zip(views.results, operation.results, strict=True))
    image = kernel.constants(operation, views, box, store)
    constants, at = at, at + (0 if image is None else align(image.shape[1], arch().eu_bytes))
    tile = Tile(parts, results, tuple(boxes), box, constants, at)
    end = at + align(kernel.scratch(operation, tile), arch().eu_bytes)
    filled = min(max(tensor.shape[1] for tensor in (*sources, *results) if tensor is not None), arch().lanes)
    if end > _MOST_LANE_BYTES or end * filled > MOST_BYTES:
        return None
    emitter = HostEmitter(end)
    for source, array in zip(sources, operands, strict=True):
        if source is not None and array is not None:
            emitter.write(source, to_stored(array, TensorType((), source.element)).reshape(source.shape))
    if image is not None:
        emitter.memory[: len(image), constants : constants + image.shape[1]] = image
    kernel.emit(operation, tile, emitter)
    stored = zip(results, operation.results, strict=True)
    return [to_real(emitter.read(result), TensorType((), result.element)).reshape(value.shape) for result, value in stored]


class Bm1684xExecutor(SophgoExecutor):
    """The family's executor, with what depends on kernels done as this chip's do it.

    Sums of products of floats are made product by product in networks of 8 bits, which have few of them, and where
    ``every_product`` is asked for; elsewhere numpy sums them up, so that now and then a last bit differs.
    """

    def __init__(self, every_product: bool = False) -> None:
        self._every_product = every_product

    def depending(self, module: Module, operation: Operation, operands: Sequence[Array | None]) -> list[Array] | None:
        each = self._every_product or module.attributes.get("module.mode") == "INT8"
        return as_kernels_do(operation, operands) or in_steps(operation, operands, each)
