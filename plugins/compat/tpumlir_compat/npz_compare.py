"""``npz_tool.py compare``, and ``cali_test``, which compares with what 8 bits make of tensors."""

from __future__ import annotations

import math
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tpumlir_compat.comparison import MEASURED, Compared, Options, compare_all, most_alike, report, verdict
from tpumlir_compat.flags import Command, Flag, acts, nothing, switch
from tpumlir_compat.values import tolerance, words
from tpumlir_core.files import read_npz, write_bytes, write_npz
from tpumlir_core.ir import Array
from tpumlir_core.tables import read_calibration_table

FAILED_EXIT = 1
"""With a tensor that differs; the reference's installed command ends so too."""

FLAGS: tuple[Flag, ...] = (
    acts("target_file", "the .npz to compare"),
    acts("ref_file", "the .npz to compare it with"),
    acts("--verbose -v", "tell shapes and similarities; -vv, -vvv, -vvvv: the largest, the differing, all elements of what fails",
         count=True, default=0),
    acts("--tolerance", "least cosine and euclidean similarity that passes", read=tolerance, default=(0.99, 0.99)),
    acts("--excepts", "tensors that are not compared", read=words, default=()),
    nothing("--full-array", "elements are printed whole always", switch=True),
    nothing("--stats_int8_tensor", "tensors of int8 are counted always", switch=True),
    acts("--int8_tensor_close", "0: tensors of int8 may differ as floats may", read=int, default=1),
    acts("--save -s", "write the results as CSV"),
    switch("--only_key", "write the names of the tensors that fail there, nothing else"),
    acts("--per_axis_compare", "compare every slice up to this axis by itself; the worst one counts", read=int, default=-1),
    switch("--fuzzy_match", "compare each tensor with the most alike of its shape, whatever it is called"),
    nothing("--forall -a", "all tensors are compared always", switch=True),
    acts("--key -k", "the only tensor to compare", default=""),
)
COMMAND = Command("npz_tool.py compare", "Compare the tensors of two files.", FLAGS)

CALI_FLAGS: tuple[Flag, ...] = (
    acts("npz_file", "the .npz with floats"),
    acts("--calibration_table", "the ranges of its tensors", required=True),
)
CALI_COMMAND = Command("npz_tool.py cali_test", "Compare tensors with what 8 bits make of them.", CALI_FLAGS)
CALI_TOLERANCE = (0.95, 0.85)
REQUANTIZED = Path("requant.npz")
"""What 8 bits make of them (as tpu-mlir 1.30.2 calls it)."""


def compare(arguments: Sequence[str]) -> int:
    """The exit code: 0 where all that both have passes, also where that is nothing."""
    values = COMMAND.parse(arguments)
    return _compare(values, read_npz(Path(values.target_file)), read_npz(Path(values.ref_file)))


def _compare(values: Namespace, target: Mapping[str, Array], reference: Mapping[str, Array]) -> int:
    options = Options(values.tolerance, values.excepts, values.key, values.int8_tensor_close != 0, values.per_axis_compare)
    if values.fuzzy_match:
        target = most_alike(target, reference)
    compared = compare_all(target, reference, options)
    for line in report(compared, values.verbose, values.per_axis_compare):
        print(line)
    if values.save:
        failed = "".join(f"{one.result.name}\n" for one in compared if not one.result.passed)
        write_bytes(Path(values.save), (failed if values.only_key else "".join(_csv(compared))).encode())
        print(f"Results saved as {values.save}")
    for line in verdict(compared, values.target_file, values.ref_file):
        print(line)
    if not compared:
        print("npz_tool.py compare: warning: the files have no tensor in common", file=sys.stderr)
    return 0 if all(one.result.passed for one in compared) else FAILED_EXIT


def _csv(compared: Sequence[Compared]) -> Iterator[str]:
    yield "name, op, quant, pass, sim_cos, sim_euc, sqnr\n"
    for one in compared:
        result = one.result
        measured = (result.cosine, result.euclid, result.sqnr) if result.level in MEASURED else (1.0, 1.0, math.inf)
        yield f"{result.name}, -, -, {result.passed}, {measured[0]}, {measured[1]}, {measured[2]}\n"


def cali_test(arguments: Sequence[str]) -> int:
    """Round the tensors that have a range to 8 bits and back, write them, and compare."""
    values = CALI_COMMAND.parse(arguments)
    tensors, ranges = read_npz(Path(values.npz_file)), read_calibration_table(Path(values.calibration_table))
    rounded = {name: _rounded(tensors[name], found.threshold) for name, found in ranges.items()
               if name in tensors and tensors[name].dtype == np.float32}
    write_npz(REQUANTIZED, rounded)
    given = COMMAND.parse([str(REQUANTIZED), values.npz_file, "--tolerance", ",".join(map(str, CALI_TOLERANCE)), "-vv"])
    return _compare(given, rounded, tensors)


def _rounded(array: Array, threshold: float) -> Array:
    step = np.float32(threshold / 127)
    kept: Array = np.clip(np.round(array / step), -128, 127) * step
    return kept.astype(np.float32)
