"""Verification of a run on real inputs: each stage's result against the stage before."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tpumlir_core.errors import CompareError, InputError
from tpumlir_core.files import write_parts
from tpumlir_core.host import finish, network_outputs, run_compiled
from tpumlir_core.ir import Array, ElementType, Module
from tpumlir_core.ir.storage import to_real
from tpumlir_core.plugins import EXECUTOR, INTERPRETER, RUNNER, PluginManager
from tpumlir_core.plugins.choice import require
from tpumlir_core.plugins.extension_points import Artifact
from tpumlir_core.plugins.health import CORE, Health
from tpumlir_core.preprocess import Sample, input_specs, is_image, is_sample_file, read_sample
from tpumlir_core.stages import Session
from tpumlir_core.verify import DEFAULT_TOLERANCE, compare_tensors

DEFAULT_INTERPRETER = ""
"""The one that ``choose_interpreter`` finds."""
WORST_NAMED = 3
"""How many of the tensors that differ are named in the error."""


@dataclass(frozen=True)
class Verification:
    """Real inputs by name, the least cosine and euclidean similarity that passes (None: what suits the mode), and the interpreter
    that says what a module should compute. In place of ``inputs`` a ``sample`` names files; images become inputs as the network
    records it."""

    inputs: Mapping[str, Array] = field(default_factory=dict)
    tolerance: tuple[float, float] | None = None
    interpreter: str = DEFAULT_INTERPRETER
    sample: Sample = ()

    def on(self, module: Module) -> Verification:
        """The same with the inputs that a module gets of ``sample``."""
        return dataclasses.replace(self, inputs=read_sample(self.sample, input_specs(module))) if self.sample else self

    def check_raw(self, module: Module) -> None:
        """Raises InputError where the sample has something other than an image for an input that takes raw ones: only of an image
        it is known what float preprocessing makes of it."""
        for path, spec in zip(self.sample, input_specs(module), strict=False):
            if spec.raw is not None and is_sample_file(path) and not is_image(path):
                raise InputError(f"{path}: to verify fused preprocessing give an image for {spec.name}, or an .npz with all inputs, raw")


MODE_TOLERANCES = {"F16": (0.99, 0.90), "BF16": (0.99, 0.90), "INT8": (0.90, 0.80)}
"""Least cosine and euclidean similarity of lowered networks, for modes that do not keep ``DEFAULT_TOLERANCE`` (as tpu-mlir 1.30.2)."""


def _tolerance(verification: Verification, lowered: Module | None = None) -> tuple[float, float]:
    mode = "" if lowered is None else str(lowered.attributes.get("module.mode", ""))
    return verification.tolerance or MODE_TOLERANCES.get(mode, DEFAULT_TOLERANCE)


def require_similar(stage: str, ours: Mapping[str, Array], reference: Mapping[str, Array], tolerance: tuple[float, float]) -> None:
    """Raises CompareError with the worst tensors when any is outside of the tolerance."""
    report = compare_tensors(ours, reference, tolerance)
    if report.failed:
        worst = ", ".join(f"{one.name} ({one.level.value}, cos {one.cosine:.6f})" for one in report.failed[:WORST_NAMED])
        raise CompareError(f"{stage}: {report.summary()}; worst: {worst}")


def choose_interpreter(plugins: PluginManager) -> str:
    """The first healthy interpreter that a plugin brings (they are faster), else the core's own."""
    healthy = [p for p in plugins.plugins(INTERPRETER) if p.health is Health.OK]
    return min(healthy, key=lambda p: (p.candidate.distribution == CORE, p.name)).name


def interpret(module: Module, inputs: Mapping[str, Array], interpreter: str, session: Session) -> dict[str, Array]:
    """Every tensor of a module in real numbers, as an interpreter computes it; "": the best one there is, or for a module that
    stores other than F32 the executor of its chip."""
    tensors = _computed(module, inputs, interpreter, session)
    return tensors if module.host is None else tensors | finish(module.host, {**inputs, **tensors})


def _computed(module: Module, inputs: Mapping[str, Array], interpreter: str, session: Session) -> dict[str, Array]:
    """The same without host steps."""
    chip = "" if interpreter else executor_of(module, session.plugins)
    if chip:
        return execute(module, inputs, chip, session)
    interpreter = interpreter or choose_interpreter(session.plugins)
    runner = session.plugins.get(INTERPRETER, interpreter)
    with session.plugins.calling(INTERPRETER, interpreter, "run"):
        return runner.run(module, inputs)


def stores_narrow(module: Module) -> bool:
    """Whether some tensor is stored in 16 bits, or quantized."""
    types = {value.type for operation in module.function.operations for value in operation.results}
    return any(t.element is not ElementType.F32 and (t.element.is_float or t.quantization is not None) for t in types)


def execute(module: Module, inputs: Mapping[str, Array], chip: str, session: Session) -> dict[str, Array]:
    """Every tensor of a lowered module with the arithmetic of a chip, in the real numbers that stored ones stand for."""
    executor = session.plugins.get(EXECUTOR, chip)
    with session.plugins.calling(EXECUTOR, chip, "run"):
        stored = executor.run(module, inputs)
    types = {value.name: value.type for operation in module.function.operations for value in operation.results}
    return {name: to_real(array, types[name]) for name, array in stored.items()}


def executor_of(module: Module, plugins: PluginManager) -> str:
    """The name of the executor that should run a module: of its chip, where it stores other than F32 and there is one; else ""."""
    chip = str(module.attributes.get("module.chip", ""))
    there = any(plugin.name == chip and plugin.health is Health.OK for plugin in plugins.plugins(EXECUTOR))
    return chip if there and stores_narrow(module) else ""


def outputs_of(module: Module, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The network's outputs among all of its tensors."""
    return {value.name: arrays[value.name] for value in network_outputs(module)}


def verify_import(model: Path, module: Module, expected: Mapping[str, Array], verification: Verification, session: Session) -> None:
    """The Top module against what the source framework computed."""
    with session.stage("verify import", module.name):
        ours = interpret(module, verification.inputs, verification.interpreter, session)
        require_similar(f"{model}: the imported network", ours, expected, _tolerance(verification))


def expected_outputs(module: Module, verification: Verification, session: Session) -> dict[str, Array]:
    """The outputs of a module as they should be after what is done to it next."""
    with session.stage("interpret", module.name):
        return outputs_of(module, interpret(module, verification.inputs, verification.interpreter, session))


def verify_lowering(lowered: Module, expected: Mapping[str, Array], verification: Verification, session: Session) -> None:
    """The Tpu module's outputs against the Top module's."""
    with session.stage("verify lowering", lowered.name):
        ours = outputs_of(lowered, interpret(lowered, verification.inputs, verification.interpreter, session))
        require_similar(f"{lowered.name}: the lowered network", ours, expected, _tolerance(verification, lowered))


def verify_artifact(
    lowered: Module, artifact: Artifact, expected: Mapping[str, Array], verification: Verification, session: Session
) -> None:
    """The compiled file's outputs, on the runner that knows it, against those expected."""
    with session.stage("verify compiled file", lowered.name), tempfile.TemporaryDirectory(prefix="tpumlir-") as folder:
        path = Path(folder) / "compiled"
        write_parts(path, artifact.parts)
        name, runner = require(RUNNER, "", path, session.plugins)
        with session.plugins.calling(RUNNER, name, "run"):
            ours = run_compiled(path, runner, verification.inputs, session.operators)
        require_similar(f"{lowered.name}: the compiled file", ours, expected, _tolerance(verification, lowered))
