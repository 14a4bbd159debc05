"""Special functions (SFU) and the fused linear function (LIN). All tensors are in the standard layout.

Floats of any size, of one type, but for the root. Each product and each sum is rounded to it.
"""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import COMPACT, PRECISION, constant_bits
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import Box, LocalTensor

NEWTON_STEPS = 3  # of sfu.rsqrt; its cost does not depend on them ("CModel, measured")


class SpecialInstructions(Emitter):
    """Builders of the SFU and LIN families. None of them is slower in place (AR is: twice as long)."""

    def polynomial(self, out: LocalTensor, x: LocalTensor, coefficients: LocalTensor) -> None:
        """``out = sum(c[k] * x**k)`` by Horner's rule, each step rounded; costs one AR instruction per coefficient.

        ``coefficients``: (1, lanes, 1, count), lowest first, in every lane.
        """
        values = {"opd1_n": coefficients.shape[3], "opd1_addr": coefficients.address}
        self._special("taylor_4x", out, x, values, [coefficients])

    def reciprocal_sqrt(self, out: LocalTensor, x: LocalTensor) -> None:
        """``out = 1 / sqrt(x)``; a large finite number where x is 0. F32 alone: 16 bits come out wrong ("CModel, measured")."""
        if x.element is not ElementType.F32 or out.element is not ElementType.F32:
            raise InternalError(f"no reciprocal square root of {x.element.value}")
        self._special("rsqrt", out, x, {"opd2_n_str": NEWTON_STEPS}, [])

    def linear(self, out: LocalTensor, x: LocalTensor, scale: LocalTensor | float, bias: LocalTensor | float) -> None:
        """``out = x * scale + bias``, the product rounded. Scale and bias: constants, or (1, c, 1, 1) tensors in compact layout."""
        n, c, h, w = self._checked(out, x)
        values = {"cmd_id_en": 1, "res0_prec": PRECISION[out.element], "res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w}
        values |= {"res0_addr": out.address, "opd0_addr": x.address}
        reads = [x]
        for name, operand in (("opd1", scale), ("opd2", bias)):
            if isinstance(operand, LocalTensor):
                values[f"{name}_addr"] = operand.address
                reads.append(operand)
            else:
                values |= {f"{name}_const": 1, f"{name}_addr": constant_bits(operand, x.element)}
        self.issue(Engine.TIU, "sLIN", values, reads, [out], variant="mac")

    def fill_coefficients(self, table: LocalTensor, coefficients: tuple[float, ...]) -> None:
        """Write a polynomial's coefficients to every lane, one constant at a time."""
        lanes = table.shape[1]
        for k, value in enumerate(coefficients):
            cell = table.part(self.arch, Box((0, 0, 0, k), (1, lanes, 1, 1)))
            fields = {
                "cmd_id_en": 1, "tsk_opd_num": 1, "opd0_const": 1, "opd0_prec": PRECISION[table.element], "opd0_sign": 1,
                "opd0_addr": constant_bits(value, table.element), "res0_prec": PRECISION[table.element], "res0_n": 1, "res0_c": lanes,
                "res0_h": 1, "res0_w": 1, "res0_addr": cell.address, "res0_str": COMPACT,
            }
            self.issue(Engine.TIU, "sAR", fields, [], [cell], variant="copy")

    def _special(
        self, variant: str, out: LocalTensor, x: LocalTensor, values: dict[str, int], reads: list[LocalTensor]
    ) -> None:
        n, c, h, w = self._checked(out, x)
        fields = {"cmd_id_en": 1, "res0_prec": PRECISION[out.element], "opd0_prec": PRECISION[x.element], **values}
        fields |= {"res0_n": n, "res0_c": c, "res0_h": h, "res0_w": w, "res0_addr": out.address, "opd0_addr": x.address}
        self.issue(Engine.TIU, "sSFU", fields, [x, *reads], [out], variant=variant)

    def _checked(self, out: LocalTensor, x: LocalTensor) -> tuple[int, int, int, int]:
        if out.shape != x.shape or not out.is_aligned(self.arch) or not x.is_aligned(self.arch) or out.lane or x.lane:
            raise InternalError(f"special function of {x} into {out}: shapes differ, or not in the standard layout")
        return out.shape
