"""Recurrent layers, step by step: every time step becomes operations of its own.

The states are zeros at first, as they are in an interpreter that has not run yet; none is kept from one run to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Operation, Value, top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import Laid
from tpumlir_tflite.model import ABSENT, Node
from tpumlir_tflite.parameters import RELU, TANH

_MOST_STEPS = 2048
"""Time steps of one layer: each costs two dozen operations."""
_INPUT, _FORGET, _CELL, _OUTPUT = range(4)
"""The gates of an LSTM, in TFLite's order."""
_WEIGHTS, _RECURRENT, _PEEPHOLES, _BIASES, _NORMS = 1, 5, 9, 12, 20
"""Operands of an LSTM: where those of the gates begin, one a gate; there are no peepholes into the cell itself."""
_PROJECTION, _PROJECTION_BIAS = 16, 17


def sequence_lstm(im: Importer, node: Node) -> Laid:
    """c' = f c + i tanh(g), h' = o tanh(c'), or a projection of that; i = 1 - f where the file has no gate i."""
    options = node.options("UnidirectionalSequenceLSTMOptions")
    if options.FusedActivationFunction() != TANH or options.DiagonalRecurrentTensors():
        raise im.refusal("another activation than TANH, or diagonal recurrent weights")
    if any(node.input(_NORMS + gate) != ABSENT for gate in range(4)):
        raise im.refusal("normalized gates")
    cell = _Lstm.of(im, node, options.CellClip(), options.ProjClip())
    h: Value | None = None
    c: Value | None = None
    outputs = []
    for t, gates in enumerate(_inputs(im, node, options.TimeMajor(), cell.weights, cell.bias)):
        h, c = cell.step(im, t, gates, h, c)
        outputs.append(h)
    return _sequence(im, outputs, options.TimeMajor())


def sequence_rnn(im: Importer, node: Node) -> Laid:
    """h' = activation(W x + R h + b)."""
    options = node.options("SequenceRNNOptions")
    functions: Mapping[int, type[Operation]] = {RELU: top.Relu, TANH: top.Tanh}
    function = functions.get(options.FusedActivationFunction())
    if function is None:
        raise im.refusal(f"activation {options.FusedActivationFunction()}")
    weights, recurrent, bias = (im.required(node.input(i), "weights") for i in (1, 2, 3))
    matrix = im.constant_result("recurrent", np.ascontiguousarray(recurrent.T))
    h: Value | None = None
    outputs = []
    for t, total in enumerate(_inputs(im, node, options.TimeMajor(), weights, bias)):
        if h is not None:
            total = im.step(f"sum{t}", top.Add, [total, im.step(f"old{t}", top.MatMul, [h, matrix])])
        h = im.step(f"hidden{t}", function, [total])
        outputs.append(h)
    return _sequence(im, outputs, options.TimeMajor())


def _inputs(im: Importer, node: Node, time_major: bool, weights: Array, bias: Array) -> list[Value]:
    """What each time step makes of its input alone: [batch, units]."""
    x = im.value(im.present(node.input(0)))
    if len(x.shape) != 3 or x.shape[2:] != weights.shape[1:]:
        raise InputError(f"weights of shape {list(weights.shape)} do not fit an input of shape {list(x.shape)}")
    ahead = x if time_major else im.step("time", top.Permute, [x], order=(1, 0, 2))
    steps, batch, _ = ahead.shape
    if steps > _MOST_STEPS:
        raise im.refusal(f"{steps} time steps, more than {_MOST_STEPS}")
    matrix = im.constant_result("weights", np.ascontiguousarray(weights.T))
    every = im.step("inputs", top.MatMul, [ahead, matrix, im.constant_result("bias", bias)])
    rows = [im.step(f"row{t}", top.Slice, [every], axes=(0,), offset=(t,), steps=(1,), ends=(t + 1,)) for t in range(steps)]
    return [im.step(f"input{t}", top.Reshape, [row], shape=(batch, len(weights))) for t, row in enumerate(rows)]


def _sequence(im: Importer, outputs: Sequence[Value], time_major: bool) -> Laid:
    """The outputs of all steps as the result of the node."""
    rows = [im.step(f"output{t}", top.Unsqueeze, [h], axes=(0,)) for t, h in enumerate(outputs)]
    if time_major:
        return im.emit(top.Concat, rows, axis=0)
    return im.emit(top.Permute, [im.step("outputs", top.Concat, rows, axis=0)], order=(1, 0, 2))


