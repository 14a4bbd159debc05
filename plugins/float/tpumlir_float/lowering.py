"""Lowering of a Top module to float Tpu operations.

In F32 every Top operation becomes the Tpu operation of the same name; what the target has no kernel for is decomposed
into simpler Top operations first.
"""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.ir import Module
from tpumlir_core.lowering import prepare_for, to_tpu
from tpumlir_core.plugins.extension_points import LoweringOptions, Quantizer, Target


class FloatQuantizer(Quantizer):
    """Lowers to F32."""

    def modes(self) -> Sequence[str]:
        return ("F32",)

    def lower(self, module: Module, target: Target, options: LoweringOptions) -> Module:
        prepare_for(module, target, options.mode, options)
        return to_tpu(module, target.name, options.mode)
