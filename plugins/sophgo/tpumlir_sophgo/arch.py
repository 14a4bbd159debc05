"""The figures of a chip, read from its ``arch.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

_LEAST_STRIDE, _FEWEST_ROWS = 256, 8


@dataclass(frozen=True)
class Arch:
    """What scheduling and code generation need to know of a chip. Sizes in bytes."""

    name: str
    lanes: int
    lane_bytes: int  # local memory of one lane
    banks: int  # banks of one lane
    eu_bytes: int  # alignment of a tensor in a lane; one execution-unit row
    local_base: int  # local memory as DMA addresses see it: lane i begins at local_base + i * lane_bytes
    static_base: int  # the firmware's table memory
    global_base: int  # global memory of a static network
    id_bits: int  # width of a command id
    global_alignment: int  # of buffers in global memory
    global_channel: int  # bytes of global memory that one of its channels serves before it is the next one's turn
    global_channels: int

    @property
    def bank_bytes(self) -> int:
        return self.lane_bytes // self.banks

    def row_stride(self, rows: int, row_bytes: int) -> int:
        """Bytes from one row to the next at which few short rows in global memory are read through all of its channels.

        ``row_bytes`` where they are by themselves, where there is little to read or rows are longer.
        """
        if rows < _FEWEST_ROWS:
            return row_bytes
        apart = ceil_div((self.global_channels - 1) * self.global_channel, rows - 1)
        stride = max(_LEAST_STRIDE, 1 << (apart - 1).bit_length())
        return stride if row_bytes < stride else row_bytes

    @classmethod
    def load(cls, path: Path) -> Arch:
        return cls(**tomllib.loads(path.read_text()))


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def align(value: int, to: int) -> int:
    return ceil_div(value, to) * to
