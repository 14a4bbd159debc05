"""How to lower, out of the flags of ``model_deploy.py``."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from tpumlir_core.ir import Module
from tpumlir_core.plugins.extension_points import LoweringOptions, Positions
from tpumlir_core.tables import read_calibration_table, read_quantization_table

INTEGER_MODES = ("INT8",)
"""Modes that need ranges; others leave a calibration table alone, as the reference does."""


def lowering_options(values: Namespace, module: Module) -> LoweringOptions:
    """The options, tables read. Operations of a table of modes that the network does not have are left out, with a warning."""
    modes = read_quantization_table(Path(values.quantize_table)) if values.quantize_table else {}
    needed = values.quantize in INTEGER_MODES or any(mode in INTEGER_MODES for mode in modes.values())
    ranges = read_calibration_table(Path(values.calibration_table)) if values.calibration_table and needed else {}
    return LoweringOptions(
        modes=_known(modes, module),
        calibration=ranges,
        asymmetric=values.asymmetric,
        quant_inputs=_positions(values, "quant_input"),
        quant_outputs=_positions(values, "quant_output"),
    )


def _known(modes: dict[str, str], module: Module) -> dict[str, str]:
    names = {value.name for operation in module.function.operations for value in operation.results}
    strange = sorted(modes.keys() - names)
    if strange:
        print(f"model_deploy.py: warning: --quantize_table: the network has no {', '.join(strange[:3])}"
              + (f" and {len(strange) - 3} more" if len(strange) > 3 else ""), file=sys.stderr)
    return {name: mode for name, mode in modes.items() if name in names}


def _positions(values: Namespace, flag: str) -> Positions:
    chosen = getattr(values, f"{flag}_list")
    return Positions(chosen, (getattr(values, flag) or getattr(values, f"{flag}_int8")) and not chosen)
