"""Comparison and selection (CMP). All tensors are in the standard layout."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION, SIGNED, constant_bits
from tpumlir_core.errors import InternalError
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import LocalTensor

Operand = LocalTensor | float


class CompareInstructions(Emitter):
    """Builders of the CMP family."""

    def choose(self, relation: str, out: LocalTensor, a: Operand, b: Operand, yes: Operand, no: Operand) -> None:
        """``out = a relation b ? yes : no``; ``relation``: gt, eq or lt. Constants are floats; costs two AR instructions."""
        n, c, h, w = out.shape
        if not out.is_aligned(self.arch):
            raise InternalError(f"a comparison into {out}, which is not in the standard layout")
        compared = next((t.element for t in (a, b) if isinstance(t, LocalTensor)), out.element)
        values = {
            "cmd_id_en": 1, "opd0_prec": PRECISION[compared], "opd0_sign": int(compared in SIGNED), "opd2_prec": PRECISION[out.element],
            "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w, "res0_addr": out.address,
        }
        reads = []
        for index, operand in enumerate((a, b, yes, no)):
            if isinstance(operand, LocalTensor):
                if operand.shape != out.shape or not operand.is_aligned(self.arch):
                    raise InternalError(f"comparison of {operand} into {out}: shapes differ, or not in the standard layout")
                values[f"opd{index}_addr"] = operand.address
                reads.append(operand)
            else:
                element = compared if index < 2 else out.element
                values |= {f"opd{index}_const": 1, f"opd{index}_addr": constant_bits(operand, element)}
        self.issue(Engine.TIU, "sCMP", values, reads, [out], variant=f"select_{relation}")
