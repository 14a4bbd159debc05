"""The network as the scheduler sees it: operations with kernels, storage roots of values, uses."""

from __future__ import annotations

from collections.abc import Sequence

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Module, Operation, Value, WeightStore
from tpumlir_sophgo.arch import align
from tpumlir_sophgo.kernel import GlobalKernel, Kernel, KernelRegistry, Views, default_view
from tpumlir_sophgo.tensor import Box, Shape4
from tpumlir_sophgo.widening import widens

RETURN = "func.return"
"""What takes the outputs of a network."""

# Operations that only rename the bytes of their operand: no kernel, the result is the operand's storage.
RENAMING = frozenset({"tpu.Reshape", "tpu.Flatten", "tpu.Squeeze", "tpu.Unsqueeze", "tpu.View"})


class Node:
    """One operation that computes, with its kernel, which is asked each question once: answers are remembered.

    ``index`` is its place in the order; ``operands`` are what reaches the kernel as tiles or global tensors, with None for
    absent operands and for those that the kernel takes as constants.
    """

    def __init__(self, index: int, op: Operation, kernel: Kernel | GlobalKernel) -> None:
        self.index = index
        self.op = op
        self.kernel = kernel
        constant = kernel.constant_operands(op)
        self.operands: Sequence[Value | None] = tuple(None if i in constant else v for i, v in enumerate(op.operands))
        self._views: dict[tuple[Shape4 | None, ...], Views | None] = {}
        self._splits: dict[Views, str] = {}
        self._axis: dict[Views, int] = {}
        self._slices: dict[tuple[Views, Box], Sequence[Box | None]] = {}
        self._constant_bytes: dict[tuple[Views, int, int], int] = {}

    @property
    def local(self) -> Kernel:
        assert isinstance(self.kernel, Kernel)
        return self.kernel

    @property
    def is_local(self) -> bool:
        return isinstance(self.kernel, Kernel)

    def views(self, known: Sequence[Shape4 | None]) -> Views | None:
        """See ``Kernel.views``."""
        key = tuple(known)
        if key not in self._views:
            self._views[key] = self.local.views(self.op, known)
        return self._views[key]

    def splits(self, views: Views) -> str:
        """See ``Kernel.splits``."""
        if views not in self._splits:
            self._splits[views] = self.local.splits(self.op, views)
        return self._splits[views]

    def piece_axis(self, views: Views) -> int:
        """See ``Kernel.piece_axis``."""
        if views not in self._axis:
            self._axis[views] = self.local.piece_axis(self.op, views)
        return self._axis[views]

    def slices(self, views: Views, out: Box) -> Sequence[Box | None]:
        """See ``Kernel.input_slices``."""
        key = (views, out)
        if key not in self._slices:
            self._slices[key] = tuple(self.local.input_slices(self.op, views, out))
        return self._slices[key]

    def constant_bytes(self, views: Views, out: Box, weights: WeightStore) -> int:
        """Bytes a lane of the constants' image, rounded to whole words of 4 bytes; see ``Kernel.constant_bytes``."""
        axis = self.piece_axis(views)
        key = (views, out.start[axis], out.size[axis])
        if key not in self._constant_bytes:
            self._constant_bytes[key] = align(self.local.constant_bytes(self.op, views, out, weights), 4)
        return self._constant_bytes[key]


