"""What quantizers promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Module, Operation
from tpumlir_core.ir.verify import verify
from tpumlir_core.lowering import KEPT
from tpumlir_core.plugins.extension_points import Artifact, LoweringOptions, Quantizer, Target
from tpumlir_core.testing.cases import Batch
from tpumlir_core.testing.frontends import text
from tpumlir_core.testing.kit import Check, CheckFailed, Subject, only_errors, require
from tpumlir_core.testing.networks import ranges, reference, small_networks
from tpumlir_core.verify import compare_tensors

SIMILARITY = (0.95, 0.70)
"""Cosine and euclidean similarity that a lowered network must keep, in the coarsest mode: those of TPU-MLIR's operator tests."""


class AnyChip(Target):
    """A target that has every mode and every operation."""

    name = "anychip"

    def supports(self, op: Operation, mode: str) -> str | None:
        return None

    def modes(self) -> Sequence[str]:
        return ("F32", "F16", "BF16", "INT8")

    def recognizes(self, path: object, head: bytes) -> bool:
        return False

    def compile(self, module: Module) -> Artifact:
        raise UnsupportedError("this target compiles nothing")


class NoChip(AnyChip):
    """A target that can do nothing."""

    name = "nochip"

    def supports(self, op: Operation, mode: str) -> str | None:
        return "it has no such instruction"


def names_its_modes(subject: Subject) -> None:
    """``modes`` gives the modes it lowers to, each once, in capital letters."""
    modes = list(_quantizer(subject).modes())
    require(modes and len(set(modes)) == len(modes), "modes() must give at least one mode, each once")
    require(all(isinstance(mode, str) and mode == mode.upper() for mode in modes), f"modes() gives {modes}: use capital letters")


def lowers_to_tpu(subject: Subject) -> None:
    """``lower`` gives a valid module of Tpu operations with the inputs and outputs of the network, for every mode."""
    for where, sample, mode in _samples(subject):
        module = sample.module
        ends = [(value.name, value.shape) for value in module.function.outputs]
        lowered = _lower(subject, sample, mode)
        verify(lowered, where, CheckFailed)
        wrong = [op for op in lowered.function.operations if op.opcode not in KEPT and not op.opcode.startswith("tpu.")]
        require(not wrong, f"{where}: {wrong[0].name if wrong else ''} is still {wrong[0].opcode if wrong else ''}")
        found = [(value.name, value.shape) for value in lowered.function.outputs]
        require(found == ends, f"{where}: the outputs are {found}, were {ends}")
        state = lowered.attributes.get("module.state")
        require(state == "TPU_LOWERED", f"{where}: the attribute module.state is {state!r}, not 'TPU_LOWERED'")


def keeps_the_meaning(subject: Subject) -> None:
    """The lowered network computes, by the reference, what the network did, as exactly as its mode can."""
    for where, sample, mode in _samples(subject):
        expected = reference(sample.module, sample.inputs)
        found = reference(_lower(subject, sample, mode), sample.inputs)
        worst = ", ".join(f"{one.name} (cos {one.cosine:.4f})" for one in compare_tensors(found, expected, SIMILARITY).failed)
        require(not worst, f"{where}: the lowered network computes something else: {worst}")


def lowers_the_same_twice(subject: Subject) -> None:
    """The same network gives the same module."""
    for (where, first, mode), (_, second, _) in zip(_samples(subject), _samples(subject), strict=True):
        one, two = _lower(subject, first, mode), _lower(subject, second, mode)
        require(text(one) == text(two), f"{where}: lowering gives another module the second time")
        same = all(name in two.weights and np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)
        require(same, f"{where}: lowering gives other weights the second time")


def refuses_what_the_target_cannot(subject: Subject) -> None:
    """What the target refuses is listed in one UnsupportedError, by name."""
    for where, sample, mode in _samples(subject):
        options = LoweringOptions(mode, calibration=ranges(sample))
        with only_errors(subject, f"{where} for a target that can do nothing", UnsupportedError):
            _quantizer(subject).lower(sample.module, NoChip(), options)
            raise CheckFailed(f"{where}: a target that refuses every operation is not asked, or its refusal is ignored")


def refuses_unknown_modes(subject: Subject) -> None:
    """A mode that it does not have raises InputError."""
    sample = small_networks()["a ReLU"]
    with only_errors(subject, "lower(mode NOSUCHMODE)", InputError):
        _quantizer(subject).lower(sample.module, NoModes(), LoweringOptions("NOSUCHMODE"))
        raise CheckFailed("lower(mode NOSUCHMODE) gives a module")


class NoModes(AnyChip):
    """A target that refuses modes it does not have."""

    def supports(self, op: Operation, mode: str) -> str | None:
        return None if mode in self.modes() else f"it has no {mode}"


def _samples(subject: Subject) -> Iterator[tuple[str, Batch, str]]:
    for mode in _quantizer(subject).modes():
        for name, sample in small_networks().items():
            yield f"lower({name}, {mode})", sample, mode


def _lower(subject: Subject, sample: Batch, mode: str) -> Module:
    options = LoweringOptions(mode, calibration=ranges(sample))
    return _quantizer(subject).lower(sample.module, AnyChip(), options)


def _quantizer(subject: Subject) -> Quantizer:
    quantizer: Quantizer = subject.extension
    return quantizer


CHECKS = (
    Check("names its modes", names_its_modes),
    Check("lowers to Tpu", lowers_to_tpu),
    Check("keeps the meaning", keeps_the_meaning),
    Check("lowers the same twice", lowers_the_same_twice),
    Check("refuses what the target cannot", refuses_what_the_target_cannot),
    Check("refuses unknown modes", refuses_unknown_modes),
)
