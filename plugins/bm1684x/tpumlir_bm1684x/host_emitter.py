"""Kernels run on the host: their instructions done in numpy at once, instead of becoming commands.

A kernel says what to do by calls of the emitter's builders. ``HostEmitter`` answers the same calls and does what the instructions do to
local memory, bit for bit ("CModel, measured"): what a kernel approximates, or sums in an order of its own, comes out alike, and is
written once. The executor of the chip does so with the operations of ``DEPENDING``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeVar

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.filter_layout import inputs_per_step
from tpumlir_bm1684x.instructions.arithmetic import DIVIDE_STEPS
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.instructions.special import NEWTON_STEPS
from tpumlir_bm1684x.kernels import registry
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_bm1684x.kernels.common import FunctionKernel, Scratch
from tpumlir_bm1684x.kernels.functions import LEAST_NORMAL
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType, Module, Operation, TensorType, Value, WeightStore
from tpumlir_core.ir.storage import to_real, to_stored
from tpumlir_core.lowering import retyped
from tpumlir_sophgo.arch import align, ceil_div
from tpumlir_sophgo.arithmetic import Rounding
from tpumlir_sophgo.conversion import convert
from tpumlir_sophgo.executor import SophgoExecutor
from tpumlir_sophgo.kernel import Kernel, Tile
from tpumlir_sophgo.narrow import NARROW
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes

F32 = ElementType.F32
_Found = TypeVar("_Found")
DEPENDING = frozenset(f"tpu.{name}" for name in (
    "Arccos", "Arctanh", "Cos", "Cosh", "Div", "Elu", "Erf", "Exp", "GELU", "GroupNorm", "InstanceNorm", "LRN", "LayerNorm", "Log", "LogB",
    "Mish", "PixelNorm", "Pow", "Pow2", "Pow3", "RMSNorm", "Reciprocal", "Reduce", "Rsqrt", "SiLU", "Sigmoid", "Sin", "Sinh", "Softmax",
    "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh",
))
"""Operations whose numbers depend on how their kernels calculate."""
SUMMING = frozenset({"tpu.Conv", "tpu.Deconv", "tpu.MatMul"})
"""Sums of products; in 16 bits the instruction's own arithmetic shows in the last bit."""
BLOCK = 1 << 18
"""Elements that a function is done of at once."""
MOST_BYTES = 1 << 29
"""Of local memory that is made for one operation; what takes more is left to numpy's own functions."""
_ROOM = 4096
"""Bytes of a lane for what functions need beside tensors of the operand's size, and to begin these at whole words."""
MOST_PRODUCTS = 1 << 25
"""That convolutions of 16-bit floats are made of, one by one; where there are more, last bits are left to numpy's own sums."""
_PRODUCT_BITS = 24
_AT_ONCE = 1 << 20
"""Products in memory."""
_ROOT_BITS = 0x5F3759DF
"""Minus half the bits of x: the bits of about 1 / sqrt(x), where the instruction's iterations begin."""

_ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "and": np.bitwise_and, "or": np.bitwise_or,
    # of two zeros the second one, and of a NaN what the comparison leaves
    "max": lambda a, b: np.where(a > b, a, b), "min": lambda a, b: np.where(a >= b, b, a),
}
_RELATIONS: dict[str, Callable[[Array, Array], Array]] = {"gt": np.greater, "lt": np.less, "eq": np.equal}


def _flushed(array: Array) -> Array:
    """Subnormal F32 numbers are zeros to arithmetic."""
    if array.dtype != np.float32:
        return array
    found: Array = np.where(np.abs(array) < LEAST_NORMAL, np.copysign(np.float32(0), array), array)
    return found


def _sum_of_products(x: Array, filters: Array) -> Array:
    """What a step of the multipliers of 16-bit floats gives: products along the last axis, cut off 24 bits below the first one of the
    largest, added up exactly and rounded to F32."""
    products = x * filters
    _, exponent = np.frexp(np.abs(products).max(-1, keepdims=True))
    scaled = np.trunc(np.ldexp(products, _PRODUCT_BITS + 1 - exponent))
    found: Array = np.ldexp(scaled.sum(-1, dtype=np.float64), exponent[..., 0] - _PRODUCT_BITS - 1).astype(np.float32)
    return found


def _inverse_root(x: Array, steps: int) -> Array:
    """1 / sqrt(x) by Newton's rule, one step more than ``steps``."""
    y, half = (np.int32(_ROOT_BITS) - (x.view(np.int32) >> 1)).view(np.float32), _flushed(x * np.float32(0.5))
    for _ in range(steps + 1):
        y = _flushed(y * _flushed(np.float32(1.5) - _flushed(_flushed(half * y) * y)))
    return y


class Unmodelled(Exception):
    """An instruction that is not done here."""


