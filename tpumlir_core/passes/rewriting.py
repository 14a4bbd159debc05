"""Rewriting by rules: a worklist over the operations, edits that keep names, order and use lists right. Linear in what changes.

A rule is ``rule(op, rewriter) -> bool``: it looks at one operation and what is around it, and either edits through the rewriter
and returns True, or leaves all as it is and returns False.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from tpumlir_core.errors import InternalError
from tpumlir_core.ir.operation import Array, Module, Operation, Value
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.types import ElementType, TensorType

OpT = TypeVar("OpT", bound=Operation)
Rules = Mapping[str, Sequence[Callable[[Operation, "Rewriter"], bool]]]
# Rewrites per operation beyond which rules must be undoing one another.
_LIMIT = 64


class Rewriter:
    """Edits a module on behalf of rules. New operations go before ``anchor``, the operation that the rule was asked about."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.anchor: Operation | None = None
        self.dead: set[Operation] = set()
        self.touched: dict[Operation, None] = {}
        self._names = {v.name for v in module.function.values()}
        self._before: dict[Operation, list[Operation]] = {}
        self._returned = module.function.terminator

    # --- looking ----------------------------------------------------------------------------------------------------
    def constant(self, value: Value | None) -> Array | None:
        """The array of a weight; None for any other value."""
        if value is None or not isinstance(value.owner, Weight):
            return None
        return self.module.weights[value.name]

    def is_output(self, value: Value) -> bool:
        """Whether the function returns the value."""
        returned = self._returned
        if len(value.uses) <= len(returned.operands):
            return any(user is returned for user, _ in value.uses)
        return any((returned, position) in value.uses for position in range(len(returned.operands)))

    def only_use(self, value: Value) -> bool:
        """Whether exactly one operand of one operation uses the value, and the function does not return it."""
        return len(value.uses) == 1 and not self.is_output(value)

    # --- making -----------------------------------------------------------------------------------------------------
    def fresh(self, base: str) -> str:
        """A name like ``base`` that no value has."""
        name, number = base, 1
        while name in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name)
        return name

    def weight(self, base: str, array: Array, element: ElementType = ElementType.F32) -> Value:
        """A new weight, named like ``base``, that holds ``array`` in the storage type of ``element``."""
        name = self.fresh(base)
        stored = np.ascontiguousarray(array, dtype=element.numpy).reshape(np.shape(array))
        self.module.weights[name] = stored
        return self.place(Weight.create([], [(name, TensorType(stored.shape, element))])).output

    def insert(self, cls: type[OpT], operands: Sequence[Value | None], name: str, **attributes: Any) -> OpT:
        """A new operation of one result before the anchor. ``name`` is taken as it is: a name of :meth:`fresh`, or of a result
        that the rule then replaces."""
        return self.place(cls.create(operands, [name], **attributes))

    def remake(self, op: OpT, operands: Sequence[Value | None], name: str, **changes: Any) -> OpT:
        """A copy of ``op`` with other operands and some attributes changed."""
        return self.insert(type(op), operands, name, **{**op.attributes(), **changes})

    def place(self, op: OpT) -> OpT:
        """Put a detached operation before the anchor."""
        assert self.anchor is not None
        self._before.setdefault(self.anchor, []).append(op)
        self.touched[op] = None
        return op

    # --- replacing: a range that a tensor's type says goes with its name ---------------------------------------------------
    def replace(self, op: Operation, *values: Value) -> None:
        """Let users of the results of ``op`` use ``values`` and remove ``op``."""
        for old, new in zip(op.results, values, strict=True):
            if old.name == new.name:
                _take_range(new, old)
            for user, _ in old.uses:
                self.touched[user] = None
            old.replace_all_uses_with(new)
            if new.owner is not None:
                self.touched[new.owner] = None
        self.erase(op)

    def forward(self, op: Operation, value: Value) -> bool:
        """Remove ``op``, whose result equals ``value``. A returned result keeps its name: ``value`` takes it, unless it is an
        input, a weight or returned itself; then nothing is done and the answer is False."""
        if self.is_output(op.output):
            owner = value.owner
            if owner is None or owner.opcode in ("top.Input", "top.Weight") or self.is_output(value):
                return False
            value.name = op.output.name
            _take_range(value, op.output)
        self.replace(op, value)
        return True

    def absorb(self, op: Operation, into: Operation) -> None:
        """Remove ``op``, whose work ``into`` (its only source) now does: ``into`` takes the name of the result."""
        into.output.name = op.output.name
        into.output.type = replace(into.output.type, quantization=op.output.type.quantization)
        self.touched[into] = None
        self.replace(op, into.output)

    def erase(self, op: Operation) -> None:
        """Remove an operation without users, and what only it used."""
        pending = [op]
        while pending:
            dead = pending.pop()
            if dead in self.dead or dead.opcode == "top.Input" or any(v.uses for v in dead.results):
                continue
            self.dead.add(dead)
            if isinstance(dead, Weight) and dead.name in self.module.weights:
                del self.module.weights[dead.name]  # at once: a rewritten copy may be as large
            owners = [v.owner for v in dead.operands if v is not None and v.owner is not None]
            dead.drop_operands()
            pending += owners
            self.touched.update(dict.fromkeys(owners))

    # --- finishing --------------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Put new operations in their places and take dead ones out."""
        ordered: list[Operation] = []
        stack = list(reversed(self.module.function.operations))
        while stack:
            op = stack.pop()
            earlier = self._before.pop(op, None)
            if earlier:
                stack.append(op)
                stack.extend(reversed(earlier))
            else:
                ordered.append(op)
        self.module.function.operations = [op for op in ordered if op not in self.dead]
        drop_unused_weights(self.module)


