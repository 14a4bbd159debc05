"""Matrix products (MM2) of 8 bits and 16-bit floats: matrices as rows in the lanes, as they lie in global memory.

As fast as a convolution of 1 x 1: ceil(rows / 64) * ceil(columns / 4) * ceil(inner / 64, of 16-bit floats 32) cycles. Unlike
there, no operand has to be rearranged: rows of the result and of the left matrix, the right matrix's rows too, lie in the lanes.
"""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION, SIGNED, constant_bits
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import LocalTensor


class MatrixInstructions(Emitter):
    """Builders of the MM2 family."""

    def multiply(
        self, out: LocalTensor, left: LocalTensor, right: LocalTensor, transposed: bool = False, accumulate: bool = False,
        right_zero: int = 0,
    ) -> None:
        """``out = left @ (right - right_zero)``, or by ``right`` ``transposed``; ``+ out`` when accumulating.

        A matrix is (1, rows, 1, columns) in the standard layout; each may begin in a lane of its own. F16 and BF16: to their
        own type or F32, added up in F32 and rounded once. 8 bits of either sign: exact in SI32. What accumulates has 32 bits.
        """
        for matrix in (out, left, right):
            if matrix.shape[0] != 1 or matrix.shape[2] != 1 or not matrix.is_aligned(self.arch):
                raise InternalError(f"{matrix} is no matrix in the standard layout")
        self._check_elements(out.element, left.element, right.element, accumulate)
        rows, columns, inner = out.shape[1], out.shape[3], left.shape[3]
        if left.shape[1] != rows or (right.shape[1], right.shape[3]) != ((columns, inner) if transposed else (inner, columns)):
            raise InternalError(f"{left} by {right} is not {out}, {transposed=}")
        values = {
            "cmd_id_en": 1, "res0_prec": PRECISION[out.element], "opd0_prec": PRECISION[left.element], "res_add": int(accumulate),
            "res0_c": rows, "res0_w": columns, "opd1_c": right.shape[1], "opd1_w": right.shape[3],
            "res0_addr": self._place(out), "opd0_addr": self._place(left), "opd1_addr": self._place(right), "opd2_const": 1,
        }
        if not left.element.is_float:
            values |= {"opd0_sign": int(left.element in SIGNED), "opd1_sign": int(right.element in SIGNED)}
            values["opd2_addr"] = constant_bits(right_zero, right.element)
        reads = [left, right, out] if accumulate else [left, right]
        self.issue(Engine.TIU, "sMM2", values, reads, [out], variant="nt" if transposed else "nn")

    def _check_elements(self, out: ElementType, left: ElementType, right: ElementType, accumulate: bool) -> None:
        if left.is_float:
            fits = left.bytes == 2 and right is left and out in (left, ElementType.F32)
        else:
            fits = left.bytes == right.bytes == 1 and not right.is_float and out is ElementType.SI32
        if not fits or (accumulate and out.bytes != 4):
            raise InternalError(f"no product of {left.value} by {right.value} gives {out.value}, {accumulate=}")

    def _place(self, matrix: LocalTensor) -> int:
        return matrix.lane * self.arch.lane_bytes + matrix.address
