"""Running a pass that a plugin brought: it is held to what passes promise, and its faults are reported as that plugin's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpumlir_core.errors import InternalError, PluginFault, TpumlirError
from tpumlir_core.ir.operation import Module
from tpumlir_core.ir.verify import verify

if TYPE_CHECKING:
    from tpumlir_core.passes.framework import Pass

LEFT_TO_IMPORTS = frozenset({"sys.path", "the warning filters", "the root logger"})
"""Global state that a library may change when a pass first imports it, and that no result depends on."""


class Origin(NamedTuple):
    """The distribution that a pass is from, and its version."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def run_foreign(step: Pass, module: Module, origin: Origin) -> bool:
    """Run the pass; whether it changed anything. ``origin`` is noted in ``module.made_by``.

    Raises PluginFault when the pass fails, leaves the module invalid, changes it without saying so, or changes global state.
    """
    from tpumlir_core.plugins.distributions import canonical
    from tpumlir_core.plugins.state import changes, global_state

    who = f"pass {step.name} of {origin}"
    content, state = fingerprint(module), global_state()
    try:
        changed = bool(step.run(module))
    except (Exception, SystemExit) as error:
        if isinstance(error, TpumlirError) and not isinstance(error, InternalError):
            raise
        raise PluginFault(f"{who} failed on {module.name}: {type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")) from error
    touched = [what for what in changes(state, global_state()) if what.partition(" (")[0] not in LEFT_TO_IMPORTS]
    if touched:
        raise PluginFault(f"{who} changes global state: {'; '.join(touched)}")
    verify(module, who, PluginFault)
    if not changed and fingerprint(module) != content:
        raise PluginFault(f"{who} changed {module.name}, but its run did not return True")
    module.made_by[canonical(origin.distribution)] = origin.version
    return changed


def fingerprint(module: Module) -> str:
    """A digest of operations, types, attributes and weights; equal for equal modules."""
    digest = hashlib.sha256(repr((module.name, module.attributes)).encode())
    for operation in (*module.function.operations, module.function.terminator):
        operands = [None if value is None else value.name for value in operation.operands]
        results = [(value.name, value.type) for value in operation.results]
        digest.update(repr((operation.opcode, operands, results, operation.attributes())).encode())
    for name in module.weights:
        array = np.ascontiguousarray(module.weights[name])
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(array.view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
