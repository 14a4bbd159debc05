"""``run_qtable.py``: a calibrated Top .mlir and samples to a quantization table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tpumlir_compat import mixed, samples
from tpumlir_compat.entry import run
from tpumlir_compat.flags import Command, Flag, acts, nothing, refused

_TENSORS = "there are no other ways of searching"

FLAGS: tuple[Flag, ...] = (
    acts("mlir_file", "the Top .mlir that model_transform.py has written"),
    *samples.FLAGS,
    acts("--input_num", "how many of the samples to use; 0: all", read=int, default=10),
    nothing("--inference_num", "it runs on all samples that --input_num leaves", read=int, default=30),
    acts("--calibration_table", "the ranges of its tensors", required=True),
    acts("--chip --processor", "the target: what `tpumlir plugins list` names", required=True, read=str.lower),
    *mixed.FLAGS,
    refused("--base_quantize_table", _TENSORS),
    nothing("--loss_table", "what each operation loses is printed by `tpumlir qtable`", default="full_loss_table.txt"),
    refused("--mix_mode", "there are no modes of 4 bits", default="8_16", accepted=("wi8ai8_fp",)),
    acts("-o --quantize_table", "the quantization table to write", required=True),
    refused("--debug_cmd", _TENSORS, default=""),
)
COMMAND = Command("run_qtable.py", "The operations that have to stay float for the outputs to be like the float network's.", FLAGS)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run(COMMAND, act, arguments)


def act(values: Namespace) -> int:
    """Search and write the table."""
    from tpumlir_compat.sessions import open_session
    from tpumlir_core.files import check_output
    from tpumlir_core.tables import read_calibration_table

    output = Path(values.quantize_table)
    check_output(output)
    ranges = read_calibration_table(Path(values.calibration_table))
    mixed.search(values, Path(values.mlir_file), ranges, samples.read(values), output, open_session())
    return 0