class HostEmitter:
    """Builders that change ``memory``, (lanes, bytes), by numpy. Constants are in the type of the tensor beside them."""

    def __init__(self, bytes_: int) -> None:
        self.arch = arch()
        self.products = 0
        self.memory = np.zeros((self.arch.lanes, bytes_), np.uint8)

    def __getattr__(self, name: str) -> Any:
        raise Unmodelled(name)

    # --- local memory -----------------------------------------------------------------------------------------------------
    def read(self, tensor: LocalTensor) -> Array:
        """The (n, c, h, w) array that a local tensor holds."""
        n, c, h, w = tensor.shape
        found: Array = self._elements(tensor).reshape(n, -1, h, w)[:, tensor.lane : tensor.lane + c]
        return found

    def write(self, tensor: LocalTensor, data: Array) -> None:
        """Put an array, which is broadcast to a local tensor's shape, into the lanes."""
        elements, data = self._elements(tensor), np.broadcast_to(data, tensor.shape)
        lanes, first = self.arch.lanes, tensor.lane
        for group in range(elements.shape[1]):
            start, stop = max(group * lanes, first), min((group + 1) * lanes, first + tensor.shape[1])
            elements[:, group, start - group * lanes : stop - group * lanes] = data[:, start - first : stop - first]

    def _elements(self, t: LocalTensor) -> Array:
        """(n, groups of lanes, lanes, h, w), in place."""
        groups = -(-(t.shape[1] + t.lane) // self.arch.lanes)
        size = t.element.bytes
        if t.address + t.span > self.memory.shape[1]:
            raise InternalError(f"{t} lies beyond the {self.memory.shape[1]} bytes of a lane")
        n, c, h, w = (stride * size for stride in t.strides)
        base = self.memory.view(t.element.numpy)[:, t.address // size :]
        shape = (t.shape[0], groups, self.arch.lanes, *t.shape[2:])
        return np.lib.stride_tricks.as_strided(base, shape, (n, c, self.memory.strides[0], h, w))

    def _value(self, operand: LocalTensor | float, element: ElementType) -> Array:
        """As stored, but 16-bit floats as F32."""
        if isinstance(operand, LocalTensor):
            return to_real(self.read(operand), TensorType((), operand.element)) if operand.element in NARROW else self.read(operand)
        if element in NARROW:
            type_ = TensorType((), element)
            return to_real(to_stored(np.asarray(operand, np.float32), type_), type_)
        return np.asarray(operand, element.numpy)

    def _store(self, out: LocalTensor, data: Array) -> None:
        """Put what was calculated, of 16-bit floats as F32."""
        self.write(out, to_stored(data, TensorType((), out.element)) if out.element in NARROW else data)

    # --- builders ---------------------------------------------------------------------------------------------------------
    def binary(self, operation: str, out: LocalTensor, a: LocalTensor | float, b: LocalTensor | float) -> None:
        element = next((t.element for t in (a, b) if isinstance(t, LocalTensor)), out.element)
        if operation not in _ARITHMETIC or out.element is not element:
            raise Unmodelled(operation)
        found = _ARITHMETIC[operation](_flushed(self._value(a, element)), _flushed(self._value(b, element)))
        self._store(out, _flushed(found))

    def unary(self, operation: str, out: LocalTensor, a: LocalTensor | float, rounding: int = 0) -> None:
        if operation == "copy":
            self.copy(out, a)
        elif operation == "abs":
            self._store(out, np.abs(self._value(a, out.element)))
        elif operation == "cast" and isinstance(a, LocalTensor):
            self.write(out, convert(self.read(a), a.element, out.element, Rounding(rounding)))
        else:
            raise Unmodelled(operation)

    def divide(self, out: LocalTensor, a: LocalTensor | float, b: LocalTensor | float) -> None:
        numerator, divisor = _flushed(self._value(a, F32)), _flushed(self._value(b, F32))
        root = _inverse_root(np.abs(divisor), DIVIDE_STEPS)
        self.write(out, np.copysign(np.float32(1), divisor) * _flushed(numerator * _flushed(root * root)))

    def reciprocal_sqrt(self, out: LocalTensor, x: LocalTensor) -> None:
        self.write(out, _inverse_root(_flushed(self.read(x)), NEWTON_STEPS))

    def copy(self, out: LocalTensor, a: LocalTensor | float) -> None:
        self._store(out, self._value(a, out.element).copy())

    def shift_bits(self, out: LocalTensor, a: LocalTensor, bits: int, arithmetic: bool = False) -> None:
        values = self.read(a).astype(np.int32 if arithmetic else np.uint32)
        self.write(out, (values << bits if bits >= 0 else values >> -bits).astype(out.element.numpy))

    def choose(
        self, relation: str, out: LocalTensor, a: LocalTensor | float, b: LocalTensor | float, yes: LocalTensor | float,
        no: LocalTensor | float,
    ) -> None:
        compared = next((t.element for t in (a, b) if isinstance(t, LocalTensor)), out.element)
        holds = _RELATIONS[relation](_flushed(self._value(a, compared)), _flushed(self._value(b, compared)))
        self._store(out, np.where(holds, self._value(yes, out.element), self._value(no, out.element)))

    def select(self, relation: str, out: LocalTensor, a: LocalTensor | float, b: LocalTensor | float, yes: float) -> None:
        self.choose(relation, out, a, b, yes, 0.0)

    def linear(self, out: LocalTensor, x: LocalTensor, scale: float, bias: float) -> None:
        product = _flushed(_flushed(self.read(x)) * np.float32(scale))
        self.write(out, _flushed(product + np.float32(bias)))

    def fill_coefficients(self, table: LocalTensor, coefficients: tuple[float, ...]) -> None:
        self.write(table, np.array(coefficients, table.element.numpy))

    def polynomial(self, out: LocalTensor, x: LocalTensor, coefficients: LocalTensor) -> None:
        values, numbers = _flushed(self.read(x)), self.read(coefficients)[0, 0, 0]
        found = np.full(values.shape, numbers[-1])
        for number in numbers[-2::-1]:
            found = _flushed(_flushed(found * values) + number)
        self.write(out, found)

    def transpose(self, out: LocalTensor, source: LocalTensor) -> None:
        self.write(out, self.read(source).transpose(0, 3, 2, 1).copy())

    def lane_broadcast(self, out: LocalTensor, source: LocalTensor) -> None:
        self.write(out, self.read(source).copy())


    def convolve(
        self, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep, accumulate: bool = False, *,
        outside: float = 0,
    ) -> None:
        """Of 16-bit floats: from the bias on, 32 input channels at once, tap after tap of the kernel, then the next 32."""
        if x.element not in NARROW or outside or sweep.expansion != (1, 1):
            raise Unmodelled("convolve")
        n, c, h, w = out.shape
        step, (rows, columns) = inputs_per_step(x.element), sweep.kernel
        groups = ceil_div(x.shape[1], step)
        self.products += n * c * h * w * groups * step * rows * columns
        if self.products > MOST_PRODUCTS:
            raise Unmodelled("convolve")
        up, down, left, right = sweep.pads
        source = np.zeros((n, x.shape[2] + up + down, x.shape[3] + left + right, groups * step), np.float32)
        source[:, up : up + x.shape[2], left : left + x.shape[3], : x.shape[1]] = self._value(x, x.element).transpose(0, 2, 3, 1)
        lie = (1, c, rows * columns * groups, step)
        row = rows * columns * groups * step
        kernels = self._value(LocalTensor(filters, lie, x.element, (0, row, step, 1), out.lane), x.element)[0]
        sums = self._value(out, F32) if accumulate else np.zeros(out.shape, np.float32)
        if bias is not None:
            sums = sums + self.read(LocalTensor(bias, (1, c, 1, 1), F32, (0, 1, 1, 1), out.lane))
        for group, i, j in product(range(groups), range(rows), range(columns)):
            a, b, part = i * sweep.dilation[0], j * sweep.dilation[1], slice(group * step, (group + 1) * step)
            high, wide = sweep.stride
            seen = source[:, a : a + (h - 1) * high + 1 : high, b : b + (w - 1) * wide + 1 : wide, part]
            weights = kernels[:, (group * rows + i) * columns + j]
            count = max(1, _AT_ONCE // (n * h * w * step))
            for start in range(0, c, count):
                some = slice(start, start + count)
                sums[:, some] = _flushed(sums[:, some] + _sum_of_products(seen[:, None], weights[None, some, None, None]))
        self._store(out, sums)


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


def sums_of_products(operation: Operation, operands: Sequence[Array | None], each: bool) -> list[Array] | None:
    """The results of an operation of ``SUMMING`` in 16 bits, as F32; product by product only where ``each`` is asked for. None: as
    ``tpumlir_sophgo.narrow`` says."""
    if operation.opcode not in SUMMING or operation.results[0].type.element not in NARROW:
        return None
    kernel = _kernel(operation)
    if not kernel.takes(operation):  # it is done in F32, weights too
        return operation.evaluate(operands)
    return _whole(kernel, operation, operands) if each else None


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
    if end * arch().lanes > MOST_BYTES:
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
    """The family's executor, with what depends on kernels done as this chip's do it."""

    def depending(self, module: Module, operation: Operation, operands: Sequence[Array | None]) -> list[Array] | None:
        """Product by product in a network of 8 bits only, which has few sums of 16-bit floats."""
        each = module.attributes.get("module.mode") == "INT8"
        return as_kernels_do(operation, operands) or sums_of_products(operation, operands, each)
