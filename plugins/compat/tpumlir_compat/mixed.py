"""The search for operations that have to stay float, which two commands have, and its flags."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tpumlir_compat.flags import Flag, acts, nothing, refused
from tpumlir_compat.values import words

if TYPE_CHECKING:
    from tpumlir_core.plugins.extension_points import CalibratedRange
    from tpumlir_core.preprocess import Sample
    from tpumlir_core.stages import Session

_OWN = "operations stay float by the noise that their 8 bits add to the outputs, as few as it takes"
_OUTPUTS = "what counts are the outputs; " + _OWN

FLAGS: tuple[Flag, ...] = (
    acts("--expected_cos", "least cosine of the outputs with the float network's", read=float, default=0.99),
    nothing("--min_layer_cos", _OWN, read=float, default=0.99),
    nothing("--max_float_layers", _OWN, read=int, default=5),
    acts("--fp_type", "what operations get that stay float; auto: F16 where the chip has it, else F32", default="auto",
         choices=("auto", "F16", "F32", "BF16")),
    refused("--post_process", _OUTPUTS),
    refused("--global_compare_layers", _OUTPUTS, default=""),
    nothing("--quantize_method_list", "ranges are those of the calibration table", read=words, default=("mse",)),
    nothing("--benchmark_method", _OWN, choices=("cos", "snr"), default="cos"),
)
"""Of the search itself; samples and files are the commands'."""


def search(
    values: Namespace, mlir: Path, ranges: Mapping[str, CalibratedRange], samples: Sequence[Sample], output: Path, session: Session
) -> None:
    """Write the quantization table of a Top .mlir; warn where not even all of its operations in floats are like the float network."""
    from tpumlir_core import api
    from tpumlir_core.mixed_precision import Search
    from tpumlir_core.plugins import TARGET
    from tpumlir_core.plugins.extension_points import LoweringOptions
    from tpumlir_core.tables import write_quantization_table

    chosen = {"auto": "F16" if "F16" in session.plugins.get(TARGET, values.chip).modes() else "F32"}
    wanted = Search(samples, values.expected_cos, float_mode=chosen.get(values.fp_type, values.fp_type))
    module = api.open_module(mlir, session=session)
    found = api.search_modes(module, chip=values.chip, wanted=wanted, lowering=LoweringOptions(calibration=ranges), session=session)
    write_quantization_table(output, found.modes)
    print(f"Quantization table {output}: {len(found.modes)} operations in floats, cosine {found.cosine_before:.6f} -> {found.cosine:.6f}")
    if found.cosine < values.expected_cos:
        print(f"warning: {output}: the cosine stays below --expected_cos {values.expected_cos}", file=sys.stderr)