class Graph:
    """Nodes in order and, per storage root, who makes and who uses it.

    The order is the module's, but for what is done to an output last and cannot go on where its operand lies (a long function of
    few channels goes over all lanes): at its place it would cut in two what is around it, at the end it does not.
    """

    def __init__(self, module: Module, registry: KernelRegistry) -> None:
        self.module = module
        self.weights = module.weights.copy()  # the scheduler drops what it has laid out
        self._root: dict[Value, Value] = {}
        self.nodes: list[Node] = []
        self.maker: dict[Value, int] = {}
        self.users: dict[Value, list[int]] = {}
        unsupported: list[str] = []
        tails = _tails(module)
        last: list[tuple[Operation, Kernel | GlobalKernel | str]] = []
        apart: set[Value] = set()
        for op in module.function.operations:
            if op.opcode in RENAMING:
                self._root[op.output] = self.root(op.input)
            elif op.opcode not in ("top.Input", "top.Weight"):
                kernel = choose_kernel(op, registry)
                if any(self.root(v) in apart for v in op.operands if v is not None) or (op in tails and _stands_apart(op, kernel)):
                    apart.update(op.results)
                    last.append((op, kernel))
                else:
                    self._add(op, kernel, unsupported)
        for op, kernel in last:
            self._add(op, kernel, unsupported)
        if unsupported:
            raise UnsupportedError("no kernel for", tuple(unsupported))
        self.outputs = dict.fromkeys(self.root(v) for v in module.function.outputs)

    def _add(self, op: Operation, kernel: Kernel | GlobalKernel | str, unsupported: list[str]) -> None:
        if isinstance(kernel, str):
            unsupported.append(f"{op.name} ({op.opcode}): {kernel}")
            return
        node = Node(len(self.nodes), op, kernel)
        self.nodes.append(node)
        for result in op.results:
            self.maker[result] = node.index
        for value in dict.fromkeys(node.operands):
            if value is not None:
                self.users.setdefault(self.root(value), []).append(node.index)

    def root(self, value: Value) -> Value:
        """The value whose storage this one is."""
        return self._root.get(value, value)

    def is_weight(self, value: Value) -> bool:
        owner = self.root(value).owner
        return owner is not None and owner.opcode == "top.Weight"

    def used_after(self, value: Value, index: int) -> bool:
        """Whether the storage is read by a node after ``index``, or is an output of the network."""
        root = self.root(value)
        return root in self.outputs or any(user > index for user in self.users.get(root, ())[-1:])


def _tails(module: Module) -> set[Operation]:
    """Operations of one tensor, element by element, of which only others like that, and outputs, are made."""
    found: set[Operation] = set()
    for op in reversed(module.function.operations):
        users = [user for result in op.results for user, _ in result.uses]
        source = op.operands[0] if len(op.operands) == len(op.results) == 1 else None
        alike = source is not None and source.type.elements == op.output.type.elements
        if alike and users and all(user.opcode == RETURN or user in found for user in users):
            found.add(op)
    return found


def _stands_apart(op: Operation, kernel: Kernel | GlobalKernel | str) -> bool:
    """Whether a local kernel does not take the operand of an operation as it usually lies in the lanes."""
    if not isinstance(kernel, Kernel):
        return False
    usual = default_view(op.input.shape)
    views = kernel.views(op, [usual])
    return views is not None and views.operands[0] != usual


def choose_kernel(op: Operation, registry: KernelRegistry) -> Kernel | GlobalKernel | str:
    """The kernel for an operation (local before global), or the reason why there is none."""
    reasons: list[str] = []
    for table in (registry.local, registry.whole):
        kernel = table.get(op.opcode.replace("top.", "tpu."))
        if kernel is None:
            continue
        kernel = _in_types_of(op, kernel, registry)
        reason = f"its kernel does not compute with {_elements(op)}" if kernel is None else kernel.supports(op)
        if kernel is not None and reason is None:
            return kernel
        reasons.append(str(reason))
    return "; ".join(reasons) or "there is no kernel for this operation"


def _in_types_of(op: Operation, kernel: Kernel | GlobalKernel, registry: KernelRegistry) -> Kernel | GlobalKernel | None:
    """The kernel, or what computes by it in the element types of an operation; None where nothing does."""
    if kernel.takes(op):
        return kernel
    if isinstance(kernel, Kernel) and registry.widen is not None and widens(op):
        return registry.widen(kernel, op)
    return None


def _elements(op: Operation) -> str:
    return ", ".join(sorted({v.type.element.value for v in (*op.operands, *op.results) if v is not None}))
