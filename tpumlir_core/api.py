"""The library: from a trained network to a compiled file. Read this first, it names every room of the house.

    import     a frontend        source model -> Top module       ``transform``
    optimize   the passes        Top module -> Top module         ``transform``
    calibrate  a calibrator      Top module, samples -> ranges    ``calibrate``
    lower      a quantizer       Top module -> Tpu module         ``lower``
    compile    a target          Tpu module -> bytes of a file    ``build``
    mix        (calibrated)      operations that keep floats      ``search_modes``
    run        a runner          the file on real inputs          ``run``
    evaluate   all of these      stages on labelled samples       ``evaluate``, ``layer_losses``

``deploy`` lowers and compiles, and compares; ``compile`` does all but the last three. They raise the classes of
``tpumlir_core.errors`` only. ``save_module`` and ``save_artifact`` write results, whole or not at all; ``open_module`` reads a
module back. A ``Session`` carries the plugins, the seconds of every stage and who watches; without one, each call makes its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from tpumlir_core import mixed_precision
from tpumlir_core.calibration import Calibration, calibrate_module, take_ranges
from tpumlir_core.checks import (
    DEFAULT_INTERPRETER,
    Verification,
    expected_outputs,
    interpret,
    outputs_of,
    verify_artifact,
    verify_import,
    verify_lowering,
)
from tpumlir_core.evaluation import Best, Labelled, LayerLoss
from tpumlir_core.evaluation.networks import open_networks
from tpumlir_core.evaluation.runs import best_classes, losses
from tpumlir_core.files import read_head, write_parts, write_through
from tpumlir_core.host import rejoined, run_compiled
from tpumlir_core.ir import Array, Module
from tpumlir_core.ir.text import read_module, write_module
from tpumlir_core.lowering import check_options
from tpumlir_core.mixed_precision import Mixed, Search
from tpumlir_core.passes import Canonicalize, FusePreprocess, run_passes, run_pipeline
from tpumlir_core.plugins import FRONTEND, QUANTIZER, RUNNER, TARGET
from tpumlir_core.plugins.choice import quantizer_for, recognize, require, source_frontend
from tpumlir_core.plugins.extension_points import Artifact, CalibratedRange, ImportOptions, LoweringOptions
from tpumlir_core.plugins.operators import operator_plugins
from tpumlir_core.plugins.provenance import made_by
from tpumlir_core.preprocess import InputSpec, Sample, compiled_specs, input_specs, read_sample, record_preprocess
from tpumlir_core.stages import Session

TEXT_SUFFIX = ".mlir"


def compile(
    model: Path,
    *,
    chip: str,
    quantize: str = "F32",
    options: ImportOptions = ImportOptions(),
    lowering: LoweringOptions = LoweringOptions(),
    fuse: FusePreprocess | None = None,
    calibration: Calibration | None = None,
    frontend: str = "",
    print_after: Collection[str] = (),
    verification: Verification | None = None,
    session: Session | None = None,
) -> Artifact:
    """Everything in one step: a source model, or a Top module in .mlir, to the bytes of the chip's file.

    A source model is read by the frontend that recognizes it, unless one is named. With ``calibration`` the ranges come from its
    samples, in place of those in ``lowering``.
    """
    session = session or Session()
    expected: dict[str, Array] | None = None
    if model.suffix == TEXT_SUFFIX and not frontend:
        module = open_module(model, options=options, session=session)
    else:
        module, computed = _import(model, options, frontend, print_after, verification, session)
        expected = outputs_of(module, computed) if verification is not None else None
    if calibration is not None:
        if verification is not None and expected is None:
            expected = expected_outputs(module, verification.on(module), session)  # before its weights change
        lowering = dataclasses.replace(lowering, calibration=calibrate(module, calibration, session=session))
    return deploy(
        module, chip=chip, quantize=quantize, lowering=lowering, fuse=fuse, verification=verification, expected=expected, session=session
    )


def transform(
    model: Path,
    *,
    options: ImportOptions = ImportOptions(),
    frontend: str = "",
    print_after: Collection[str] = (),
    verification: Verification | None = None,
    session: Session | None = None,
) -> Module:
    """A source model as an optimized Top module. The frontend is the one that recognizes the file, unless named."""
    return _import(model, options, frontend, print_after, verification, session or Session())[0]


def _import(
    model: Path, options: ImportOptions, frontend: str, print_after: Collection[str], verification: Verification | None, session: Session
) -> tuple[Module, dict[str, Array]]:
    """The optimized module and, where there is something to verify, every tensor as the source framework computed it."""
    name, reader = source_frontend(frontend, model, options, session.plugins)
    options = dataclasses.replace(options, operators=session.operators)
    with session.stage("import", str(model)), session.plugins.calling(FRONTEND, name, "load"):
        module = reader.load(model, options)
    with session.stage("optimize", module.name):
        run_pipeline("optimize", module, registry=session.passes, print_after=print_after)
    _record(module, options)
    if verification is not None:
        verification = verification.on(module)
        with session.stage("run source", str(model)), session.plugins.calling(FRONTEND, name, "run"):
            expected = reader.run(model, verification.inputs, options)
        verify_import(model, module, expected, verification, session)
        return module, expected
    return module, {}


def _record(module: Module, options: ImportOptions) -> None:
    if options.preprocess is not None:
        record_preprocess(module, options.preprocess, options.preprocess_inputs)


def calibrate(module: Module, calibration: Calibration, *, session: Session | None = None) -> dict[str, CalibratedRange]:
    """The range of every tensor of a Top module, from samples: what LoweringOptions and calibration tables take.

    Samples are run one at a time, so memory does not grow with their number. At high effort weights of the module may change.
    """
    return calibrate_module(module, calibration, session or Session())


def lower(
    module: Module, *, chip: str, quantize: str = "F32", lowering: LoweringOptions = LoweringOptions(), session: Session | None = None
) -> Module:
    """A Top module, which is used up, as a Tpu module for a chip. Without calibration the ranges that its types say are used."""
    session = session or Session()
    own = take_ranges(module)
    lowering = lowering if lowering.calibration else dataclasses.replace(lowering, calibration=own)
    target = session.plugins.get(TARGET, chip)
    name, quantizer = quantizer_for(quantize, session.plugins)
    operators = operator_plugins(module, session.plugins)
    with session.stage("lower", module.name), session.plugins.calling(QUANTIZER, name, "lower"):
        lowered = quantizer.lower(module, target, dataclasses.replace(lowering, mode=quantize, passes=session.passes))
    lowered.host = module.host
    makers = made_by(session.plugins, (QUANTIZER, name), (TARGET, chip), *operators)
    lowered.made_by = dict(sorted({**module.made_by, **lowered.made_by, **makers}.items()))
    return lowered


def search_modes(
    module: Module, *, chip: str, wanted: Search, quantize: str = "INT8", lowering: LoweringOptions = LoweringOptions(),
    session: Session | None = None,
) -> Mixed:
    """Which operations of a Top module have to keep floats for its outputs to be like the float network's: a quantization table.

    ``lowering`` has the calibration. It runs the network for every product in it; the module stays as it is.
    """
    session = session or Session()
    check_options(module, lowering)

    def lower_copy(copy: Module, options: LoweringOptions) -> Module:
        return lower(copy, chip=chip, quantize=quantize, lowering=options, session=session)

    return mixed_precision.search_modes(module, lower_copy, lowering, wanted, session)


def deploy(
    module: Module,
    *,
    chip: str,
    quantize: str = "F32",
    lowering: LoweringOptions = LoweringOptions(),
    fuse: FusePreprocess | None = None,
    verification: Verification | None = None,
    expected: Mapping[str, Array] | None = None,
    save_lowered: Path | None = None,
    session: Session | None = None,
) -> Artifact:
    """A Top module as the bytes of the chip's file, with facts about it and, as "seconds", the time of every stage.

    ``fuse``: let the chip do the preprocessing of images, so that the file takes them raw. ``expected``: the outputs that it
    should give on the inputs to verify with; without them an interpreter says. ``save_lowered``: where to write the Tpu module as
    .mlir, if anywhere. The module is used up: lowering may rewrite it in place.
    """
    session = session or Session()
    session.plugins.get(TARGET, chip)  # whether there is one, before anything takes time
    check_options(module, lowering)
    if fuse is not None:
        expected = _fuse(module, fuse, verification, expected, session)
    verification = verification.on(module) if verification is not None else None
    if verification is not None and expected is None:
        expected = expected_outputs(module, verification, session)
    lowered = lower(module, chip=chip, quantize=quantize, lowering=lowering, session=session)
    if save_lowered is not None:
        save_module(lowered, save_lowered)
    if verification is not None and expected is not None:
        verify_lowering(lowered, expected, verification, session)
    artifact = build(lowered, chip=chip, session=session)
    if verification is not None and expected is not None:
        verify_artifact(lowered, artifact, expected, verification, session)
    inner = {f"compile: {step}": seconds for step, seconds in artifact.facts.get("seconds", {}).items()}
    return dataclasses.replace(artifact, facts={**artifact.facts, "seconds": {**session.seconds, **inner}})


def build(lowered: Module, *, chip: str, session: Session | None = None) -> Artifact:
    """A Tpu module, which is used up, as the bytes of the chip's file, with facts about it."""
    session = session or Session()
    target = session.plugins.get(TARGET, chip)
    with session.stage("compile", lowered.name), session.plugins.calling(TARGET, chip, "compile"):
        return target.compile(lowered)


