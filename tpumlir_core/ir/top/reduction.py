"""Top dialect: reductions along axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tpumlir_core.ir.attributes import F64, I64, ArgMode, Flag, I64s, ReduceMode
from tpumlir_core.ir.operation import Array, Operation, op
from tpumlir_core.ir.top.support import axes_of, axis_of, elements, float_like, present, real, reject, scalar
from tpumlir_core.ir.types import TensorType

_REDUCTIONS: dict[str, Callable[..., Array]] = {
    "ReduceMin": np.min,
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceSum": np.sum,
    "ReduceProd": np.prod,
    "ReduceL1": lambda values, axes, keepdims: np.sum(np.abs(values), axes, keepdims=keepdims),
    "ReduceL2": lambda values, axes, keepdims: np.sqrt(np.sum(np.square(values), axes, keepdims=keepdims)),
}


def reduced(shape: Sequence[int], axes: Sequence[int], keepdims: bool) -> tuple[int, ...]:
    """``shape`` with ``axes`` gone, or 1 with ``keepdims``."""
    return tuple(1 if axis in axes else extent for axis, extent in enumerate(shape) if keepdims or axis not in axes)


@op("top.Reduce")
class Reduce(Operation):
    """Minimum, maximum, mean, sum, product, L1 or L2 norm along ``axes`` (none given: all); computed in float64."""

    axes: I64s
    keepdims: Flag
    mode: ReduceMode
    is_scalar: Flag = False

    def over(self, rank: int) -> tuple[int, ...]:
        """The axes that go, counted from the front."""
        return axes_of(self, self.axes, rank) if self.axes else tuple(range(rank))

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        shape = reduced(source.shape, self.over(len(source.shape)), self.keepdims)
        return [float_like(source, scalar(self, shape, self.is_scalar))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        axes = self.over(values.ndim)
        shape = scalar(self, reduced(values.shape, axes, self.keepdims), self.is_scalar)
        result = _REDUCTIONS[self.mode](values.astype(np.float64), axes, keepdims=self.keepdims)
        return [np.asarray(result, np.float32).reshape(shape)]

    def flops(self) -> int:
        return elements(self)


@op("top.Arg", "input", "indices,values?")
class Arg(Operation):
    """Index of the greatest or least value along ``axis`` (the last of equals with ``select_last_index``), and that value."""

    axis: I64
    keepdims: Flag
    mode: ArgMode
    select_last_index: Flag = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        axis = axis_of(self, self.axis, len(source.shape))
        return [float_like(source, reduced(source.shape, (axis,), self.keepdims))] * 2

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        best = np.argmax if self.mode == "ArgMax" else np.argmin
        if self.select_last_index:
            places = values.shape[self.axis] - 1 - best(np.flip(values, self.axis), self.axis)
        else:
            places = np.asarray(best(values, self.axis))
        spread = np.expand_dims(places, self.axis)
        found = np.take_along_axis(values, spread, self.axis)
        results = [spread.astype(np.float32), found]
        return [r if self.keepdims else r.squeeze(self.axis) for r in results][: len(self.results)]

    def flops(self) -> int:
        return math.prod(self.input.shape)


@op("top.CumSum", "input,dim?")
class CumSum(Operation):
    """Running sum along ``axis``, the current element included."""

    axis: I64

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        axis_of(self, self.axis, len(source.shape))
        return [float_like(source, source.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        return [np.cumsum(real(inputs).astype(np.float64), self.axis).astype(np.float32)]

    def flops(self) -> int:
        return elements(self) - elements(self) // self.input.shape[self.axis]


@op("top.TopK", "input,kT?", "values?,indices?")
class TopK(Operation):
    """The ``K`` greatest (or least) values along ``axis``, best first, and their indices; of equals the lower index comes first."""

    axis: I64
    K: I64 = -1
    largest: Flag = True
    sorted: Flag = True
    replace_topk_indices: Flag = False
    use_hau: Flag = True

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        axis = axis_of(self, self.axis, len(source.shape))
        if not 0 <= self.K <= source.shape[axis]:
            reject(self, f"K {self.K} is outside axis {axis} of {source.shape}; it must be constant")
        return [float_like(source, (*source.shape[:axis], self.K, *source.shape[axis + 1 :]))] * 2

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs)
        order = np.argsort(-values if self.largest else values, self.axis, kind="stable")
        places = np.take(order, np.arange(self.K), self.axis)
        return [np.take_along_axis(values, places, self.axis), places.astype(np.float32)][: len(self.results)]


@op("top.Variance")
class Variance(Operation):
    """Variance along ``reduce_list`` (none given: all), its divisor the number of elements less ``correction``."""

    reduce_list: I64s
    correction: F64
    keep_dims: Flag = False

    def _over(self, rank: int) -> tuple[int, ...]:
        return axes_of(self, self.reduce_list, rank) if self.reduce_list else tuple(range(rank))

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        source = present(self, types)
        return [float_like(source, reduced(source.shape, self._over(len(source.shape)), self.keep_dims))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array]:
        values = real(inputs).astype(np.float64)
        axes = self._over(values.ndim)
        count = math.prod(values.shape[axis] for axis in axes)
        with np.errstate(all="ignore"):  # no degrees of freedom left: inf or nan
            return [np.asarray(np.var(values, axes, keepdims=self.keep_dims) * count / np.float64(count - self.correction), np.float32)]

    def flops(self) -> int:
        return 2 * elements(self)
