"""Kernels that custom operators bring: asked and run like any other, their faults laid at the operator's door."""

from __future__ import annotations

from collections.abc import Iterable

from tpumlir_core.ir.operator import Operator
from tpumlir_sophgo.kernel import GlobalKernel, Kernel, KernelRegistry


def with_custom(kernels: KernelRegistry, chip: str, operators: Iterable[Operator]) -> KernelRegistry:
    """A registry with also the kernels that these operators bring for a chip. Raises PluginFault where one is no kernel."""
    registry = KernelRegistry(kernels.widen)
    registry.local.update(kernels.local)
    registry.whole.update(kernels.whole)
    for op in operators:
        kernel = op.kernel(chip)
        if kernel is not None:
            registry.add(op.opcode, _guarded(op, chip, kernel))
    return registry


def _guarded(op: Operator, chip: str, kernel: object) -> Kernel | GlobalKernel:
    """The kernel, its answers to the scheduler guarded; it was made for this call, so its methods can be replaced."""
    if not isinstance(kernel, Kernel | GlobalKernel):
        raise op.fault(f"its kernel for {chip}", f"{type(kernel).__name__} is neither a Kernel nor a GlobalKernel")
    contract = Kernel if isinstance(kernel, Kernel) else GlobalKernel
    for name in (name for name, member in vars(contract).items() if callable(member) and not name.startswith("_")):
        setattr(kernel, name, op.blamed(getattr(kernel, name), f"its kernel's {name} for {chip}"))
    return kernel
