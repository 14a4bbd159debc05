"""Evaluation: networks at several stages over the same samples, which are read one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tpumlir_core.errors import InputError
from tpumlir_core.evaluation.accuracy import Best, best_of, scores_of
from tpumlir_core.evaluation.labels import Labelled
from tpumlir_core.evaluation.layers import LayerLoss, layer_losses, originals
from tpumlir_core.evaluation.networks import Network, open_module_network
from tpumlir_core.interpreter import matched_inputs
from tpumlir_core.ir import Array, Module
from tpumlir_core.preprocess import InputSpec, Sample, read_sample
from tpumlir_core.stages import Session

STAGE = "evaluate"
LAYERS_STAGE = "compare layers"


def best_classes(path: Path, network: Network, samples: Sequence[Labelled], output: str, session: Session) -> Best:
    """The best classes of every sample, as a network at ``path`` says; ``output`` holds the scores ("": the first)."""

    def inputs() -> Iterator[Mapping[str, Array]]:
        for done, one in enumerate(samples):
            session.advance(STAGE, done, len(samples))
            yield _inputs(one.sample, network.inputs)

    with session.stage(STAGE, str(path)):
        began = time.perf_counter()
        try:
            found = best_of(scores_of(tensors, network.outputs, output) for tensors in network.run_each(inputs()))
        except InputError as error:
            raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
        return Best(found, time.perf_counter() - began)


def _inputs(sample: Sample | Mapping[str, Array], specs: Sequence[InputSpec]) -> Mapping[str, Array]:
    return sample if isinstance(sample, Mapping) else read_sample(sample, specs)


def losses(original: Module, lowered: Module, samples: Sequence[Sample | Mapping[str, Array]], session: Session) -> list[LayerLoss]:
    """The layers of a lowered module beside a module that it was made from, what loses most first.

    Raises InputError where they have no tensor in common.
    """
    known = [v.name for op in original.function.operations if op.opcode != "top.Weight" for v in op.results]
    standing = originals(lowered, known)
    if not standing:
        raise InputError(f"{lowered.name}: it has no tensor in common with {original.name}; compare stages of one network")
    reference = open_module_network(original, session, sorted(set(standing.values())))
    ours = open_module_network(lowered, session, sorted({value.name for value in standing}))

    def inputs(network: Network, module: Module, announced: bool) -> Iterator[dict[str, Array]]:
        for done, sample in enumerate(samples):
            if announced:
                session.advance(LAYERS_STAGE, done, len(samples))
            yield matched_inputs(module, _inputs(sample, network.inputs))

    with session.stage(LAYERS_STAGE, lowered.name):
        pairs = zip(ours.run_each(inputs(ours, lowered, True)), reference.run_each(inputs(reference, original, False)), strict=True)
        return layer_losses(lowered, pairs, known)
