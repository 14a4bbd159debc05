"""Calibration: the range of every tensor of a network, from what an interpreter computes on real samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from tpumlir_core.channel_means import ChannelMeans
from tpumlir_core.checks import DEFAULT_INTERPRETER, choose_interpreter
from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import matched_inputs
from tpumlir_core.ir import Array, ElementType, Module
from tpumlir_core.ir.storage import is_quantized
from tpumlir_core.ir.top import Weight
from tpumlir_core.plugins import CALIBRATOR, INTERPRETER
from tpumlir_core.plugins.extension_points import CalibratedRange, Effort
from tpumlir_core.preprocess import InputSpec, Sample, input_specs, read_sample
from tpumlir_core.stages import Session

Item = TypeVar("Item")

DEFAULT_METHOD = "percentile"
"""The calibrator that is used when none is named: the best of the first-party ones on the networks that were measured."""
STAGE = "calibrate"


@dataclass(frozen=True)
class Calibration:
    """What to calibrate on and how.

    ``samples``: of each its files (an .npz with all inputs, or an image or .npy for each), or its arrays by input; they are read
    one at a time. ``method`` names the calibrator, ``interpreter`` what computes the tensors ("": the best one there is).
    Above low ``effort`` the calibrator refines the ranges with all the tensors of the first ``tuned`` samples, or of those of
    ``tuning`` where there are any, which are kept for that; at high effort it may change the module's weights.
    """

    samples: Sequence[Sample | Mapping[str, Array]]
    method: str = DEFAULT_METHOD
    interpreter: str = DEFAULT_INTERPRETER
    effort: Effort = Effort.LOW
    tuned: int = 5
    tuning: Sequence[Sample | Mapping[str, Array]] = ()


def calibrate_module(module: Module, wanted: Calibration, session: Session) -> dict[str, CalibratedRange]:
    """Tensor name -> range, in the network's order, for every float tensor of a Top module that is no weight.

    At high effort the weights of the module may have changed afterwards.
    """
    calibrator = session.plugins.get(CALIBRATOR, wanted.method)
    means = ChannelMeans(module)
    with session.stage(STAGE, module.name), session.plugins.calling(CALIBRATOR, wanted.method, "calibrate"):
        ranges = calibrator.calibrate(_ahead(means.watched(_tensors(module, wanted, session))))
    ranges = means.added(ranges)
    if wanted.effort is Effort.LOW:
        return dict(ranges)
    few = list(_tensors(module, dataclasses.replace(wanted, samples=(wanted.tuning or wanted.samples)[: wanted.tuned]), session))
    interpreter = session.plugins.get(INTERPRETER, wanted.interpreter or choose_interpreter(session.plugins))
    with session.stage("refine ranges", module.name), session.plugins.calling(CALIBRATOR, wanted.method, "refine"):
        return dict(calibrator.refine(module, ranges, few, interpreter, wanted.effort))


def take_ranges(module: Module) -> dict[str, CalibratedRange]:
    """Tensor name -> range, of float tensors whose types say one; the types then say none. What a quantized source says is fixed."""
    ranges: dict[str, CalibratedRange] = {}
    fixed = is_quantized(module)
    for value in module.function.values():
        found = value.type.quantization
        if found is None or not value.type.element.is_float:
            continue
        value.type = value.type.without_range()
        threshold = max(-found.low, found.high)
        if found.low < found.high and threshold > 0:
            ranges[value.name] = CalibratedRange(threshold, found.low, found.high, fixed)
    return ranges


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is used: reading and running a sample beside its statistics."""
    with ThreadPoolExecutor(1) as maker:
        pending = maker.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = maker.submit(next, items, None)
            yield item
            del item  # or its tensors would be kept while those of the next two are made and used


def _tensors(module: Module, wanted: Calibration, session: Session) -> Iterator[dict[str, Array]]:
    """For every sample the tensors to calibrate. What fails here is the interpreter's fault, not the calibrator's."""
    name = wanted.interpreter or choose_interpreter(session.plugins)
    runs = session.plugins.get(INTERPRETER, name).run_each(module, _inputs(module, wanted, session))
    names = calibrated_tensors(module)
    while True:
        with session.plugins.calling(INTERPRETER, name, "run_each"):
            tensors = next(runs, None)
        if tensors is None:
            return
        yield {name: tensors[name] for name in names}


def calibrated_tensors(module: Module) -> list[str]:
    """The tensors that have a range, in the network's order."""
    operations = (operation for operation in module.function.operations if not isinstance(operation, Weight))
    return [value.name for operation in operations for value in operation.results if value.type.element is ElementType.F32]


def _inputs(module: Module, wanted: Calibration, session: Session) -> Iterator[dict[str, Array]]:
    """The inputs of every sample, in the shapes and types that the network takes."""
    inputs = input_specs(module)
    for done, sample in enumerate(wanted.samples):
        session.advance(STAGE, done, len(wanted.samples))
        yield _matched(module, inputs, sample)


def _matched(module: Module, inputs: list[InputSpec], sample: Sample | Mapping[str, Array]) -> dict[str, Array]:
    if isinstance(sample, Mapping):
        return matched_inputs(module, sample)
    arrays = read_sample(sample, inputs)
    try:
        return matched_inputs(module, arrays)
    except InputError as error:
        raise InputError(f"{sample[0]}: {error}") from error