def _fuse(
    module: Module, fuse: FusePreprocess, verification: Verification | None, expected: Mapping[str, Array] | None, session: Session
) -> Mapping[str, Array] | None:
    """Fuse preprocessing; the outputs expected, which are the float network's where there are images to verify with."""
    if verification is not None and verification.sample and expected is None:
        expected = expected_outputs(module, verification.on(module), session)
    with session.stage("fuse preprocessing", module.name):
        run_passes((fuse, Canonicalize()), module)
    if verification is not None:
        verification.check_raw(module)
    return expected


def run(
    file: Path,
    inputs: Mapping[str, Array] | Sample,
    *,
    runner: str = "",
    frontend: str = "",
    options: ImportOptions = ImportOptions(),
    dump_all: bool = False,
    session: Session | None = None,
) -> dict[str, Array]:
    """What a file computes: a module in .mlir by an interpreter, a compiled file by a runner, a source model by its frontend.

    ``inputs``: arrays by name, or files, of which images become inputs as ``options`` or else .mlir says. ``runner`` names the
    runner, or the interpreter of .mlir, ``frontend`` that of a source model. Outputs by name; with ``dump_all`` every tensor there is.
    """
    session = session or Session()
    if frontend:
        return _run_source(file, inputs, frontend, options, dump_all, session)
    if file.suffix == TEXT_SUFFIX:
        module = open_module(file, options=options, session=session)
        arrays = _arrays(inputs, lambda: input_specs(module))
        return _run_module(module, arrays, runner or DEFAULT_INTERPRETER, dump_all, session)
    known = require(RUNNER, runner, file, session.plugins) if runner else recognize(RUNNER, file, session.plugins)
    if known is not None:
        name, device = known
        arrays = _arrays(inputs, lambda: compiled_specs(file, options.preprocess))
        with session.stage("run", str(file)), session.plugins.calling(RUNNER, name, "run"):
            return run_compiled(file, device, arrays, session.operators)
    return _run_source(file, inputs, "", options, dump_all, session)


