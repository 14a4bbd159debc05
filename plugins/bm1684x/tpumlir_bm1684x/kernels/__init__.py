"""Kernels of the chip, one module per family; each module's ``register`` adds its own."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from tpumlir_bm1684x.chip import arch
from tpumlir_sophgo.kernel import KernelRegistry
from tpumlir_sophgo.widening import Widened

FAMILIES = (
    "activation", "arg", "binary", "channel", "compare", "convolution", "deconvolution", "group_norm", "interp", "lookup", "lrn",
    "matmul", "movement", "normalization", "permutation", "pooling", "power", "quantized_products", "quantized_matmul",
    "quantized_scale", "reduce", "relocation", "select", "softmax", "unary",
)


def registry() -> KernelRegistry:
    """All kernels of the chip."""
    kernels = KernelRegistry(partial(Widened, arch()))
    for family in FAMILIES:
        import_module(f"{__name__}.{family}").register(kernels)
    return kernels
