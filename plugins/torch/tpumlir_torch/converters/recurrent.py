"""Recurrent layers, step by step: every time step becomes operations of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Operation, top
from tpumlir_torch.converters.movement import reshaped
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Tensor, Tensors

_MOST_STEPS = 2048
"""Time steps of one layer: each costs a dozen operations."""
State = tuple[Tensor, ...]
Cell = Callable[[Importer, Tensor, State, Tensor, Tensor | None], State]
"""(importer, gates of the input [n, gates], state, recurrent weight, its bias) -> next state, whose first tensor is the output."""


def _columns(im: Importer, x: Tensor, parts: int) -> list[Tensor]:
    """The gates that lie side by side."""
    size = x.shape[-1] // parts
    starts = range(0, parts * size, size)
    return [im.step("gate", top.Slice, [x], axes=(x.rank - 1,), offset=(at,), steps=(1,), ends=(at + size,)) for at in starts]


def _affine(im: Importer, x: Tensor, weight: Tensor, bias: Tensor | None, name: str) -> Tensor:
    """x weight^T + bias."""
    matrix = im.step(f"{name}_weight", top.Permute, [weight], order=(1, 0))
    return im.step(name, top.MatMul, [x, matrix, bias])


def lstm_step(im: Importer, gates: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """c' = f c + i g, h' = o tanh(c'); the gates in the order i, f, g, o."""
    h, c = state
    i, f, g, o = _columns(im, im.step("gates", top.Add, [gates, _affine(im, h, weight, bias, "recurrent")]), 4)
    kept = im.step("kept", top.Mul, [im.step("forget", top.Sigmoid, [f]), c])
    added = im.step("added", top.Mul, [im.step("in", top.Sigmoid, [i]), im.step("new", top.Tanh, [g])])
    cell = im.step("cell", top.Add, [kept, added])
    return im.step("hidden", top.Mul, [im.step("out", top.Sigmoid, [o]), im.step("shown", top.Tanh, [cell])]), cell


def gru_step(im: Importer, gates: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    """n = tanh(x_n + r h_n), h' = n + z (h - n); the gates in the order r, z, n."""
    h = state[0]
    xr, xz, xn = _columns(im, gates, 3)
    hr, hz, hn = _columns(im, _affine(im, h, weight, bias, "recurrent"), 3)
    reset = im.step("reset", top.Sigmoid, [im.step("reset_sum", top.Add, [xr, hr])])
    update = im.step("update", top.Sigmoid, [im.step("update_sum", top.Add, [xz, hz])])
    new = im.step("new", top.Tanh, [im.step("new_sum", top.Add, [xn, im.step("old", top.Mul, [reset, hn])])])
    return (im.step("hidden", top.Add, [new, im.step("kept", top.Mul, [update, im.step("gap", top.Sub, [h, new])])]),)


def _plain_step(function: type[Operation]) -> Cell:
    def step(im: Importer, gates: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        total = im.step("sum", top.Add, [gates, _affine(im, state[0], weight, bias, "recurrent")])
        return (im.step("hidden", function, [total]),)

    return step


def _direction(im: Importer, cell: Cell, x: Tensor, state: State, params: Sequence[Tensor], backwards: bool) -> tuple[Tensor, State]:
    """The outputs [time, n, hidden] of one layer in one direction, and its last state."""
    bias = params[2:] or (None, None)
    gates = _affine(im, x, params[0], bias[0], "input")
    outputs = []
    steps = range(x.shape[0])
    for t in reversed(steps) if backwards else steps:
        row = im.step("time", top.Slice, [gates], axes=(0,), offset=(t,), steps=(1,), ends=(t + 1,))
        state = cell(im, reshaped(im, row, gates.shape[1:], "now"), state, params[1], bias[1])
        outputs.append(im.step("output", top.Unsqueeze, [state[0]], axes=(0,)))
    ordered = outputs[::-1] if backwards else outputs
    return (im.step("outputs", top.Concat, ordered, axis=0) if len(ordered) > 1 else ordered[0]), state


def _layers(
    im: Importer, cell: Cell, x: Tensor, states: State, params: Sequence[Tensor], biases: bool, layers: int, both: bool
) -> tuple[Tensor, list[Tensor]]:
    """All layers over [time, n, features], and the last states [layers * directions, n, hidden]."""
    directions, each = 1 + both, 4 if biases else 2
    if len(params) != layers * directions * each or x.rank != 3:
        raise im.refusal("projections, packed sequences or a single sequence")
    if x.shape[0] > _MOST_STEPS:
        raise im.refusal(f"{x.shape[0]} time steps, more than {_MOST_STEPS}")
    last: list[State] = []
    for layer in range(layers):
        results = []
        for direction in range(directions):
            place = layer * directions + direction
            first = tuple(_row(im, state, place) for state in states)
            output, state = _direction(im, cell, x, first, params[place * each : (place + 1) * each], bool(direction))
            results.append(output)
            last.append(state)
        x = im.step("both", top.Concat, results, axis=2) if both else results[0]
    return x, [_stacked(im, [state[i] for state in last]) for i in range(len(states))]


def _row(im: Importer, x: Tensor, place: int) -> Tensor:
    row = im.step("first", top.Slice, [x], axes=(0,), offset=(place,), steps=(1,), ends=(place + 1,))
    return reshaped(im, row, x.shape[1:], "state")


def _stacked(im: Importer, tensors: Sequence[Tensor]) -> Tensor:
    rows = [im.step("last", top.Unsqueeze, [t], axes=(0,)) for t in tensors]
    return im.step("states", top.Concat, rows, axis=0) if len(rows) > 1 else rows[0]


def _recurrent(cell: Cell) -> Converter:
    def convert(
        im: Importer, input: Tensor, hx: Tensor | Tensors, params: Tensors, has_biases: bool, num_layers: int, dropout: float, train: bool,
        bidirectional: bool, batch_first: Any = False,
    ) -> list[Tensor]:
        if train and dropout:
            raise im.refusal("train=True; call eval() before saving the model")
        if not isinstance(batch_first, bool):
            raise im.refusal("packed sequences")
        states = hx if isinstance(hx, tuple) else (hx,)
        x = im.step("time_first", top.Permute, [input], order=(1, 0, 2)) if batch_first and input.rank == 3 else input
        output, last = _layers(im, cell, x, states, params, has_biases, num_layers, bidirectional)
        return [im.emit(top.Permute, [output], order=(1, 0, 2)) if batch_first else output, *last]

    return convert


def _single(cell: Cell, states: int) -> Converter:
    def convert(
        im: Importer, input: Tensor, hx: Tensor | Tensors, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:
        state = hx if isinstance(hx, tuple) else (hx,)
        if len(state) != states:
            raise InputError(f"{len(state)} states, not {states}")
        results = cell(im, _affine(im, input, w_ih, b_ih, "input"), state, w_hh, b_hh)
        return list(results) if states > 1 else results[0]

    return convert


CONVERTERS: Mapping[str, Converter] = {
    "lstm": _recurrent(lstm_step), "gru": _recurrent(gru_step), "rnn_tanh": _recurrent(_plain_step(top.Tanh)),
    "rnn_relu": _recurrent(_plain_step(top.Relu)), "lstm_cell": _single(lstm_step, 2), "gru_cell": _single(gru_step, 1),
    "rnn_tanh_cell": _single(_plain_step(top.Tanh), 1), "rnn_relu_cell": _single(_plain_step(top.Relu), 1),
}
