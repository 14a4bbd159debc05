"""``model_deploy.py``: a Top .mlir as a bmodel, the lowered network and the file each checked with the one before."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tpumlir_compat.deploy_flags import FLAGS
from tpumlir_compat.entry import run
from tpumlir_compat.flags import Command
from tpumlir_core.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from tpumlir_compat.deploy_checks import Checks
    from tpumlir_core.ir import Module
    from tpumlir_core.passes import FusePreprocess
    from tpumlir_core.stages import Session

COMMAND = Command("model_deploy.py", "A Top .mlir as a bmodel.", FLAGS)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run(COMMAND, act, arguments)


def act(values: Namespace) -> int:
    """Lower, write, check, compile, write, check. Raises CompareError where a check fails; what is written by then stays."""
    from tpumlir_compat.deploy_checks import Checks
    from tpumlir_compat.deploy_names import Names
    from tpumlir_compat.sessions import open_session
    from tpumlir_core import api
    from tpumlir_core.files import check_output
    from tpumlir_core.plugins import TARGET

    output = Path(values.model)
    check_output(output)
    fuse = _fusion(values)
    session = open_session()
    session.plugins.get(TARGET, values.chip)
    module = api.open_module(Path(values.mlir), session=session)
    names = Names(module.name, values.chip, values.quantize, values.asymmetric, bool(values.quantize_table))
    checks = Checks.of(values, module, names, session)
    lowered = _lower(values, module, fuse, checks, session)
    api.save_module(lowered, names.lowered, names.weights)
    print(f"Lowered to {names.lowered}")
    if values.not_gen_bmodel:
        return 0
    checks.lowered(lowered)
    artifact = api.build(lowered, chip=values.chip, session=session)
    api.save_artifact(artifact, output)
    print(f"Compiled to {output}: {artifact.size:,} bytes")
    if not values.skip_validation:
        checks.compiled(output)
    return 0


def _fusion(values: Namespace) -> FusePreprocess | None:
    from tpumlir_core.passes import FusePreprocess
    from tpumlir_core.preprocess import raw_format

    wanted = values.customization_format
    if wanted and not values.fuse_preprocess:
        raise InputError("--customization_format says what images --fuse_preprocess takes; give that too")
    if wanted:
        raw_format(wanted)
    return FusePreprocess(wanted) if values.fuse_preprocess else None


def _lower(values: Namespace, module: Module, fuse: FusePreprocess | None, checks: Checks, session: Session) -> Module:
    from tpumlir_compat.deploy_options import lowering_options
    from tpumlir_core import api
    from tpumlir_core.lowering import check_options
    from tpumlir_core.passes import Canonicalize, run_passes

    options = lowering_options(values, module)
    check_options(module, options)
    if fuse is not None:
        run_passes((fuse, Canonicalize()), module)
    checks.feed(module)
    lowered = api.lower(module, chip=values.chip, quantize=values.quantize, lowering=options, session=session)
    _require_bytes(values, lowered)
    return lowered


def _require_bytes(values: Namespace, lowered: Module) -> None:
    """Raises UnsupportedError where inputs or outputs are not of 8 bits that have to be."""
    fed = [operation.output for operation in lowered.function.operations if operation.opcode == "top.Input"]
    for flag, tensors in (("quant_input_int8", fed), ("quant_output_int8", lowered.function.outputs)):
        wide = [tensor.name for tensor in tensors if tensor.type.element.bytes > 1] if getattr(values, flag) else []
        if wide:
            raise UnsupportedError(f"--{flag}: the lowered network does not have 8 bits in {', '.join(wide)}")
