"""LSTM, GRU and RNN, step by step: every time step becomes operations of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Operation, Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer

_MOST_STEPS = 2048
"""Time steps of one layer: each costs two dozen operations."""
_DIRECTIONS: Mapping[str, tuple[bool, ...]] = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each direction of a layer goes backwards."""
_FUNCTIONS: Mapping[str, type[Operation]] = {"Sigmoid": top.Sigmoid, "Tanh": top.Tanh, "Relu": top.Relu}
State = tuple[Value, ...]
"""Hidden state [batch, hidden], and of an LSTM the cell state."""


@dataclass(frozen=True)
class _Direction:
    """One direction of a layer: its constants, gates side by side, and its functions."""

    name: str
    hidden: int
    weights: tuple[Value, Value]
    """[features, gates * hidden], and the bias."""
    recurrent: tuple[tuple[Value, Value], ...]
    """[hidden, gates * hidden] and its bias, of all gates or in two parts."""
    peepholes: tuple[Value, ...]
    functions: tuple[type[Operation], ...]
    flag: bool
    """``input_forget`` of an LSTM, ``linear_before_reset`` of a GRU."""

    def gate(self, im: Importer, name: str, x: Value, place: int) -> Value:
        """The columns of one gate."""
        begin, end = place * self.hidden, (place + 1) * self.hidden
        return im.step(name, top.Slice, [x], axes=(1,), offset=(begin,), steps=(1,), ends=(end,))

    def old(self, im: Importer, tag: str, h: Value, part: int = 0) -> Value:
        """What the hidden state gives to the gates of a part."""
        return im.step(f"{tag}_old{part}", top.MatMul, [h, *self.recurrent[part]])


Cell = Callable[[Importer, str, _Direction, Value, State], State]
"""(importer, name of the step, direction, what the input gives to its gates, state) -> next state."""


def _lstm(im: Importer, tag: str, one: _Direction, gates: Value, state: State) -> State:
    """c' = f c + i g, h' = o tanh(c'); the gates in the order i, o, f, g."""
    h, c = state
    sigmoid, tanh, shown = one.functions
    total = im.step(f"{tag}_gates", top.Add, [gates, one.old(im, tag, h)])

    def gate(place: int, name: str, seen: Value, hole: int) -> Value:
        x = one.gate(im, f"{tag}_{name}_sum", total, place)
        if one.peepholes:
            x = im.step(f"{tag}_{name}_seen", top.Add, [x, im.step(f"{tag}_{name}_hole", top.Mul, [seen, one.peepholes[hole]])])
        return im.step(f"{tag}_{name}", sigmoid, [x])

    taken = gate(0, "in", c, 0)
    kept = im.step(f"{tag}_forget", top.SubConst, [taken], const_val=1.0, is_reverse=True) if one.flag else gate(2, "forget", c, 2)
    new = im.step(f"{tag}_new", tanh, [one.gate(im, f"{tag}_new_sum", total, 3)])
    parts = [im.step(f"{tag}_kept", top.Mul, [kept, c]), im.step(f"{tag}_added", top.Mul, [taken, new])]
    cell = im.step(f"{tag}_cell", top.Add, parts)
    out = gate(1, "out", cell, 1)
    return im.step(f"{tag}_hidden", top.Mul, [out, im.step(f"{tag}_shown", shown, [cell])]), cell


def _gru(im: Importer, tag: str, one: _Direction, gates: Value, state: State) -> State:
    """h' = n + z (h - n); the gates in the order z, r, n. ``linear_before_reset``: r weighs what h gives to n, not h."""
    h = state[0]
    sigmoid, tanh = one.functions
    old = one.old(im, tag, h)
    update, reset = (
        im.step(f"{tag}_{name}", sigmoid, [im.step(f"{tag}_{name}_sum", top.Add, [
            one.gate(im, f"{tag}_{name}_input", gates, at), one.gate(im, f"{tag}_{name}_old", old, at)])])
        for at, name in enumerate(("update", "reset"))
    )
    if one.flag:
        given = im.step(f"{tag}_given", top.Mul, [reset, one.old(im, tag, h, 1)])
    else:
        given = one.old(im, tag, im.step(f"{tag}_left", top.Mul, [reset, h]), 1)
    new = im.step(f"{tag}_new", tanh, [im.step(f"{tag}_new_sum", top.Add, [one.gate(im, f"{tag}_new_input", gates, 2), given])])
    kept = im.step(f"{tag}_kept", top.Mul, [update, im.step(f"{tag}_gap", top.Sub, [h, new])])
    return (im.step(f"{tag}_hidden", top.Add, [new, kept]),)


