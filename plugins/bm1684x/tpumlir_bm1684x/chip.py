"""The chip's data files, read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tpumlir_sophgo.arch import Arch
from tpumlir_sophgo.emitter import Engine
from tpumlir_sophgo.isa import InstructionSet

_HERE = Path(__file__).parent


@cache
def arch() -> Arch:
    """The chip's figures."""
    return Arch.load(_HERE / "arch.toml")


@cache
def instruction_sets() -> dict[Engine, InstructionSet]:
    """The instruction formats of both engines."""
    return {
        Engine.TIU: InstructionSet.load(_HERE / "isa" / "tiu.toml"),
        Engine.DMA: InstructionSet.load(_HERE / "isa" / "dma.toml"),
    }
