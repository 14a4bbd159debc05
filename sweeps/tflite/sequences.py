"""Recurrent operators: with and without gate, peepholes, projection and limits, over batches and orders of time."""

from __future__ import annotations

from sweeps.tflite.case import Case, Fed, Operand, State, weights

TANH, RELU = 4, 1
SHAPES = ((1, 1, 3), (1, 5, 7), (3, 4, 66))
"""[batch, time, features], or [time, batch, features]."""


def recurrent() -> list[Case]:
    """Layers over a sequence."""
    found = []
    for shape in SHAPES:
        for time_major in (False, True):
            batch = shape[1] if time_major else shape[0]
            for activation in (TANH, RELU):
                operands = Fed(shape), weights(5, shape[2]), weights(5, 5), weights(5), State((batch, 5))
                fields = {"TimeMajor": time_major, "FusedActivationFunction": activation}
                name = f"UNIDIRECTIONAL_SEQUENCE_RNN {shape} {time_major} {activation}"
                found.append(Case(name, "UNIDIRECTIONAL_SEQUENCE_RNN", operands, options="SequenceRNNOptions", fields=fields))
            for what in ("", "coupled", "peepholes", "projection", "peepholes projection", "cell limit", "projection limit"):
                found.append(_lstm(shape, batch, time_major, what))
    return found


def _lstm(shape: tuple[int, ...], batch: int, time_major: bool, what: str) -> Case:
    cells, columns = 6, shape[2]
    outputs = 4 if "projection" in what else cells
    inputs: list[Operand] = [weights(cells, columns) + gate / 9 for gate in range(4)]
    recurrent: list[Operand] = [weights(cells, outputs) - gate / 7 for gate in range(4)]
    holes: list[Operand] = [weights(cells) / (gate + 1) if "peepholes" in what else None for gate in range(3)]
    biases: list[Operand] = [weights(cells) + gate for gate in range(4)]
    if what == "coupled":
        inputs[0] = recurrent[0] = biases[0] = None
    projection = weights(outputs, cells) if outputs != cells else None
    states = State((batch, outputs)), State((batch, cells))
    fields = {
        "TimeMajor": time_major, "FusedActivationFunction": TANH, "CellClip": 0.3 if what == "cell limit" else 0.0,
        "ProjClip": 0.2 if what == "projection limit" else 0.0,
    }
    operands = (Fed(shape), *inputs, *recurrent, *holes, *biases, projection, None, *states)
    name = f"UNIDIRECTIONAL_SEQUENCE_LSTM {shape} {time_major} {what}"
    return Case(name, "UNIDIRECTIONAL_SEQUENCE_LSTM", operands, options="UnidirectionalSequenceLSTMOptions", fields=fields)
