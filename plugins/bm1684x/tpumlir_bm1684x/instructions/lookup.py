"""Tables looked up by bytes (SG): one of 256 values for every element, in the standard layout."""

from __future__ import annotations

from tpumlir_bm1684x.instructions.common import PRECISION
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import LocalTensor

ENTRIES = 256
_BYTE = PRECISION[ElementType.UI8]
_SAME_IN_ALL_LANES = 4  # layout code of a table


class LookupInstructions(Emitter):
    """Builders of the SG family."""

    def lookup(self, out: LocalTensor, index: LocalTensor, table: LocalTensor) -> None:
        """``out = table[index]``: SI8 or UI8 to any type. Costs a cycle an element of a lane, whatever its size.

        ``table``: (1, lanes, 1, 256) of ``out``'s type, the same in every lane, by the index's bits: those of SI8 -1 are entry 255.
        """
        if index.element.bytes != 1 or table.element is not out.element or table.shape != (1, self.arch.lanes, 1, ENTRIES):
            raise InternalError(f"lookup of {index.element.value} in {table} for {out.element.value}")
        if out.shape != index.shape or out.lane != index.lane or not (out.is_aligned(self.arch) and index.is_aligned(self.arch)):
            raise InternalError(f"lookup of {index} into {out}: shapes or lanes differ, or not in the standard layout")
        n, c, h, w = out.shape
        first = out.lane * self.arch.lane_bytes
        values = {
            "cmd_id_en": 1, "res0_prec": PRECISION[out.element], "opd0_prec": PRECISION[table.element], "opd1_prec": _BYTE,
            "opd0_str": _SAME_IN_ALL_LANES, "opd0_h": 1, "opd0_w": ENTRIES, "opd1_c": c, "opd1_w": h * w, "res0_n": n, "res0_c": c,
            "res0_h": 1, "res0_w": h * w, "res0_addr": first + out.address, "opd0_addr": first + table.address,
            "opd1_addr": first + index.address,
        }
        self.issue(Engine.TIU, "sSG", values, [index, table], [out], variant="pe_s_gather_d1coor")
