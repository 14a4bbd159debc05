"""Canonical forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tpumlir_core.ir.operation import Module
from tpumlir_core.passes.constant_rules import CONSTANT_RULES
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.movement_rules import MOVEMENT_RULES
from tpumlir_core.passes.rewriting import rewrite


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Write the same thing always the same way: see the rules in ``movement_rules`` and ``constant_rules``."""

    name: ClassVar[str] = "canonicalize"

    def run(self, module: Module) -> bool:
        return rewrite(module, {**MOVEMENT_RULES, **CONSTANT_RULES})