@dataclass(frozen=True)
class _Lstm:
    """The constants of an LSTM: those of its gates below each other, and what only some have."""

    gates: tuple[int, ...]
    weights: Array
    bias: Array
    recurrent: Value
    peepholes: Mapping[int, Value]
    projection: Value | None
    projection_bias: Value | None
    cell_clip: float
    projection_clip: float

    @classmethod
    def of(cls, im: Importer, node: Node, cell_clip: float, projection_clip: float) -> _Lstm:
        """Raises InputError where shapes do not fit each other."""
        gates = tuple(gate for gate in range(4) if node.input(_WEIGHTS + gate) != ABSENT)
        if gates not in ((0, 1, 2, 3), (1, 2, 3)):
            raise InputError("a mandatory gate is missing")
        weights, recurrent = ([im.required(node.input(first + gate), "weights") for gate in gates] for first in (_WEIGHTS, _RECURRENT))
        biases = [im.required(node.input(_BIASES + gate), "bias") for gate in gates]
        cells = len(biases[0])
        if any(len(array) != cells for array in (*weights, *recurrent, *biases)):
            raise InputError(f"the gates have not all {cells} cells")
        places = {_INPUT: 9, _FORGET: 10, _OUTPUT: 11}
        holes = {gate: im.constant(at) for gate in gates if gate != _CELL and (at := node.input(places[gate])) != ABSENT}
        projection, shift = (im.constant(at) if at != ABSENT else None for at in map(node.input, (_PROJECTION, _PROJECTION_BIAS)))
        return cls(
            gates, np.concatenate(weights), np.concatenate(biases),
            im.constant_result("recurrent", np.ascontiguousarray(np.concatenate(recurrent).T)),
            {gate: im.constant_result(f"peephole{gate}", hole) for gate, hole in holes.items() if hole is not None},
            None if projection is None else im.constant_result("projection", np.ascontiguousarray(projection.T)),
            None if shift is None else im.constant_result("projection_bias", shift), cell_clip, projection_clip,
        )

    def step(self, im: Importer, t: int, gates: Value, h: Value | None, c: Value | None) -> tuple[Value, Value]:
        """The next output and cell state; ``None`` for a state of zeros."""
        if h is not None:
            gates = im.step(f"gates{t}", top.Add, [gates, im.step(f"old{t}", top.MatMul, [h, self.recurrent])])
        forget = im.step(f"forget{t}", top.Sigmoid, [self._gate(im, t, gates, _FORGET, c)])
        if _INPUT in self.gates:
            taken = im.step(f"in{t}", top.Sigmoid, [self._gate(im, t, gates, _INPUT, c)])
        else:
            taken = im.step(f"in{t}", top.SubConst, [forget], const_val=1.0, is_reverse=True)
        cell = im.step(f"added{t}", top.Mul, [taken, im.step(f"new{t}", top.Tanh, [self._gate(im, t, gates, _CELL, None)])])
        if c is not None:
            cell = im.step(f"cell{t}", top.Add, [im.step(f"kept{t}", top.Mul, [forget, c]), cell])
        cell = _clipped(im, f"clipped{t}", cell, self.cell_clip)
        out = im.step(f"out{t}", top.Sigmoid, [self._gate(im, t, gates, _OUTPUT, cell)])
        return self._projected(im, t, im.step(f"hidden{t}", top.Mul, [out, im.step(f"shown{t}", top.Tanh, [cell])])), cell

    def _gate(self, im: Importer, t: int, gates: Value, gate: int, c: Value | None) -> Value:
        """One gate's columns, and what it sees of a cell state."""
        place, cells = self.gates.index(gate), gates.shape[1] // len(self.gates)
        begin, end = place * cells, (place + 1) * cells
        found = im.step(f"gate{t}_{gate}", top.Slice, [gates], axes=(1,), offset=(begin,), steps=(1,), ends=(end,))
        if c is None or gate not in self.peepholes:
            return found
        return im.step(f"seen{t}_{gate}", top.Add, [found, im.step(f"hole{t}_{gate}", top.Mul, [c, self.peepholes[gate]])])

    def _projected(self, im: Importer, t: int, h: Value) -> Value:
        if self.projection is None:
            return h
        projected = im.step(f"projected{t}", top.MatMul, [h, self.projection, self.projection_bias])
        return _clipped(im, f"limited{t}", projected, self.projection_clip)


def _clipped(im: Importer, name: str, x: Value, limit: float) -> Value:
    return im.step(name, top.Clip, [x], min=-limit, max=limit) if limit > 0 else x


CONVERTERS: Mapping[str, Converter] = {"UNIDIRECTIONAL_SEQUENCE_LSTM": sequence_lstm, "UNIDIRECTIONAL_SEQUENCE_RNN": sequence_rnn}
