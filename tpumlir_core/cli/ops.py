"""``tpumlir ops``: which operators are supported, as the code itself says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tpumlir_core.cli.options import json_option, plugin_option, plugins_with
from tpumlir_core.cli.output import print_json, print_table
from tpumlir_core.errors import InputError
from tpumlir_core.plugins import FRONTEND, TARGET, PluginManager
from tpumlir_core.plugins.operators import operator_set

if TYPE_CHECKING:
    from tpumlir_core.ir.operator import Operator
    from tpumlir_core.plugins.extension_points import Target


@click.command("ops")
@click.option("--chip", default="", help="Which operations this target does, by mode.")
@click.option("--frontend", default="", help="Which source operators this frontend reads.")
@plugin_option
@json_option
def command(chip: str, frontend: str, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Which operators are supported: by a chip, by a frontend, or, with neither, the operations of the Top dialect.

    Custom operators of plugins come last, with their dialects."""
    if chip and frontend:
        raise InputError("name a --chip or a --frontend, not both")
    plugins = plugins_with(plugin_files)
    if chip:
        _print_target(chip, plugins, as_json)
    elif frontend:
        with plugins.calling(FRONTEND, frontend, "operators"):
            known = plugins.get(FRONTEND, frontend).operators()
        _print_names(frontend, [*known, *operator_set(plugins).names(frontend)], as_json)
    else:
        custom = sorted({cls.opcode for cls in operator_set(plugins).all()})
        _print_names("top", [*_top_operations(), *custom], as_json)


def _top_operations() -> list[str]:
    import tpumlir_core.ir.top  # noqa: F401  (declares the operations)
    from tpumlir_core.ir import registered_operations

    return [opcode.partition(".")[2] for opcode in registered_operations() if opcode.startswith("top.")]


def _print_names(source: str, names: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"source": source, "operators": names})
    else:
        for name in names:
            click.echo(name)


def _print_target(chip: str, plugins: PluginManager, as_json: bool) -> None:
    target = plugins.get(TARGET, chip)
    with plugins.calling(TARGET, chip, "operators"):
        modes = list(target.modes())
        table = {name: {mode: _answer(target, name, mode, by_mode.get(mode, "not in this mode")) for mode in modes}
                 for name, by_mode in sorted(target.operators().items())}
    for cls in operator_set(plugins).all():
        table[cls.opcode] = dict.fromkeys(modes, _custom_answer(cls, chip))
    if as_json:
        print_json({"source": chip, "modes": modes, "operators": table})
    else:
        rows = [(name, *(by_mode[mode]["reason"] or by_mode[mode]["by"] for mode in modes)) for name, by_mode in table.items()]
        print_table(("operation", *modes), rows)


def _custom_answer(cls: type[Operator], chip: str) -> dict[str, Any]:
    """How a custom operator is done; a kernel of its own may still refuse single operations."""
    by = "kernel" if chip in cls.kernels else "decomposition" if cls.decomposes() else None
    return {"supported": by is not None, "by": by, "reason": None if by else f"its plugin brings no kernel for {chip}"}


def _answer(target: Target, operation: str, mode: str, reason: str | None) -> dict[str, Any]:
    """How an operation is done: by a kernel, or by operations that have one; or why it is not."""
    if reason is None:
        return {"supported": True, "by": "kernel", "reason": None}
    if _decomposes(target, operation, mode):
        return {"supported": True, "by": "decomposition", "reason": None}
    return {"supported": False, "by": None, "reason": reason}


def _decomposes(target: Target, operation: str, mode: str) -> bool:
    """Whether the target does what any of the conformance kit's samples of an operation is decomposed into."""
    from tpumlir_core.errors import UnsupportedError
    from tpumlir_core.lowering import prepare_for
    from tpumlir_core.passes.decomposition import DECOMPOSITIONS
    from tpumlir_core.plugins.extension_points import LoweringOptions
    from tpumlir_core.testing.cases import batch, cases

    if f"top.{operation}" not in DECOMPOSITIONS:
        return False
    for case in cases(operation):
        try:
            prepare_for(batch([case]).module, target, mode, LoweringOptions())
        except UnsupportedError:
            continue
        return True
    return False
