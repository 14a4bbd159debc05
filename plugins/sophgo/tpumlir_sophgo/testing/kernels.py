"""Run one local kernel on CModel and compare it with the operation's numpy reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, ElementType, Operation, WeightStore
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.emitter import Emitter
from tpumlir_sophgo.kernel import Kernel, Tile, Views
from tpumlir_sophgo.tensor import Box, LocalTensor, Shape4, aligned_bytes
from tpumlir_sophgo.testing.cmodel import Machine


def write_local(machine: Machine, tensor: LocalTensor, data: Array) -> None:
    """Put an (n, c, h, w) array into the lanes as ``tensor`` lays it out."""
    _elements(machine, tensor)[...] = _by_group(machine, tensor, data.astype(tensor.element.numpy, copy=False))


def read_local(machine: Machine, tensor: LocalTensor) -> Array:
    """The (n, c, h, w) array that a local tensor holds."""
    n, c, h, w = tensor.shape
    grouped = np.array(_elements(machine, tensor))  # lanes, n, groups, h, w
    return grouped.transpose(1, 2, 0, 3, 4).reshape(n, -1, h, w)[:, tensor.lane : tensor.lane + c]


def _elements(machine: Machine, t: LocalTensor) -> Array:
    lanes = machine.arch.lanes
    groups = -(-(t.shape[1] + t.lane) // lanes)
    base = machine.local.view(t.element.numpy)[:, t.address // t.element.bytes :]
    size = t.element.bytes
    strides = (machine.arch.lane_bytes, t.strides[0] * size, t.strides[1] * size, t.strides[2] * size, t.strides[3] * size)
    return np.lib.stride_tricks.as_strided(base, (lanes, t.shape[0], groups, t.shape[2], t.shape[3]), strides)


def _by_group(machine: Machine, t: LocalTensor, data: Array) -> Array:
    """(n, c, h, w) -> (lanes, n, groups, h, w); lanes outside the tensor keep what they hold."""
    lanes = machine.arch.lanes
    n, c, h, w = t.shape
    groups = -(-(c + t.lane) // lanes)
    full = np.array(_elements(machine, t)).transpose(1, 2, 0, 3, 4).reshape(n, groups * lanes, h, w)
    full[:, t.lane : t.lane + c] = data
    return full.reshape(n, groups, lanes, h, w).transpose(2, 0, 1, 3, 4)


def run_kernel(
    machine: Machine, make_emitter: Callable[[], Emitter], kernel: Kernel, op: Operation, inputs: Sequence[Array | None],
    weights: WeightStore | None = None, tiles: Callable[[Views], Sequence[Box]] | None = None, loose: bool = False,
) -> list[Array]:
    """Run ``kernel`` for ``op`` tile by tile (default: one tile, the whole result) and give the whole results.

    ``inputs`` are the operands' arrays in their own shapes (also of weights). ``loose``: hand operands over as parts of
    larger tiles (a margin around each), as the scheduler does where users of a value need different rows.
    """
    store = weights or WeightStore()
    reason = kernel.supports(op)
    assert reason is None, reason
    views = kernel.views(op, [None] * len(op.operands))
    assert views is not None
    outs = [np.zeros(v, r.type.element.numpy) for v, r in zip(views.results, op.results, strict=True)]
    boxes = [Box.whole(views.results[0])] if tiles is None else tiles(views)
    for box in boxes:
        _run_tile(machine, make_emitter(), kernel, op, inputs, store, views, box, outs, loose)
    return [o.reshape(r.shape) for o, r in zip(outs, op.results, strict=True)]


def _run_tile(
    machine: Machine, e: Emitter, kernel: Kernel, op: Operation, inputs: Sequence[Array | None], store: WeightStore,
    views: Views, box: Box, outs: list[Array], loose: bool,
) -> None:
    arch = machine.arch
    machine.fill()
    at = 0
    slices = kernel.input_slices(op, views, box)
    operands: list[LocalTensor | None] = []
    for view, part, data in zip(views.operands, slices, inputs, strict=True):
        if view is None or part is None or data is None:
            operands.append(None)
            continue
        element = ElementType.F32 if data.dtype == np.float32 else next(x for x in ElementType if x.numpy == data.dtype)
        outer = _grown(part, view) if loose else part
        whole = LocalTensor.aligned(arch, at, outer.size, element)
        at += align(aligned_bytes(arch, outer.size, element), arch.eu_bytes)
        write_local(machine, whole, data.reshape(view)[_index(outer)])
        inner = Box(tuple(a - b for a, b in zip(part.start, outer.start, strict=True)), part.size)  # type: ignore[arg-type]
        operands.append(whole.part(arch, inner))
    results: list[LocalTensor] = []
    for view, result in zip(views.results, op.results, strict=True):
        size = box.size if view == views.results[0] else view
        results.append(LocalTensor.aligned(arch, at, size, result.type.element))
        at += align(aligned_bytes(arch, size, result.type.element), arch.eu_bytes)
    tile = Tile(tuple(operands), tuple(results), tuple(slices), box)
    image = kernel.constants(op, views, box, store)
    if image is not None:
        machine.local[: image.shape[0], at : at + image.shape[1]] = image
        tile = replace(tile, constants=at)
        at += align(image.shape[1], arch.eu_bytes)
        assert image.shape[1] == kernel.constant_bytes(op, views, box, store), "constant_bytes disagrees with constants"
    tile = replace(tile, scratch=at)
    at += align(kernel.scratch(op, tile), arch.eu_bytes)
    assert at <= arch.lane_bytes, "the tile does not fit local memory"
    before = machine.local[:, at:].copy()
    kernel.emit(op, tile, e)
    machine.execute(e)
    assert np.array_equal(before, machine.local[:, at:]), "the kernel wrote outside its tile"
    for out, view, local in zip(outs, views.results, results, strict=True):
        target = box if view == views.results[0] else Box.whole(view)
        out[_index(target)] = read_local(machine, local)


def _grown(part: Box, view: Shape4) -> Box:
    """A larger box around a part, where the view has room (rows and columns only)."""
    grown = part
    for axis in (2, 3):
        start = max(0, part.start[axis] - 1)
        stop = min(view[axis], part.stop[axis] + 2)
        grown = grown.with_axis(axis, start, stop - start)
    return grown


def _index(box: Box) -> Any:
    return tuple(slice(a, b) for a, b in zip(box.start, box.stop, strict=True))
