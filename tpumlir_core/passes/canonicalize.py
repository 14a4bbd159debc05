"""Canonical forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tpumlir_core.ir.operation import Module
from tpumlir_core.passes.constant_rules import CONSTANT_RULES
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.movement_rules import MOVEMENT_RULES
from tpumlir_core.passes.rewriting import rewrite
from tpumlir_core.passes.window_rules import WINDOW_RULES


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Write the same thing always the same way: see ``movement_rules``, ``constant_rules`` and ``window_rules``."""

    name: ClassVar[str] = "canonicalize"

    def run(self, module: Module) -> bool:
        tables = (MOVEMENT_RULES, CONSTANT_RULES, WINDOW_RULES)
        opcodes = sorted({opcode for table in tables for opcode in table})
        return rewrite(module, {opcode: tuple(rule for table in tables for rule in table.get(opcode, ())) for opcode in opcodes})