def _take_range(value: Value, of: Value) -> None:
    """Let a float value that stands for another from now on have its range, where that is known."""
    if of.type.quantization is not None and value.type.element.is_float:
        value.type = replace(value.type, quantization=of.type.quantization)


def drop_unused_weights(module: Module) -> None:
    """Forget the arrays that no Weight operation names."""
    kept = {op.name for op in module.function.operations if isinstance(op, Weight)}
    for name in [n for n in module.weights if n not in kept]:
        del module.weights[name]


def rewrite(module: Module, rules: Rules) -> bool:
    """Apply ``rules`` (by opcode, in order) until none applies; whether any did. Raises InternalError if they never end."""
    rewriter = Rewriter(module)
    queue = deque(op for op in module.function.operations if op.opcode in rules)
    queued = set(queue)
    budget = _LIMIT * (len(module.function.operations) + 64)
    changed = False
    while queue:
        op = queue.popleft()
        queued.discard(op)
        if op in rewriter.dead or not _apply(rules[op.opcode], op, rewriter):
            continue
        changed = True
        budget -= 1
        if budget < 0:
            raise InternalError(f"rewriting {op!r} does not end; rules undo one another")
        _enqueue([op, *_around(rewriter.touched)], rules, rewriter, queue, queued)
        rewriter.touched.clear()
    if changed:
        rewriter.finish()
    return changed


def _apply(rules: Sequence[Callable[[Operation, Rewriter], bool]], op: Operation, rewriter: Rewriter) -> bool:
    rewriter.anchor = op
    return any(rule(op, rewriter) for rule in rules)


def _around(touched: Iterable[Operation]) -> list[Operation]:
    """The touched operations and the first few users of their results, whose rules look upwards."""
    found = []
    for op in touched:
        found.append(op)
        for value in op.results:
            found += [user for user, _ in list(value.uses)[:8]] if len(value.uses) <= 8 else []
    return found


def _enqueue(ops: Iterable[Operation], rules: Rules, rewriter: Rewriter, queue: deque[Operation], queued: set[Operation]) -> None:
    for op in ops:
        if op.opcode in rules and op not in queued and op not in rewriter.dead:
            queued.add(op)
            queue.append(op)
