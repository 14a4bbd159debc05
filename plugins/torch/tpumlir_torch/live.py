"""A ``torch.nn.Module`` in memory: exported by PyTorch, then read as the file that it would be."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.importing import one_line
from tpumlir_core.ir import Module
from tpumlir_core.passes import run_pipeline
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_torch.frontend import import_program
from tpumlir_torch.model import open_program
from tpumlir_torch.session import framework


def import_module(
    module: Any, inputs: Sequence[Any] | None, shapes: Sequence[Sequence[int]], named: Mapping[str, Any] | None,
    options: ImportOptions | None, name: str,
) -> Module:
    """The Top module of a module in memory; see ``tpumlir_torch.from_module``."""
    torch = framework()
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"a {type(module).__name__} is no torch.nn.Module")
    if (inputs is None and not named) == (not shapes):
        raise InputError("give either example_inputs or input_shapes")
    if module.training:
        raise InputError("the module is in training mode; call eval() before importing it")
    examples = tuple(inputs or ()) if not shapes else tuple(torch.zeros(*shape) for shape in shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.pt2"
        try:
            with torch.no_grad():
                torch.export.save(torch.export.export(module, examples, dict(named or {}), strict=False), path)
        except Exception as error:  # whatever the module's own code raises
            raise InputError(f"PyTorch cannot export {type(module).__name__}: {one_line(str(error))[:300]}") from None
        session = Session()
        options = options or ImportOptions(operators=session.operators)
        imported = import_program(open_program(path), options, name or type(module).__name__)[0]
        run_pipeline("optimize", imported, registry=session.passes)
        return imported
