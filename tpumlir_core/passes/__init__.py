"""Passes: the framework, the registry and the chip-neutral passes, one file a pass.

Pipelines: ``optimize`` runs after import; ``prepare`` before lowering, with what the target supports.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tpumlir_core.ir.operation import Module, Operation
from tpumlir_core.passes.canonicalize import Canonicalize
from tpumlir_core.passes.cast_integers import CastIntegers
from tpumlir_core.passes.decomposition import DecomposeUnsupported
from tpumlir_core.passes.eliminate_dead import EliminateDead
from tpumlir_core.passes.fold_constants import FoldConstants
from tpumlir_core.passes.framework import Observer, Pass, PassRegistry, PipelineOptions, everything, run_passes
from tpumlir_core.passes.fuse_activations import FuseActivations
from tpumlir_core.passes.fuse_linear import FuseLinear
from tpumlir_core.passes.fuse_pads import FusePads
from tpumlir_core.passes.fuse_preprocess import FusePreprocess
from tpumlir_core.passes.infer_shapes import InferShapes
from tpumlir_core.passes.insertion import Insert
from tpumlir_core.passes.recognize import RecognizePatterns
from tpumlir_core.passes.rewriting import Rewriter, rewrite

__all__ = [
    "Canonicalize", "CastIntegers", "DecomposeUnsupported", "EliminateDead", "FoldConstants", "FuseActivations", "FuseLinear",
    "FusePads", "FusePreprocess", "InferShapes", "Insert", "Observer", "Pass", "PassRegistry", "PipelineOptions", "RecognizePatterns",
    "Rewriter", "builtin_registry", "decompose", "rewrite", "run_passes", "run_pipeline",
]


def builtin_registry() -> PassRegistry:
    """A new registry with the passes and pipelines of the core."""
    registry = PassRegistry()
    registry.register(
        Canonicalize, CastIntegers, DecomposeUnsupported, EliminateDead, FoldConstants, FuseActivations, FuseLinear, FusePads,
        FusePreprocess, InferShapes, RecognizePatterns,
    )
    registry.register_pipeline("optimize", _optimize)
    registry.register_pipeline("prepare", _prepare)
    return registry


def _optimize(options: PipelineOptions) -> Sequence[Pass]:
    return (
        InferShapes(), EliminateDead(), FoldConstants(), Canonicalize(), RecognizePatterns(), FuseLinear(), FusePads(), FuseActivations(),
        Canonicalize(), FoldConstants(), EliminateDead(),
    )


def _prepare(options: PipelineOptions) -> Sequence[Pass]:
    return (CastIntegers(options.supported), DecomposeUnsupported(options.supported), FoldConstants(), EliminateDead())


def decompose(module: Module, supported: Callable[[Operation], bool]) -> bool:
    """Run the pipeline ``prepare``: make integers float, decompose what ``supported`` refuses; whether anything changed."""
    return run_pipeline("prepare", module, supported=supported)


def run_pipeline(
    name: str,
    module: Module,
    *,
    registry: PassRegistry | None = None,
    supported: Callable[[Operation], bool] = everything,
    target: str = "",
    print_after: Collection[str] = (),
    observer: Observer | None = None,
) -> bool:
    """Run a pipeline on ``module`` in place, verified before and after each pass; whether anything changed.

    ``registry``: of passes and pipelines; that of a session has what plugins add, without one only the core's are run.
    ``print_after``: names of passes after which the text goes to stderr. Raises InputError for an unknown pipeline.
    """
    registry = registry or builtin_registry()
    passes = registry.pipeline(name, PipelineOptions(supported, target))
    return run_passes(passes, module, print_after=print_after, observer=observer, origin=registry.origin)
