"""Tables looked up by bytes (SG): one of 256 values for every element, in the standard layout."""

from __future__ import annotations

from dataclasses import replace

from tpumlir_bm1684x.instructions.common import PRECISION
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.emitter import Emitter, Engine
from tpumlir_sophgo.tensor import LocalTensor

ENTRIES = 256
_BYTE = PRECISION[ElementType.UI8]
_SAME_IN_ALL_LANES = 4  # layout code of a table
_LONGEST = 65535  # elements of a channel that one command takes
_PART = 1 << 15  # of a longer one: begins at a word of the execution units, of any type


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
        if h * w <= _LONGEST:
            self._lookup(out, index, table, (n, c, h * w))
            return
        if n > 1 or c + out.lane > self.arch.lanes:
            raise InternalError(f"lookup of {index}: more than one so long row in a lane")  # no local memory holds it and its results
        for start in range(0, h * w, _PART):
            size = min(_PART, h * w - start)
            self._lookup(_run(out, start, size), _run(index, start, size), table, (1, c, size))

    def _lookup(self, out: LocalTensor, index: LocalTensor, table: LocalTensor, size: tuple[int, int, int]) -> None:
        """One command; ``size``: batches, channels, elements of a channel."""
        n, c, elements = size
        first = out.lane * self.arch.lane_bytes
        values = {
            "cmd_id_en": 1, "res0_prec": PRECISION[out.element], "opd0_prec": PRECISION[table.element], "opd1_prec": _BYTE,
            "opd0_str": _SAME_IN_ALL_LANES, "opd0_h": 1, "opd0_w": ENTRIES, "opd1_c": c, "opd1_w": elements, "res0_n": n, "res0_c": c,
            "res0_h": 1, "res0_w": elements, "res0_addr": first + out.address, "opd0_addr": first + table.address,
            "opd1_addr": first + index.address,
        }
        self.issue(Engine.TIU, "sSG", values, [index, table], [out], variant="pe_s_gather_d1coor")


def _run(rows: LocalTensor, start: int, size: int) -> LocalTensor:
    """Some of the elements of each channel, which lie one after the other."""
    address = rows.address + start * rows.element.bytes
    return replace(rows, address=address, shape=(1, rows.shape[1], 1, size), strides=(rows.strides[0], rows.strides[1], size, 1))