def _rnn(im: Importer, tag: str, one: _Direction, gates: Value, state: State) -> State:
    """h' = tanh(W x + R h + b)."""
    total = im.step(f"{tag}_sum", top.Add, [gates, one.old(im, tag, state[0])])
    return (im.step(f"{tag}_hidden", one.functions[0], [total]),)


@dataclass(frozen=True)
class _Kind:
    """What distinguishes an operator: its cell, gates in the parts in which the hidden state is multiplied for them, default functions,
    states, and the attribute that is its flag."""

    cell: Cell
    parts: tuple[int, ...]
    functions: tuple[str, ...]
    states: int
    flag: str


_KINDS: Mapping[str, _Kind] = {
    "LSTM": _Kind(_lstm, (4,), ("Sigmoid", "Tanh", "Tanh"), 2, "input_forget"),
    "GRU": _Kind(_gru, (2, 1), ("Sigmoid", "Tanh"), 1, "linear_before_reset"),
    "RNN": _Kind(_rnn, (1,), ("Tanh",), 1, ""),
}


def recurrent(im: Importer, node: Node) -> Sequence[Value]:
    kind = _KINDS[node.op_type]
    batch_first = node.flag("layout")
    x = im.value(node.input(0))
    if len(x.shape) != 3:
        raise InputError(f"{node}: an input of shape {list(x.shape)} is no sequence")
    ahead = im.step("time", top.Permute, [x], order=(1, 0, 2)) if batch_first else x
    _check_steps(im, node, ahead.shape[0])
    directions = _directions(im, node, kind, ahead.shape[2])
    runs = [
        _run(im, kind.cell, ahead, one, _first(im, node, kind, one, at, len(directions), ahead.shape[1]), backwards)
        for at, (one, backwards) in enumerate(zip(directions, _DIRECTIONS[node.text("direction", "forward")], strict=True))
    ]
    return [_sequence(im, [outputs for outputs, _ in runs], batch_first), *_last(im, node, [state for _, state in runs], batch_first)]


def _check_steps(im: Importer, node: Node, steps: int) -> None:
    lengths = im.parameter(node, 4, "sequence_lens")
    if lengths is not None and (lengths != steps).any():
        raise UnsupportedError(f"{node.op_type} with sequence_lens (node {node.label})")
    if steps > _MOST_STEPS:
        raise UnsupportedError(f"{node.op_type} with {steps} time steps, more than {_MOST_STEPS} (node {node.label})")


def _directions(im: Importer, node: Node, kind: _Kind, features: int) -> list[_Direction]:
    """The constants of each direction. Raises InputError where shapes do not fit each other, UnsupportedError for other functions."""
    direction = node.text("direction", "forward")
    if direction not in _DIRECTIONS:
        raise InputError(f"{node}: direction '{direction}' is unknown")
    count = len(_DIRECTIONS[direction])
    weights, inner = im.required(node, 1, "weights"), im.required(node, 2, "weights")
    hidden = inner.shape[-1]
    rows = sum(kind.parts) * hidden
    given = im.parameter(node, 3, "bias")
    bias = np.zeros((count, 2 * rows), np.float32) if given is None else given
    holes = im.parameter(node, 7, "peepholes") if node.op_type == "LSTM" else None
    wanted = [(weights, (rows, features)), (inner, (rows, hidden)), (bias, (2 * rows,))]
    wanted += [] if holes is None else [(holes, (3 * hidden,))]
    if any(array.shape != (count, *shape) for array, shape in wanted) or node.integer("hidden_size", hidden) != hidden:
        raise InputError(f"{node}: weights of shapes {[list(array.shape) for array, _ in wanted]} do not fit {features} features")
    functions, flag = _functions(node, kind, count), bool(kind.flag) and node.flag(kind.flag)
    found = []
    for at in range(count):
        name, peepholes = f"direction{at}", () if holes is None else holes[at].reshape(3, hidden)
        found.append(_Direction(
            name, hidden, _pair(im, f"{name}_input", weights[at].T, bias[at, :rows]),
            _parts(im, name, kind, inner[at].T, bias[at, rows:]),
            tuple(im.constant_result(f"{name}_peephole{i}", hole) for i, hole in enumerate(peepholes)), functions[at], flag,
        ))
    return found


