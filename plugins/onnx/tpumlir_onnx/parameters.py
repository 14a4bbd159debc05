"""Parameters that ONNX gives as attributes or as inputs, depending on the opset, in one normal form."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array
from tpumlir_onnx.graph import Node


def normal_axis(node: Node, axis: int, rank: int) -> int:
    """An axis counted from the front. Raises InputError outside [-rank, rank)."""
    if not -rank <= axis < rank:
        raise InputError(f"{node}: axis {axis} is outside a tensor of rank {rank}")
    return axis % rank


def integers_of(array: Array) -> tuple[int, ...]:
    """All elements of a constant as integers."""
    return tuple(int(v) for v in array.reshape(-1))


def axes_of(node: Node, rank: int, given: Array | None) -> tuple[int, ...] | None:
    """The axes of a node from its input (``given``) or its attribute, sorted; None if it has neither."""
    if given is not None:
        axes = integers_of(given)
    elif node.has("axes"):
        axes = node.integers("axes")
    else:
        return None
    normal = sorted(normal_axis(node, a, rank) for a in axes)
    if len(set(normal)) != len(normal):
        raise InputError(f"{node}: an axis is given twice in {list(axes)}")
    return tuple(normal)


def reshape_target(node: Node, shape: Sequence[int], given: Array | None) -> tuple[int, ...]:
    """The static shape that a Reshape node makes of a tensor of ``shape`` (0 copies, one -1 is computed)."""
    wanted = list(integers_of(given)) if given is not None else list(node.integers("shape"))
    if not node.flag("allowzero"):
        for index, extent in enumerate(wanted):
            if extent == 0:
                if index >= len(shape):
                    raise InputError(f"{node}: extent 0 at axis {index} copies an axis the input does not have")
                wanted[index] = shape[index]
    elements = math.prod(shape)
    if wanted.count(-1) > 1 or any(e < -1 for e in wanted):
        raise InputError(f"{node}: target shape {wanted} is invalid")
    if -1 in wanted:
        rest = math.prod(e for e in wanted if e != -1)
        if rest == 0 or elements % rest:
            raise InputError(f"{node}: {elements} elements do not fill shape {wanted}")
        wanted[wanted.index(-1)] = elements // rest
    if math.prod(wanted) != elements:
        raise InputError(f"{node}: {elements} elements do not fill shape {wanted}")
    return tuple(wanted)


def slice_parameters(
    node: Node, shape: Sequence[int], given: Sequence[Array | None]
) -> tuple[list[int], list[int], list[int]]:
    """Full-rank (starts, ends, steps) of a Slice node, clamped; a negative step may end at -1, before the first element."""
    if node.opset < 10:
        starts, ends = node.integers("starts"), node.integers("ends")
        axes = node.integers("axes", range(len(starts)))
        steps: tuple[int, ...] = (1,) * len(starts)
    else:
        if len(given) < 2 or given[0] is None or given[1] is None:
            raise InputError(f"{node}: starts or ends are missing")
        starts, ends = integers_of(given[0]), integers_of(given[1])
        axes = integers_of(given[2]) if len(given) > 2 and given[2] is not None else tuple(range(len(starts)))
        steps = integers_of(given[3]) if len(given) > 3 and given[3] is not None else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise InputError(f"{node}: starts, ends, axes and steps have different lengths")
    full = [0] * len(shape), list(shape), [1] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = normal_axis(node, axis, len(shape))
        if step == 0:
            raise InputError(f"{node}: step is 0")
        full[0][axis], full[1][axis] = _clamped(start, end, step, shape[axis])
        full[2][axis] = step
    return full


def _clamped(start: int, end: int, step: int, extent: int) -> tuple[int, int]:
    start = start + extent if start < 0 else start
    end = end + extent if end < 0 else end
    if step > 0:
        return min(max(start, 0), extent), min(max(end, 0), extent)
    return min(max(start, 0), extent - 1), min(max(end, -1), extent - 1)


def split_sizes(node: Node, extent: int, given: Array | None) -> list[int]:
    """The extents of a Split node's outputs."""
    if given is not None:
        sizes = list(integers_of(given))
    elif node.has("split"):
        sizes = list(node.integers("split"))
    else:
        parts = node.integer("num_outputs", len(node.outputs))
        if parts != len(node.outputs):
            raise InputError(f"{node}: num_outputs is {parts}, but it has {len(node.outputs)} outputs")
        size = -(-extent // parts)
        sizes = [min(size, extent - i * size) for i in range(parts)]
    if len(sizes) != len(node.outputs) or sum(sizes) != extent or min(sizes, default=0) < 0:
        raise InputError(f"{node}: sizes {sizes} do not split an axis of {extent} into {len(node.outputs)}")
    return sizes
