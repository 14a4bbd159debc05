"""``model_tool``: what is in bmodels, and bmodels of bmodels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

from tpumlir_compat.entry import guarded
from tpumlir_core.errors import InputError, UnsupportedError

NAME = "model_tool"
PACKAGE = "tpumlir_compat"
HELP = ("-h", "--help")
OUTPUT = "-o"
_ENCRYPTION = "refused: there is no encryption; bmodels are files in the clear"


@dataclass(frozen=True)
class Action:
    """One of the flags, which says what to do. ``usage``: its arguments; ``least``, ``most``: how many, without ``-o FILE``."""

    usage: str
    text: str
    module: str = "bmodel_edit"
    least: int = 1
    most: int = 1
    output: bool = False
    function: str = ""


ACTIONS: Mapping[str, Action] = {
    "--info": Action("[--all] FILE", "chip, networks, inputs, outputs and memory; --all: hidden tensors too", "bmodel_show", 1, 2),
    "--chip": Action("FILE", "the chip", "bmodel_show"),
    "--dynamic": Action("FILE", "whether a network takes shapes that it was not compiled for", "bmodel_show"),
    "--print": Action("FILE", "all tables, field by field", "bmodel_show", function="tables"),
    "--weight": Action("FILE", "which bytes of the weights are which operand", "bmodel_show"),
    "--update_weight": Action("DST NET OFFSET SRC NET OFFSET", "copy a weight, named by its place, from one file to another",
                              "bmodel_weights", 6, 6),
    "--encrypt": Action("", _ENCRYPTION, ""),
    "--decrypt": Action("", _ENCRYPTION, ""),
    "--extract": Action("FILE", "every stage of every network in a file of its own: bm_net0_stage0.bmodel"),
    "--refresh": Action("FILE", "write it again"),
    "--combine": Action("FILES -o OUT", "the networks of several files in one", least=1, most=1 << 16, output=True),
    "--combine_dir": Action("FOLDERS -o OUT", "the same of the folders that model_deploy.py makes, with their test data",
                            least=1, most=1 << 16, output=True),
    "--combine_coeff": Action("FILES -o OUT", "the same of files with equal weights", least=1, most=1 << 16, output=True),
    "--dump": Action("FILE START BYTES OUT", "bytes out of the binaries of a file", least=4, most=4),
    "--kernel_dump": Action("FILE -o OUT", "the firmware of a file", output=True),
    "--kernel_update": Action("FILE FIRMWARE", "put a firmware into a file", least=2, most=2),
    "--kernel_remove": Action("FILE", "take the firmware out of a file"),
}
"""All that the reference has; the function in the module is called as the flag is, unless ``function`` says otherwise."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    words = sys.argv[1:] if arguments is None else arguments
    sys.exit(guarded(NAME, lambda: act(words)))


def act(words: Sequence[str]) -> int:
    """Run an action; the exit code. Without any, or for help, tell what there is."""
    if not words or words[0] in HELP:
        print("Usage:")
        for name, known in ACTIONS.items():
            print(f"  {NAME} {name} {known.usage}: {known.text}")
        return 0 if words else InputError.exit_code
    name, *rest = words
    if name not in ACTIONS:
        raise InputError(f"{name}: there is {', '.join(ACTIONS)}")
    action = ACTIONS[name]
    if not action.module:
        raise UnsupportedError(f"{name}: {action.text.removeprefix('refused: ')}")
    given = _given(name, action, rest)
    function: Callable[[Sequence[str]], None] = getattr(import_module(f"{PACKAGE}.{action.module}"), action.function or name[2:])
    function(given)
    return 0


def _given(name: str, action: Action, words: Sequence[str]) -> list[str]:
    """The arguments of an action, the output last. Raises InputError with its usage."""
    usage = InputError(f"{name}: usage: {NAME} {name} {action.usage}")
    names, output = list(words), []
    if action.output:
        if names.count(OUTPUT) != 1 or names.index(OUTPUT) != len(names) - 2:
            raise usage
        names, output = names[:-2], names[-1:]
    if not action.least <= len(names) <= action.most:
        raise usage
    return names + output