def _parts(im: Importer, name: str, kind: _Kind, matrix: Array, bias: Array) -> tuple[tuple[Value, Value], ...]:
    """The recurrent weights of each part of the gates."""
    hidden, begin, found = len(matrix), 0, []
    for part, gates in enumerate(kind.parts):
        columns = slice(begin, begin + gates * hidden)
        found.append(_pair(im, f"{name}_recurrent{part}", matrix[:, columns], bias[columns]))
        begin = columns.stop
    return tuple(found)


def _pair(im: Importer, name: str, matrix: Array, bias: Array) -> tuple[Value, Value]:
    return im.constant_result(f"{name}_weights", np.ascontiguousarray(matrix)), im.constant_result(f"{name}_bias", bias)


def _functions(node: Node, kind: _Kind, count: int) -> list[tuple[type[Operation], ...]]:
    """The activations of each direction."""
    names = node.attributes.get("activations") or [*kind.functions] * count
    known = isinstance(names, Sequence) and len(names) == count * len(kind.functions) and all(name in _FUNCTIONS for name in names)
    if not known or node.number("clip", 0.0):
        raise UnsupportedError(f"{node.op_type} with activations {names} or clip (node {node.label})")
    each = len(kind.functions)
    return [tuple(_FUNCTIONS[name] for name in names[at * each : (at + 1) * each]) for at in range(count)]


def _first(im: Importer, node: Node, kind: _Kind, one: _Direction, at: int, count: int, batch: int) -> State:
    """The initial state of a direction, zeros where none is given."""
    found = []
    for index in range(5, 5 + kind.states):
        given = im.optional(node, index)
        if given is None:
            found.append(im.constant_result(f"zeros{index}_{at}", np.zeros((batch, one.hidden), np.float32)))
            continue
        axis = 1 if node.flag("layout") else 0
        wanted = (batch, count, one.hidden) if axis else (count, batch, one.hidden)
        if given.shape != wanted:
            raise InputError(f"{node}: an initial state has shape {list(given.shape)}, not {list(wanted)}")
        row = im.step(f"first{index}_{at}", top.Slice, [given], axes=(axis,), offset=(at,), steps=(1,), ends=(at + 1,))
        found.append(im.step(f"state{index}_{at}", top.Reshape, [row], shape=(batch, one.hidden)))
    return tuple(found)


def _run(im: Importer, cell: Cell, x: Value, one: _Direction, state: State, backwards: bool) -> tuple[Value, State]:
    """The outputs [time, batch, hidden] of a direction in the order of time, and its last state."""
    every = im.step(f"{one.name}_inputs", top.MatMul, [x, *one.weights])
    steps, batch, width = every.shape
    outputs: dict[int, Value] = {}
    for t in reversed(range(steps)) if backwards else range(steps):
        tag = f"{one.name}_step{t}"
        row = im.step(f"{tag}_row", top.Slice, [every], axes=(0,), offset=(t,), steps=(1,), ends=(t + 1,))
        state = cell(im, tag, one, im.step(f"{tag}_input", top.Reshape, [row], shape=(batch, width)), state)
        outputs[t] = im.step(f"{tag}_output", top.Unsqueeze, [state[0]], axes=(0,))
    return im.step(f"{one.name}_outputs", top.Concat, [outputs[t] for t in range(steps)], axis=0), state


def _sequence(im: Importer, outputs: Sequence[Value], batch_first: bool) -> Value:
    """Y: [time, directions, batch, hidden], or [batch, time, directions, hidden]."""
    axes = (2,) if batch_first else (1,)
    order = (1, 0, 2)
    sides = [im.step(f"ordered{at}", top.Permute, [y], order=order) for at, y in enumerate(outputs)] if batch_first else list(outputs)
    if len(sides) == 1:
        return im.emit(top.Unsqueeze, sides, axes=axes)
    wide = [im.step(f"side{at}", top.Unsqueeze, [side], axes=axes) for at, side in enumerate(sides)]
    return im.emit(top.Concat, wide, axis=axes[0])


def _last(im: Importer, node: Node, states: Sequence[State], batch_first: bool) -> list[Value]:
    """Y_h and Y_c: [directions, batch, hidden], or [batch, directions, hidden]."""
    axis = 1 if batch_first else 0
    results = []
    for index in range(1, len(node.outputs)):
        wide = [im.step(f"last{index}_{at}", top.Unsqueeze, [state[index - 1]], axes=(axis,)) for at, state in enumerate(states)]
        results.append(im.emit_output(index, top.Concat, wide, axis=axis))
    return results


CONVERTERS: Mapping[str, Converter] = dict.fromkeys(_KINDS, recurrent)
