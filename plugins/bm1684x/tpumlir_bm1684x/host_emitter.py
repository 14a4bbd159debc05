"""Kernels run on the host: their instructions done in numpy at once, instead of becoming commands.

A kernel says what to do by calls of the emitter's builders. ``HostEmitter`` answers the same calls and does what the instructions do to
local memory, bit for bit ("CModel, measured"): what a kernel approximates, or sums in an order of its own, comes out alike, and is
written once. The chip's executor is what uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.filter_layout import inputs_per_step
from tpumlir_bm1684x.instructions.arithmetic import DIVIDE_STEPS
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_bm1684x.instructions.pooling import LOWEST
from tpumlir_bm1684x.instructions.special import NEWTON_STEPS
from tpumlir_bm1684x.kernels.functions import LEAST_NORMAL
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType, TensorType
from tpumlir_core.ir.storage import to_real, to_stored
from tpumlir_sophgo.arch import ceil_div
from tpumlir_sophgo.arithmetic import Rounding
from tpumlir_sophgo.conversion import convert
from tpumlir_sophgo.narrow import NARROW
from tpumlir_sophgo.tensor import LocalTensor

F32 = ElementType.F32
MOST_PRODUCTS = 1 << 25
"""That convolutions of floats are made of, one by one; where there are more, last bits are left to numpy's own sums."""
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


class _Turns:
    """Sums of products as PorD and CONV of F32 make them: even ones in one, odd ones in the other, then both; every step is rounded to
    ``element``. Both begin at zero unless told."""

    def __init__(self, shape: tuple[int, ...], element: ElementType, odd: Array | None = None, even: Array | None = None) -> None:
        self._rounded = _rounding(element)
        self._sums = [np.zeros(shape, np.float32) + (0 if begin is None else begin) for begin in (even, odd)]
        self._next = 0

    def add(self, x: Array, factor: Array) -> None:
        """The next product."""
        product_ = self._rounded(_flushed(_flushed(x) * factor))
        self._sums[self._next] = self._rounded(_flushed(self._sums[self._next] + product_))
        self._next = 1 - self._next

    def total(self) -> Array:
        return _flushed(self._sums[0] + self._sums[1])


def _rounding(element: ElementType) -> Callable[[Array], Array]:
    type_ = TensorType((), element)
    return (lambda array: to_real(to_stored(array, type_), type_)) if element in NARROW else (lambda array: array)


