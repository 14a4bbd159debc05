"""Kernels of the chip, one module per family; each module's ``register`` adds its own."""

from __future__ import annotations

from importlib import import_module

from tpumlir_sophgo.kernel import KernelRegistry

FAMILIES = (
    "activation", "arg", "binary", "convolution", "deconvolution", "interp", "lrn", "matmul", "movement", "normalization", "group_norm",
    "pooling", "reduce", "softmax",
)


def registry() -> KernelRegistry:
    """All kernels of the chip."""
    kernels = KernelRegistry()
    for family in FAMILIES:
        import_module(f"{__name__}.{family}").register(kernels)
    return kernels
