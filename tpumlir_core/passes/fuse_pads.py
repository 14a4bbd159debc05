"""Fusion of explicit padding into the windows that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Module, Operation
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.rewriting import Rewriter, rewrite

_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class FusePads(Pass):
    """Pad with a constant on spatial axes becomes ``pads`` of the Conv, AvgPool or MaxPool that alone uses it."""

    name: ClassVar[str] = "fuse-pads"

    def run(self, module: Module) -> bool:
        return rewrite(module, {"top.Conv": (pad,), "top.AvgPool": (pad,), "top.MaxPool": (pad,)})


def pad(op: Operation, rewriter: Rewriter) -> bool:
    """Take over the padding of a Pad."""
    assert isinstance(op, top.Conv | top.AvgPool | top.MaxPool)
    below = op.input.owner
    if not isinstance(below, top.Pad) or len(below.operands) > 1 or below.mode != "constant" or not rewriter.only_use(op.input):
        return False
    rank = len(op.input.shape)
    begins, ends = below.paddings[:rank], below.paddings[rank:]
    if any(begins[:2]) or any(ends[:2]) or min(below.paddings) < 0 or op.auto_pad not in (None, "NOTSET"):
        return False
    if not _same_border(op, below):
        return False
    own = op.pads or (0,) * (2 * (rank - 2))
    pads = tuple(a + b for a, b in zip(own, (*begins[2:], *ends[2:]), strict=True))
    changes = {"count_include_pad": True} if isinstance(op, top.AvgPool) else {}
    made = rewriter.remake(op, [below.input, *op.operands[1:]], op.name, pads=pads, **changes)
    rewriter.replace(op, made.output)
    return True


def _same_border(op: top.Conv | top.AvgPool | top.MaxPool, below: top.Pad) -> bool:
    """Whether the operation's own border would have the value that ``below`` writes."""
    if isinstance(op, top.Conv):
        return below.val == 0 and not any(op.inserts or ())
    if op.ceil_mode or not op.kernel_shape:
        return False
    if isinstance(op, top.AvgPool):
        return below.val == op.pad_value and (op.count_include_pad or not any(op.pads))
    # A MaxPool's border never wins; zeros do not either over values that Relu made, if every window has a value.
    spatial = len(op.kernel_shape)
    inside = all(p < k for p, k in zip(below.paddings[2 : 2 + spatial], op.kernel_shape, strict=True))
    inside &= all(p < k for p, k in zip(below.paddings[4 + spatial :], op.kernel_shape, strict=True))
    maker = below.input.owner
    positive = isinstance(maker, top.Relu) or bool(getattr(maker, "do_relu", False))
    return not any(op.pads) and inside and (below.val <= _LOWEST or (below.val == 0 and positive))