def _windows(
    x: Array, sweep: Sweep, out: tuple[int, ...], outside: Array | float = 0
) -> Iterator[tuple[tuple[int, int], Array]]:
    """For each tap of a kernel, row by row, what of (n, c, h, w) lies under it."""
    if sweep.expansion != (1, 1):
        raise Unmodelled("what lies between elements")
    up, down, left, right = sweep.pads
    source = np.pad(x, ((0, 0), (0, 0), (up, down), (left, right)), constant_values=outside)
    (h, w), (high, wide) = out[2:], sweep.stride
    for i, j in product(range(sweep.kernel[0]), range(sweep.kernel[1])):
        a, b = i * sweep.dilation[0], j * sweep.dilation[1]
        yield (i, j), source[:, :, a : a + (h - 1) * high + 1 : high, b : b + (w - 1) * wide + 1 : wide]


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
        elements, stop = self._elements(tensor), tensor.lane + c
        if stop <= self.arch.lanes:
            return elements[:, 0, tensor.lane : stop]
        found: Array = elements.reshape(n, -1, h, w)[:, tensor.lane : stop]
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
        rounded, value = _rounding(x.element), _flushed(self._value(x, x.element))
        product_ = rounded(_flushed(value * self._value(scale, x.element)))
        self._store(out, _flushed(product_ + self._value(bias, x.element)))

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

    # --- sums of products -------------------------------------------------------------------------------------------------
    def convolve(
        self, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep, accumulate: bool = False, *,
        outside: float = 0,
    ) -> None:
        """Of floats. 16 bits: from the bias on, 32 input channels at once, tap after tap of the kernel, then the next 32. F32: product by
        product in two turns, tap after tap of an input channel, then the next one; bias and what is accumulated to begin a turn each."""
        if not x.element.is_float or outside:
            raise Unmodelled("convolve")
        step, (rows, columns) = inputs_per_step(x.element), sweep.kernel
        groups, c = ceil_div(x.shape[1], step), out.shape[1]
        self._count(np.prod(out.shape) * groups * step * rows * columns)
        lie = (1, c, rows * columns * groups, step)
        row = rows * columns * groups * step
        kernels = self._value(LocalTensor(filters, lie, x.element, (0, row, step, 1), out.lane), x.element)[0]
        begin = self._value(out, F32) if accumulate else np.zeros(out.shape, np.float32)
        biases = None if bias is None else self.read(LocalTensor(bias, (1, c, 1, 1), F32, (0, 1, 1, 1), out.lane))
        value = self._value(x, x.element)
        source = np.zeros((len(value), groups * step, *value.shape[2:]), np.float32)
        source[:, : value.shape[1]] = value
        if x.element is F32:
            sums = _Turns(out.shape, F32, begin if accumulate or biases is None else biases, biases if accumulate else None)
            taps = list(_windows(source, sweep, out.shape))
            for channel in range(groups):
                for (i, j), seen in taps:
                    sums.add(seen[:, channel, None], kernels[None, :, (channel * rows + i) * columns + j, 0, None, None])
            self.write(out, sums.total())
            return
        found = begin if biases is None else begin + biases
        count = max(1, _AT_ONCE // (found[:, 0].size * step))
        by_tap = dict(_windows(source, sweep, out.shape))
        for group, i, j in product(range(groups), range(rows), range(columns)):
            seen = by_tap[i, j][:, group * step : (group + 1) * step].transpose(0, 2, 3, 1)[:, None]
            weights = kernels[:, (group * rows + i) * columns + j]
            for start in range(0, c, count):
                some = slice(start, start + count)
                found[:, some] = _flushed(found[:, some] + _sum_of_products(seen, weights[None, some, None, None]))
        self._store(out, found)

    def average_pool(self, out: LocalTensor, x: LocalTensor, sweep: Sweep, factor: float) -> None:
        self._count(np.prod(out.shape) * np.prod(sweep.kernel))
        sums = _Turns(out.shape, x.element)
        for _, seen in _windows(self._value(x, x.element), sweep, out.shape):
            sums.add(seen, self._value(factor, x.element))
        self._store(out, sums.total())

    def max_pool(self, out: LocalTensor, x: LocalTensor, sweep: Sweep) -> None:
        lowest, value = np.asarray(LOWEST[x.element], np.float32), self._value(x, x.element)
        found = np.full(out.shape, lowest)
        for _, seen in _windows(value, sweep, out.shape, lowest):
            found = np.where(seen > found, seen, found)
        self._store(out, found)

    def depthwise(
        self, out: LocalTensor, x: LocalTensor, filters: int, bias: int | None, sweep: Sweep, *, outside: float = 0,
    ) -> None:
        if not x.element.is_float or outside:
            raise Unmodelled("depthwise")
        (rows, columns), c = sweep.kernel, out.shape[1]
        self._count(np.prod(out.shape) * rows * columns)
        taps = LocalTensor(filters, (1, c, rows, columns), x.element, (0, rows * columns, columns, 1), out.lane)
        kernels = self._value(taps, x.element)
        biases = None if bias is None else self._value(LocalTensor(bias, (1, c, 1, 1), x.element, (0, 1, 1, 1), out.lane), x.element)
        sums = _Turns(out.shape, x.element, biases)
        for (i, j), seen in _windows(self._value(x, x.element), sweep, out.shape):
            sums.add(seen, kernels[:, :, i, j, None, None])
        self._store(out, sums.total())

    def _count(self, products: Any) -> None:
        self.products += int(products)
        if self.products > MOST_PRODUCTS:
            raise Unmodelled("so many products")
