"""``npz_tool.py``: compare, look at and edit .npz files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

from tpumlir_compat.entry import guarded
from tpumlir_core.errors import InputError, UnsupportedError

NAME = "npz_tool.py"
PACKAGE = "tpumlir_compat"
HELP = ("-h", "--help")


@dataclass(frozen=True)
class SubCommand:
    """``usage``: its arguments, () where it parses flags itself; ``least``, ``most``: how many there may be."""

    module: str
    text: str
    usage: str = ""
    least: int = 0
    most: int = 1 << 16


SUB_COMMANDS: Mapping[str, SubCommand] = {
    "compare": SubCommand("npz_compare", "compare the tensors of two files; ends with 1 where one differs"),
    "print_diff": SubCommand("npz_show", "the elements of a tensor that differ", "a.npz b.npz NAME [N]", 3, 4),
    "visualize_diff": SubCommand("", "refused: there are no plots; see print_diff, and compare -vvv"),
    "dump": SubCommand("npz_show", "what is in a file, or an array of it", "in.npz [NAME [INDICES]]", 1, 3),
    "extract": SubCommand("npz_arrays", "some arrays in a file of their own", "in.npz out.npz a,b,c", 3, 3),
    "remove": SubCommand("npz_arrays", "take arrays out of a file", "in.npz a,b,c", 2, 2),
    "insert": SubCommand("npz_arrays", "put the arrays of the first file into the second", "a.npz out.npz", 2, 2),
    "merge": SubCommand("npz_arrays", "the arrays of all files in one", "a.npz b.npz ... out.npz", 3),
    "rename": SubCommand("npz_arrays", "another name for an array", "in.npz OLD NEW", 3, 3),
    "reshape": SubCommand("npz_arrays", "another shape for an array", "in.npz NAME 4,5,1", 3, 3),
    "bf16_to_fp32": SubCommand("npz_arrays", "BF16, held as uint16, to float32", "in.npz out.npz", 2, 2),
    "fp16_to_fp32": SubCommand("npz_arrays", "F16, held as uint16, to float32", "in.npz out.npz", 2, 2),
    "fp32_to_bf16": SubCommand("npz_arrays", "float32 to BF16, held as uint16", "in.npz out.npz", 2, 2),
    "fp32_to_fp16": SubCommand("npz_arrays", "float32 to F16, held as uint16", "in.npz out.npz", 2, 2),
    "permute": SubCommand("npz_arrays", "another order of axes, of one array or all", "in.npz [NAME] 0,2,1,3", 2, 3),
    "get_shape": SubCommand("npz_show", "the shape of an array", "in.npz NAME", 2, 2),
    "to_bin": SubCommand("npz_arrays", "the bytes of an array", "in.npz NAME out.bin [int8|bf16|float32]", 3, 4),
    "to_dat": SubCommand("npz_arrays", "the bytes of all arrays", "in.npz out.dat", 2, 2),
    "to_npy": SubCommand("npz_arrays", "an array as NAME.npy", "in.npz NAME", 2, 2),
    "cali_test": SubCommand("npz_compare", "compare tensors with what 8 bits make of them"),
    "statistic": SubCommand("npz_show", "statistics of an array along an axis", "in.npz [NAME [AXIS]]", 1, 3),
    "check_nan_inf": SubCommand("npz_show", "the arrays with a NaN or an infinity", "in.npz", 1, 1),
}
"""All that the reference has; the function in the module is called as the sub-command is."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    words = sys.argv[1:] if arguments is None else arguments
    sys.exit(guarded(NAME, lambda: act(words)))


def act(words: Sequence[str]) -> int:
    """Run a sub-command; the exit code. Without any, or for help, tell what there is."""
    if not words or words[0] in HELP:
        print(f"Usage: {NAME} [{'|'.join(SUB_COMMANDS)}] ...")
        for name, known in SUB_COMMANDS.items():
            print(f"  {name:15} {known.text}")
        return 0 if words else InputError.exit_code
    name, *rest = words
    if name not in SUB_COMMANDS:
        raise InputError(f"{name}: there is {', '.join(SUB_COMMANDS)}")
    known = SUB_COMMANDS[name]
    if not known.module:
        raise UnsupportedError(f"{name}: {known.text.removeprefix('refused: ')}")
    if known.usage and not known.least <= len(rest) <= known.most:
        raise InputError(f"{name}: usage: {NAME} {name} {known.usage}")
    function: Callable[[Sequence[str]], int | None] = getattr(import_module(f"{PACKAGE}.{known.module}"), name)
    return function(rest) or 0
