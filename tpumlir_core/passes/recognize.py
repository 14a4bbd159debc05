"""Recognition of operations that exporters take apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tpumlir_core.ir.operation import Module
from tpumlir_core.passes.activation_patterns import ACTIVATION_PATTERNS
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.norm_patterns import NORM_PATTERNS
from tpumlir_core.passes.rewriting import rewrite


@dataclass(frozen=True)
class RecognizePatterns(Pass):
    """Put activations, normalizations and Softmax together again; expects canonical forms."""

    name: ClassVar[str] = "recognize-patterns"

    def run(self, module: Module) -> bool:
        opcodes = {**NORM_PATTERNS, **ACTIVATION_PATTERNS}
        return rewrite(module, {name: (*NORM_PATTERNS.get(name, ()), *ACTIVATION_PATTERNS.get(name, ())) for name in opcodes})
