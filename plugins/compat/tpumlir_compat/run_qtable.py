"""``run_qtable.py``: the search for operations that have to stay float. It is not here yet; its flags are known."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import NoReturn

from tpumlir_compat.entry import run
from tpumlir_compat.flags import Command, Flag, acts, nothing
from tpumlir_core.errors import UnsupportedError

_LATER = "there is no search for mixed precision yet"

FLAGS: tuple[Flag, ...] = (
    acts("mlir_file", _LATER),
    *(nothing(name, _LATER) for name in (
        "--dataset", "--data_list", "--input_num", "--inference_num", "--calibration_table", "--chip --processor", "--fp_type",
        "--expected_cos", "--min_layer_cos", "--max_float_layers", "--quantize_method_list", "--benchmark_method",
        "--global_compare_layers", "--base_quantize_table", "--loss_table", "--post_process", "--mix_mode", "-o --quantize_table",
        "--debug_cmd",
    )),
)
COMMAND = Command("run_qtable.py", "The search for operations that have to stay float: not yet.", FLAGS)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run(COMMAND, act, arguments)


def act(values: Namespace) -> int:
    """Raises UnsupportedError, with what to do instead."""
    raise UnsupportedError(
        f"{_LATER}; `tpumlir eval` says where a network loses: write those operations into a table, lines `NAME F16`, "
        "and give it to model_deploy.py --quantize_table"
    )