def evaluate(
    files: Sequence[Path],
    samples: Sequence[Labelled],
    *,
    options: ImportOptions = ImportOptions(),
    runner: str = "",
    output: str = "",
    session: Session | None = None,
) -> list[Best]:
    """The best classes of every sample, as each file says: a source model, .mlir at any stage, a compiled file.

    ``tpumlir_core.evaluation.accuracy`` makes shares of them. Samples are read one at a time, images as ``options`` or else the
    .mlir says; files that do not tell take what the first .mlir does. ``runner`` names the runner of compiled files, ``output``
    what holds the scores ("": the first output).
    """
    session = session or Session()
    networks = open_networks(files, options, runner, session)
    return [best_classes(path, network, samples, output, session) for path, network in zip(files, networks, strict=True)]


def layer_losses(
    original: Module, lowered: Module, samples: Sequence[Sample | Mapping[str, Array]], *, session: Session | None = None
) -> list[LayerLoss]:
    """Where a lowered module loses: its tensors beside those of the module that it was made from, what loses most first."""
    return losses(original, lowered, samples, session or Session())


def open_module(path: Path, *, options: ImportOptions = ImportOptions(), session: Session | None = None) -> Module:
    """A module from .mlir and its weights, with the preprocessing of ``options``, if any, in place of what it records.

    Raises InputError for what is not one.
    """
    read_head(path)
    session = session or Session()
    with session.stage("read", str(path)):
        module = read_module(path, session.operators)
    _record(module, options)
    return module


def save_module(module: Module, path: Path, weights: str = "") -> None:
    """Write .mlir and, beside it, the weights, in a file called ``weights`` ("": after the .mlir); host steps are its last operations."""
    whole = rejoined(module)
    write_through(path, lambda place: write_module(whole, place, weights))


def save_artifact(artifact: Artifact, path: Path) -> None:
    """Write a compiled file."""
    write_parts(path, artifact.parts)


def _run_module(module: Module, inputs: Mapping[str, Array], interpreter: str, dump_all: bool, session: Session) -> dict[str, Array]:
    with session.stage("run", module.name):
        arrays = interpret(module, inputs, interpreter, session)
    return arrays if dump_all else outputs_of(module, arrays)


def _run_source(
    file: Path, inputs: Mapping[str, Array] | Sample, frontend: str, options: ImportOptions, dump_all: bool, session: Session
) -> dict[str, Array]:
    name, reader = source_frontend(frontend, file, options, session.plugins, RUNNER)
    options = dataclasses.replace(options, operators=session.operators)
    with session.stage("run source", str(file)), session.plugins.calling(FRONTEND, name, "run"):
        fed = _arrays(inputs, lambda: input_specs(reader.load(file, options), options.preprocess))
        arrays = reader.run(file, fed, options)
        return arrays if dump_all else outputs_of(reader.load(file, options), arrays)


def _arrays(inputs: Mapping[str, Array] | Sample, specs: Callable[[], Sequence[InputSpec]]) -> Mapping[str, Array]:
    """Inputs as arrays; where they are files, what the network takes is asked for."""
    return inputs if isinstance(inputs, Mapping) else read_sample(inputs, specs())
