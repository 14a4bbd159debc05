"""PyTorch frontend: exported programs (``.pt2``), TorchScript (``.pt``), and modules in memory by ``from_module``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tpumlir_core.ir import Module
    from tpumlir_core.plugins.extension_points import ImportOptions

__all__ = ["from_module"]


def from_module(
    module: Any, example_inputs: Sequence[Any] | None = None, *, input_shapes: Sequence[Sequence[int]] = (),
    example_named: Mapping[str, Any] | None = None, options: ImportOptions | None = None, name: str = "",
) -> Module:
    """The Top module of a ``torch.nn.Module``, for ``tpumlir_core.api.deploy``.

    The network has the shapes and types of ``example_inputs`` (and of the keyword arguments ``example_named``), or takes
    float32 inputs of ``input_shapes``. ``module`` must be in evaluation mode; it is exported by ``torch.export``. Raises InputError
    where PyTorch cannot export it, UnsupportedError with all operators that are not supported.
    """
    from tpumlir_torch.live import import_module

    return import_module(module, example_inputs, input_shapes, example_named, options, name)
