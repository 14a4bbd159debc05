"""The network as the scheduler sees it: operations with kernels, storage roots of values, uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Module, Operation, Value
from tpumlir_sophgo.kernel import GlobalKernel, Kernel, KernelRegistry

# Operations that only rename the bytes of their operand: no kernel, the result is the operand's storage.
RENAMING = frozenset({"tpu.Reshape", "tpu.Flatten", "tpu.Squeeze", "tpu.Unsqueeze", "tpu.View"})


@dataclass(frozen=True)
class Node:
    """One operation that computes, with its kernel; ``index`` is its place in the order."""

    index: int
    op: Operation
    kernel: Kernel | GlobalKernel

    @property
    def local(self) -> Kernel:
        assert isinstance(self.kernel, Kernel)
        return self.kernel

    @property
    def is_local(self) -> bool:
        return isinstance(self.kernel, Kernel)

    def __hash__(self) -> int:
        return self.index


class Graph:
    """Nodes in order and, per storage root, who makes and who uses it."""

    def __init__(self, module: Module, registry: KernelRegistry) -> None:
        self.module = module
        self.weights = module.weights
        self._root: dict[Value, Value] = {}
        self.nodes: list[Node] = []
        self.maker: dict[Value, int] = {}
        self.users: dict[Value, list[int]] = {}
        unsupported: list[str] = []
        for op in module.function.operations:
            if op.opcode in RENAMING:
                self._root[op.output] = self.root(op.input)
            elif op.opcode not in ("top.Input", "top.Weight"):
                self._add(op, registry, unsupported)
        if unsupported:
            raise UnsupportedError("no kernel for", tuple(unsupported))
        self.outputs = {self.root(v) for v in module.function.outputs}

    def _add(self, op: Operation, registry: KernelRegistry, unsupported: list[str]) -> None:
        kernel = choose_kernel(op, registry)
        if isinstance(kernel, str):
            unsupported.append(f"{op.name} ({op.opcode}): {kernel}")
            return
        node = Node(len(self.nodes), op, kernel)
        self.nodes.append(node)
        for result in op.results:
            self.maker[result] = node.index
        for value in set(self.tile_operands(node)) - {None}:
            assert value is not None
            self.users.setdefault(self.root(value), []).append(node.index)

    def root(self, value: Value) -> Value:
        """The value whose storage this one is."""
        return self._root.get(value, value)

    def tile_operands(self, node: Node) -> Sequence[Value | None]:
        """Operands as tiles or global tensors; None for absent ones and for those that the kernel takes as constants."""
        constant = node.kernel.constant_operands(node.op)
        return [None if i in constant else v for i, v in enumerate(node.op.operands)]

    def is_weight(self, value: Value) -> bool:
        owner = self.root(value).owner
        return owner is not None and owner.opcode == "top.Weight"

    def used_after(self, value: Value, index: int) -> bool:
        """Whether the storage is read by a node after ``index``, or is an output of the network."""
        root = self.root(value)
        return root in self.outputs or any(user > index for user in self.users.get(root, ())[-1:])


def choose_kernel(op: Operation, registry: KernelRegistry) -> Kernel | GlobalKernel | str:
    """The kernel for an operation (local before global), or the reason why there is none."""
    reasons: list[str] = []
    for table in (registry.local, registry.whole):
        kernel = table.get(op.opcode.replace("top.", "tpu."))
        if kernel is None:
            continue
        reason = kernel.supports(op)
        if reason is None:
            return kernel
        reasons.append(reason)
    return "; ".join(reasons) or "there is no kernel for this operation"
