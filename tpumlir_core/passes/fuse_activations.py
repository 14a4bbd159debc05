"""Fusion of Relu into the operation before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Module, Operation
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.rewriting import Rewriter, rewrite

# Operations whose last instruction can clamp.
_CLAMPING = (
    top.Conv, top.Deconv, top.MatMul, top.AvgPool, top.MaxPool, top.Scale, top.BatchNorm, top.Add, top.AddConst, top.Sub, top.SubConst,
    top.Mul, top.MulConst, top.Div,
)


@dataclass(frozen=True)
class FuseActivations(Pass):
    """Relu, limited or not, becomes ``do_relu`` and ``relu_limit`` of its source, if nothing else uses that.

    The result keeps the Relu's name, as in tpu-mlir 1.30.2.
    """

    name: ClassVar[str] = "fuse-activations"

    def run(self, module: Module) -> bool:
        return rewrite(module, {"top.Relu": (relu_of_relu, relu)})


def relu_of_relu(op: Operation, rewriter: Rewriter) -> bool:
    """Relu without a limit after Relu does nothing."""
    assert isinstance(op, top.Relu)
    below = op.input.owner
    positive = isinstance(below, top.Relu) or getattr(below, "do_relu", False)
    return positive and op.relu_limit <= 0 and rewriter.forward(op, op.input)


def relu(op: Operation, rewriter: Rewriter) -> bool:
    """Relu after an operation that can clamp."""
    assert isinstance(op, top.Relu)
    below = op.input.owner
    if not isinstance(below, _CLAMPING) or not rewriter.only_use(op.input) or not op.input.type.holds_as(op.output.type):
        return False
    assert hasattr(below, "do_relu")
    assert hasattr(below, "relu_limit")
    if below.do_relu and below.relu_limit > 0:
        below.relu_limit = min(below.relu_limit, op.relu_limit) if op.relu_limit > 0 else below.relu_limit
    else:
        below.do_relu, below.relu_limit = True, op.relu_limit
    rewriter.absorb(op, below)
    return True
